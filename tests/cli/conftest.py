"""A command line called in this process, and databases filled without training anything."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from golden_texts import golden

from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.study.loader import Choices, load
from ablate.study.records import Confusion, EpochRecord, Outcome

GROUPS = ("grid", "runs", "tune", "data", "db")
VARIES = {
    r"\b[0-9a-f]{12}\b|\b[0-9a-f]{64}\b": "ID",
    r"\b\d+(\.\d+)? (s|min)\b|\b\d+ h \d+ min\b": "TIME",
    r"\b\d\.\d{3,}\b": "NUMBER",
    r"\b(process|pid) \d+": r"\1 N",
    r"postgresql\S*://\S+": "POSTGRESQL",
    r"(?m)^\[\d+(/\d+)?( trials)?\] .*\n": "",
    r"(?<=\S) {4,}": "   ",
}
"""What differs from call to call, and what stands for it in golden files. Lines of runs that end are left out."""


@dataclass(frozen=True)
class Said:
    """What a command left behind; `error` is the code of the error that it ended with."""

    code: int
    out: str
    err: str
    args: tuple[str, ...] = ()
    error: str = ""

    def told(self, error: str = "", *, out: bool = False) -> Said:
        """Compare what stderr says (with `out` stdout too) with the command's golden file. `error` is the code that it must have:
        by itself none.
        """
        assert self.error == error
        command = "-".join(self.args[: 2 if self.args[0] in GROUPS else 1])
        lines = [f"$ {shlex.join(['ablate', *self.args])}", f"exit {self.code} {self.error}", self.err]
        text = "\n".join([*lines, *(["stdout:", self.out] if out else [])])
        for pattern, name in VARIES.items():
            text = re.sub(pattern, name, text)
        golden(command, [text])
        return self

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout. NaN and infinities are not JSON."""

        def refuse(name: str) -> None:
            raise AssertionError(f"{name} in JSON")

        parsed: dict[str, Any] = json.loads(self.out, parse_constant=refuse)
        return parsed


Call = Callable[..., Said]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`call("grid", "plan", ..., code=0)`: the command in this process and in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "ablate.dispatch.contract.slots.machine_load", lambda: 0.0
    )  # what is said must not hang on who else works here
    from ablate.cli.app import _fail as fail

    def run(*args: object, code: int | None = 0) -> Said:
        from ablate.cli import app

        errors: list[str] = []
        given = tuple(map(str, args))
        monkeypatch.setattr(sys, "argv", ["ablate", *given])
        monkeypatch.setattr(app, "_fail", lambda error, text: (errors.append(error.code), fail(error, text)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            app.main()
        said = Said(int(left.value.code or 0), *capsys.readouterr(), given, *errors)
        if code is not None:
            assert said.code == code, f"{args} left with {said.code}\n{said.out}\n{said.err}"
        assert "Traceback" not in said.err
        return said

    return run


def top1(arm: str, seed: int) -> float:
    """A made-up accuracy: smoothing costs ten points, seeds differ by one."""
    return round((0.8 if arm == "plain" else 0.7) + 0.01 * seed, 2)


def done(arm: str, seed: int) -> dict[str, float]:
    return {"top1": top1(arm, seed), "top5": 0.95 + 0.01 * seed, "loss": 1.0 - top1(arm, seed)}


@pytest.fixture
def made_up() -> Callable[[str, int], dict[str, float]]:
    """The metrics that `fill` records where nothing else is told."""
    return done


@pytest.fixture
def fill() -> Callable[..., None]:
    """Record what `tell(arm, seed)` says of each run: metrics (done), `failed`, `diverged`, `lost`, `lost once`, `running`,
    or None for a run that stays queued. Nothing is trained.
    """

    def record(
        path: Path,
        tell: Callable[[str, int], Any] = done,
        profile: str | None = None,
        seeds: int | tuple[int, ...] | None = None,
    ) -> None:
        study = load(path, Choices(profile, seeds=seeds))
        names = {arm.arm_id: arm.name for arm in study.arms}
        kept, lost = [], set()
        with Store.open(os.environ["ABLATE_DB"]) as store:
            key = store.save_study(study, call_options={"set": [], "seeds": None})
            while claim := store.claim(key, WorkerInfo.here(device="cpu"), ttl=600.0):
                arm, seed = names.get(claim.run.arm_id, "parent"), claim.run.seed
                what = tell(arm, seed)
                if what == "lost" or (what == "lost once" and claim.run.run_id not in lost):
                    lost.add(claim.run.run_id)
                    store.lose(claim, "process 1 on elsewhere sent no heartbeat for 61 s")
                elif what in ("failed", "diverged"):
                    store.fail(claim, "the loss is not finite" if what == "diverged" else "line one\nValueError: no such layer", what.replace("failed", "error"))  # fmt: skip
                elif isinstance(what, dict):
                    _finish(store, claim, what)
                elif what != "running":
                    kept.append(claim)
            for claim in kept:
                store.release(claim, "given back")

    return record


def _finish(store: Store, claim: Any, metrics: dict[str, float]) -> None:
    for epoch in (1, 2):
        store.record_epoch(claim, [EpochRecord(epoch, "train", {"top1": 0.5}), EpochRecord(epoch, "test", metrics)])
    confusion = Confusion("test", "last", ("a", "b"), ((3, 1), (0, 4)))
    store.finish(claim, Outcome(metrics, "test", confusions=(confusion,)), 2.0)


@pytest.fixture
def three(tiny: Path) -> Path:
    """The tiny study with three seeds, so that claims can be decided."""
    tiny.write_text(tiny.read_text().replace("seeds: 2", "seeds: 3"))
    return tiny


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `ablate ARGS...` as a process of its own that is still running; all are ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def run(*args: object, **more: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-u", "-m", "ablate", *map(str, args)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
        started.append(subprocess.Popen(command, **{**pipes, **more}))
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no leave to mount a small disk here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)
