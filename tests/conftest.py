"""Shared by all tests: each has an ABLATE_HOME, a database and a data folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).resolve().parent))  # import mode importlib puts no folder of tests there

from golden_texts import whole
from postgres_server import Room, Server, running

from ablate.parts import found
from ablate.parts.declare import Part

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("OMP_NUM_THREADS", "1")

# no example of a property test is judged by how long it took: other work may have had the cores
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# a suite started in the background inherits ignored signals, and its grids would too
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

POSTGRES = "ABLATE_TEST_POSTGRES"
"""The URL of a PostgreSQL database to test with, instead of a server of the tests' own. Only schemas of ours are touched."""

REQUIRED = "ABLATE_TEST_REQUIRED"
"""What this machine must have, among `ray slurm postgres real_data libraries`: a test that skips for want of it fails."""

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    required = set(os.environ.get(REQUIRED, "").split())
    wanted = {mark.name for mark in item.iter_markers()} | set(getattr(item, "fixturenames", ()))
    if report.skipped and not hasattr(report, "wasxfail") and (missed := required & wanted):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"{', '.join(sorted(missed))} is required here ({REQUIRED}): {why}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    with whole():
        return (yield)


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ABLATE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ABLATE_DB", f"sqlite:///{tmp_path / 'results.db'}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def change_part(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Part]:
    """`change_part(DataSet, "cifar10", images=60)`: that part has other values while the test runs."""

    def change(kind: type[Part], name: str, **values: object) -> Part:
        changed = replace(found.parts(kind)[name], **values)
        monkeypatch.setitem(found._all()[kind.__name__], name, changed)
        return changed

    return change


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Runs `ablate ARGS...` in the test's own folder as a process of its own."""

    def run(*args: str, code: int | None = 0, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "ablate", *args], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
        )
        if code is not None:
            assert done.returncode == code, f"{args} left with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


TINY = """
study: tiny
about: Does smoothing help on eighty digits?
recipe:
  data: {name: digits, limit: 80, split: {train: 0.5, test: 0.5}}
  model: {arch: three-layer-cnn}
  optimizer: {lr: 0.02}
  batch_size: 40
  epochs: 2
factors:
  smoothing: {path: loss.label_smoothing, levels: {plain: 0.0, smooth: 0.1}}
seeds: 2
baseline: {smoothing: plain}
tables:
  top1_top5:
    rows: smoothing
    columns: [top1, top5]
    reported: {plain: [0.90, 0.99]}
    claims: [smooth > plain]
  curve: {rows: epoch, where: {smoothing: plain}, columns: [train_top1, top1]}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A study of four runs that ends in seconds."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


# PostgreSQL -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def own_server() -> Iterator[Server]:
    """A server of this test process alone, which tests may crash."""
    pytest.importorskip("psycopg")
    with running(pytest.skip) as server:
        yield server


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Room]:
    """PostgreSQL for this process of the tests: the one that ABLATE_TEST_POSTGRES names, else a server of our own."""
    given = os.environ.get(POSTGRES)
    room = Room(given or request.getfixturevalue("own_server").url(), os.environ.get("PYTEST_XDIST_WORKER", "main"))
    yield room
    if given:
        room.leave()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that is not there yet, or an empty one for tests that ask for `store` too: SQLite and PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/results.db"
    room: Room = request.getfixturevalue("postgres")
    return room.ready() if "store" in request.fixturenames else room.fresh()
