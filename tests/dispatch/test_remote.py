"""A worker on its own: the grid file that it reads, the signals that it heeds, and how it says that it left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from elsewhere import PYTHONPATH, Grid

from ablate.dispatch.contract.events import GridReport
from ablate.dispatch.contract.signals import StopFlag
from ablate.dispatch.elsewhere import gridfile
from ablate.dispatch.elsewhere.host_worker import EngineStop, Growing, UntilFailure, exit_code, serve
from ablate.errors import NotFound, RunFailure, UsageError
from ablate.store.values import Counts

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `ablate worker ARGS...`; all are ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def run(*args: object, **variables: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "ablate", "worker", *map(str, args)]
        environment = {**os.environ, "PYTHONPATH": PYTHONPATH, **variables}
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def until(process: subprocess.Popen[str], word: str) -> None:
    assert process.stderr is not None
    assert any(word in line for line in process.stderr), f"it never said {word!r}"


def trains(process: subprocess.Popen[str], grid: Grid) -> int:
    """The trainer's process, once its first epoch is in the store."""
    until(process, "attempt ")
    while not (found := grid.results()[0]).epochs:
        assert process.poll() is None
    return int(found.attempts[-1].environment["pid"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGUSR2, 140), (signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=lambda value: str(value)
)  # fmt: skip
def test_a_signal_checkpoints_gives_back_and_leaves(tmp_path: Path, start: Start, number: int, code: int) -> None:
    grid = Grid(tmp_path, "until_told")
    path = gridfile.write(grid.request())
    worker = start("--grid", path, "--name", "a")
    trains(worker, grid)
    worker.send_signal(number)
    assert worker.wait(timeout=60) == code
    assert grid.attempts() == [["released"]]
    assert gridfile.ending(path, "a") == gridfile.Ending(code)


@pytest.mark.slow
def test_a_trainer_that_gets_the_signal_itself_checkpoints_too(tmp_path: Path, start: Start) -> None:
    """As Slurm does it: every process of a job is told."""
    grid = Grid(tmp_path, "until_told_once")
    worker = start("--grid", gridfile.write(grid.request()))
    os.kill(trains(worker, grid), signal.SIGUSR2)
    assert worker.wait(timeout=60) == 0
    assert grid.attempts() == [["released", "done"]]


def test_a_password_travels_in_the_environment_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid(tmp_path, "ok")
    path = gridfile.write(grid.request(database="postgresql+psycopg://me:hunter22@host/name"))
    assert "hunter22" not in path.read_text()
    assert json.loads(path.read_text())["database"] is None
    monkeypatch.delenv("ABLATE_DB")
    with pytest.raises(UsageError, match=r"^ABLATE_DB is not set on this host, and .* names no database because its URL holds a password"):  # fmt: skip
        serve(path, "a", StopFlag())
    ended = gridfile.ending(path, "a")
    assert ended is not None
    assert isinstance(ended.error, UsageError)
    monkeypatch.setenv("ABLATE_DB", grid.url)
    assert serve(path, "a", StopFlag()) == 0


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("postgresql+psycopg://me@host/name", "postgresql+psycopg://me@host/name"),
        ("postgresql://me:secret@host/name", None),
        ("postgresql://me@host/name?password=secret", None),
        ("spool:///shared/folder", "spool:///shared/folder"),
        ("other://me:secret@host", None),
        ("sqlite:////data/results.db", "sqlite:////data/results.db"),
    ],
)
def test_which_urls_are_written_down(url: str, written: str | None) -> None:
    assert gridfile.portable(url) == written


def test_a_path_is_written_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert gridfile.portable("sqlite:///results.db") == f"sqlite:///{tmp_path}/results.db"


def test_what_cannot_start_is_passed_over(tmp_path: Path) -> None:
    grid = Grid(tmp_path, "ok", "ok")
    path = gridfile.write(grid.request(barred={grid.runs[0].run_id}))
    assert serve(path, "a", StopFlag()) == 4, "one run is blocked"
    assert grid.states() == ["queued", "done"]


def test_only_the_owner_may_look_into_a_grid_s_folder(tmp_path: Path) -> None:
    path = gridfile.write(Grid(tmp_path, "ok").request())
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_grid_files_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "grid.json"
    with pytest.raises(NotFound, match=r"ABLATE_HOME must be a folder that all hosts share\.$"):
        gridfile.read(path)
    for text, said in (
        ("{", "it is not JSON"),
        ("[]", "schema 2 is needed"),
        ('{"schema": 1, "study_key": 7}', "schema 2 is needed"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=said):
            gridfile.read(path)


def test_an_ending_becomes_the_error_that_it_was(tmp_path: Path) -> None:
    path = gridfile.write(Grid(tmp_path, "ok").request())
    assert gridfile.ending(path, "a") is None
    gridfile.write_ending(path, "a", 5, GridReport(errors=(NotFound("no such data"),)))
    error = gridfile.ending(path, "a").error
    assert (type(error), str(error)) == (NotFound, "no such data")
    gridfile.forget_ending(path, "a")
    assert gridfile.ending(path, "a") is None


def test_exit_codes_of_a_worker() -> None:
    assert exit_code(GridReport()) == 0
    assert exit_code(GridReport(fenced=1)) == 75
    assert exit_code(GridReport(fenced=1, failed=1)) == 4
    assert exit_code(GridReport(interrupted=12, errors=(RunFailure("x"),))) == 140


def test_an_engine_s_second_signal_hurries_nobody() -> None:
    stop = EngineStop()
    stop.request(signal.SIGTERM)
    stop.request(signal.SIGUSR2)
    assert (stop.signal, stop.hard) == (signal.SIGTERM, False)
    assert stop.seen == {signal.SIGTERM, signal.SIGUSR2}


def test_after_a_failure_nothing_is_left_to_claim() -> None:
    class Store:
        failed = 2

        def waiting(self, key: int) -> Counts:
            return Counts(queued=3, failed=self.failed)

        def claim(self, *_: object) -> str:
            return "a run"

    store = Store()
    queue = UntilFailure(store, failed_before=2)
    assert queue.claim(1, None, 60.0) == "a run"
    assert queue.waiting(1).queued == 3
    store.failed = 3
    assert queue.claim(1, None, 60.0) is None
    assert queue.waiting(1).open == 0


def test_a_worker_waits_as_long_as_more_runs_are_promised(tmp_path: Path) -> None:
    grid = Grid(tmp_path, "ok")
    path = gridfile.write(grid.request())
    clock = [0.0]
    promise = gridfile.Promise(path, clock=lambda: clock[0])
    queue = Growing(grid.open(), promise)
    assert queue.waiting(grid.key) == Counts(queued=1)
    with grid.open() as store:
        store.cancel([run.run_id for run in grid.runs])
    assert queue.waiting(grid.key).running == 0, "nobody has promised anything"
    gridfile.promise(path, True)
    assert queue.waiting(grid.key) == Counts(running=1, cancelled=1)
    clock[0] += gridfile.PROMISE - 1
    gridfile.promise(path, True)
    assert promise.holds()
    clock[0] += gridfile.PROMISE - 1
    assert promise.holds(), "it was said again"
    clock[0] += 1
    assert not promise.holds(), "who promised has gone without a word"
    gridfile.promise(path, True)
    assert promise.holds()
    gridfile.promise(path, False)
    assert not promise.holds()
