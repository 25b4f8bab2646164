"""`ablate doctor`: what is wrong with a set-up, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import typer

from ablate.cli.common import (
    Db,
    JsonOption,
    database_url,
    open_reader,
    plural,
    print_json,
    safe_url,
    say,
    stdout_console,
)
from ablate.dispatch.slots import usable_cores
from ablate.errors import AblateError
from ablate.study.places import data_root, home

NEEDED_GB = 5
WAL_RESET_FIXED = (3, 51, 3)
MARKS = {"ok": "ok  ", "warning": "warn", "error": "FAIL"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `level` is ok, warning or error; `advice` says what to do."""

    what: str
    level: str
    found: str
    advice: str = ""


def doctor(db: Db = None, json_: JsonOption = False) -> None:
    """Look at this machine and say what is wrong and what to do; exit 1 where something is."""
    findings = list(_findings(db))
    if json_:
        print_json({"schema": 1, "findings": [asdict(finding) for finding in findings]})
    else:
        console = stdout_console()
        for finding in findings:
            console.print(f"{MARKS[finding.level]}  {finding.what}: {finding.found}", markup=False, soft_wrap=True)
            if finding.advice:
                console.print(f"      {finding.advice}", markup=False, soft_wrap=True)
        say(_verdict(findings))
    raise typer.Exit(int(any(finding.level == "error" for finding in findings)))


def _verdict(findings: list[Finding]) -> str:
    wrong = sum(finding.level == "error" for finding in findings)
    doubts = sum(finding.level == "warning" for finding in findings)
    if wrong or doubts:
        told = [plural(count, noun) for count, noun in ((wrong, "fault"), (doubts, "warning")) if count]
        return f"{', '.join(told)}: what to do stands below each."
    return "All is well. Next: ablate grid plan STUDY.yaml"


def _findings(db: str | None) -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")
    yield Finding("cores", "ok", f"{usable_cores()} usable")
    yield from _packages()
    yield from _torch()
    yield from _sqlite()
    yield from _folders()
    yield _database(db)


def _packages() -> Iterator[Finding]:
    for name in ("sqlalchemy", "alembic", "optuna", "plotly", "pandas", "scipy", "statsmodels"):
        try:
            yield Finding(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "error", "not installed", "pip install --force-reinstall ablate")


def _torch() -> Iterator[Finding]:
    try:
        import torch
        import torchvision
    except Exception as error:  # a broken installation raises whatever it likes
        yield Finding(
            "torch", "error", f"cannot be imported: {error}", "Install torch and torchvision of matching versions."
        )
        return
    yield Finding("torch", "ok", f"{torch.__version__}, torchvision {torchvision.__version__}")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            yield Finding(f"cuda:{index}", "ok", torch.cuda.get_device_name(index))
    elif shutil.which("nvidia-smi"):
        yield Finding(
            "cuda",
            "warning",
            "there is an NVIDIA driver, but torch sees no GPU",
            "Install the torch build for this driver's CUDA version.",
        )
    else:
        yield Finding("cuda", "ok", "no GPU; runs go to the CPU")


def _sqlite() -> Iterator[Finding]:
    version = sqlite3.sqlite_version_info
    advice = ""
    if version < WAL_RESET_FIXED:
        advice = (
            "Versions before 3.51.3 can, very rarely, damage a WAL database when two connections commit and checkpoint at once; "
            "ablate serialises its own writes with a lock file, other programs should only read it."
        )
    yield Finding("sqlite", "ok", sqlite3.sqlite_version, advice)


def _folders() -> Iterator[Finding]:
    for name, folder in (("ABLATE_HOME", home()), ("ABLATE_DATA", data_root())):
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(existing).free / 1e9
        state = f"{folder}{'' if folder.exists() else ' (not there yet)'}, {free:.0f} GB free"
        low = free < NEEDED_GB
        yield Finding(
            name,
            "warning" if low else "ok",
            state,
            f"Less than {NEEDED_GB} GB: point {name} to a larger disk." if low else "",
        )


def _database(db: str | None) -> Finding:
    where = safe_url(database_url(db))
    try:
        store = open_reader(db)
        if store is None:
            return Finding("database", "ok", f"{where} (none yet; the first grid run makes it)")
        problems = store.check()
        info = store.info()
    except AblateError as error:
        return Finding("database", "error", where, str(error))
    if problems:
        return Finding("database", "error", f"{where}: {problems[0]}", "Restore a backup; ablate db backup makes one.")
    return Finding("database", "ok", f"{where}: {info.rows.get('runs', 0)} runs")
