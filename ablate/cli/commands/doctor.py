"""`ablate doctor`: check a machine for problems, with advice."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import typer

from ablate.cli.common import Db, JsonOption, open_reader, print_json, say, stdout_console
from ablate.dispatch.executors import ENGINES
from ablate.errors import AblateError, UsageError
from ablate.parts.discover import Broken
from ablate.parts.found import broken
from ablate.project import checkups
from ablate.project.checkups import ERROR, OK, WARNING, Finding
from ablate.project.database import database_url, safe_url
from ablate.project.text import plural
from ablate.report import FORMATS
from ablate.study.recipes.places import data_root, home

WAL_RESET_FIXED = (3, 51, 3)
MARKS = {OK: "ok  ", WARNING: "warn", ERROR: "FAIL"}


def doctor(db: Db = None, json_: JsonOption = False) -> None:
    """Check this machine and say what is wrong and how to fix it. Exits with 1 if something is wrong."""
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
    raise typer.Exit(int(any(finding.level == ERROR for finding in findings)))


def _verdict(findings: list[Finding]) -> str:
    wrong = sum(finding.level == ERROR for finding in findings)
    doubts = sum(finding.level == WARNING for finding in findings)
    if wrong or doubts:
        told = [plural(count, noun) for count, noun in ((wrong, "fault"), (doubts, "warning")) if count]
        return f"{', '.join(told)}: see the advice below each."
    return "No problems found. Next: ablate grid plan STUDY.yaml"


def _findings(db: str | None) -> Iterator[Finding]:
    from ablate.dispatch.contract.room import usable_cores

    yield Finding("python", OK, f"{platform.python_version()} at {sys.executable}")
    yield Finding("cores", OK, f"{usable_cores()} usable")
    yield from checkups.namesake()
    yield from _packages()
    yield from checkups.extras()
    yield from checkups.programs()
    yield from checkups.declarations([*ENGINES.broken(), *FORMATS.broken(), *_broken_parts()])
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    yield from checkups.torch_and_driver(checkups.ask_torch(), checkups.ask_driver(), visible)
    yield from _sqlite()
    yield from _folders()
    yield from checkups.shared_memory()
    yield checkups.open_files()
    yield from _database(db)


def _broken_parts() -> Sequence[Broken]:
    from ablate.study.recipes.recipe import fields
    from ablate.study.recipes.transforms import transforms

    fields(), transforms()  # reading the declarations finds the broken ones
    return broken()


def _packages() -> Iterator[Finding]:
    for name in ("sqlalchemy", "alembic", "optuna", "plotly", "pandas", "scipy"):
        try:
            yield Finding(name, OK, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, ERROR, "not installed", "pip install ablate-studies")


def _sqlite() -> Iterator[Finding]:
    version = sqlite3.sqlite_version_info
    advice = ""
    if version < WAL_RESET_FIXED:
        advice = (
            "Versions before 3.51.3 can, very rarely, damage a WAL database when two connections commit and checkpoint at once; "
            "ablate serialises its own writes with a lock file, other programs should only read it."
        )
    yield Finding("sqlite", OK, sqlite3.sqlite_version, advice)


def _folders() -> Iterator[Finding]:
    try:
        ours, data = home(), data_root()
    except UsageError as error:
        yield Finding("folders", ERROR, "not known", str(error))
        return
    yield checkups.disk("ABLATE_HOME", ours, checkups.NEEDED_GB)
    for slow in checkups.network_home(ours):
        yield slow
        theirs = checkups.server_time(checkups.existing(ours))
        if theirs is not None:
            yield checkups.clock("clock of ABLATE_HOME", theirs)
    if data.is_dir():
        yield Finding("ABLATE_DATA", OK, str(data.absolute()))
    else:
        advice = "digits and synthetic need no files; for other data sets see: ablate data list"
        yield Finding("ABLATE_DATA", OK, f"{data} (not there yet)", advice)


def _database(db: str | None) -> Iterator[Finding]:
    from ablate.store.location import locate

    url = database_url(db)
    where = safe_url(url)
    try:
        path = locate(url).path
    except AblateError as error:
        yield Finding("database", ERROR, where, str(error))
        return
    if path is not None:
        yield from checkups.network_database(path)
        yield checkups.disk("ABLATE_DB", path.parent, checkups.NEEDED_FOR_RESULTS_GB)
    try:
        store = open_reader(db)
        if store is None:
            yield Finding("database", OK, f"{where} (none yet; the first grid run creates it)")
            return
        problems = store.check()
        info = store.info()
        if path is None:
            yield checkups.clock("clock of the database", store.now())
        yield from checkups.leases(store.lapsed())
    except AblateError as error:
        yield Finding("database", ERROR, where, str(error))
        return
    if problems:
        yield Finding(
            "database", ERROR, f"{where}: {problems[0]}", "Put a backup in its place: ablate db restore FILE."
        )
    else:
        yield Finding("database", OK, f"{where}: {info.rows.get('runs', 0)} runs, schema {info.revision}")
