"""Everything that can be killed is killed, at random, while a grid works; afterwards nothing is missing and nothing is twice.

`ABLATE_CHAOS_SECONDS=120` goes on for so long with fresh grids; `ABLATE_CHAOS_SEED` draws other kills. The figures are
printed: `pytest -s`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from chaos_grid import study_of
from toy_fits import CHAOS_EPOCHS, chaos_metrics

from ablate.store.schema import attempts, epoch_metrics, runs
from ablate.store.store import Store

HERE = Path(__file__).parent
POSTGRES = "ABLATE_TEST_POSTGRES"
RUNS, WORKERS, KILLS = 200, 4, 25
PATIENCE = 60.0
BY_SUPERVISOR = "worker killed by signal 9 (SIGKILL)"
BY_NEXT_GRID = "ended without reporting"


class Grid:
    """`chaos_grid.py`, and what it has told. `epochs` and `lost` are counted over all grids of a round."""

    def __init__(self, url: str, home: Path, number: int) -> None:
        path = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
        command = [sys.executable, str(HERE / "chaos_grid.py"), url, str(home), str(number), str(RUNS), str(WORKERS)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, **pipes)
        assert self.process.stdout is not None
        fcntl.fcntl(self.process.stdout, fcntl.F_SETPIPE_SZ, 4096)

    def line(self) -> str:
        """The next line, or nothing once it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self) -> tuple[int, str]:
        _, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, err

    def workers(self) -> list[int]:
        """The guards and trainers that live now."""
        guards = children(self.process.pid)
        return guards + [trainer for guard in guards for trainer in children(guard)]


def children(pid: int) -> list[int]:
    """Of all threads of the process."""
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in file.read_text().split()]
    return sorted(filter(alive, found))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def gone(pid: int) -> bool:
    """Whether the process ends within the tests' patience. A zombie has ended."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watch], [], [], PATIENCE)[0])
    finally:
        os.close(watch)


class Round:
    """One grid of `RUNS` runs, restarted until it is done, with `KILLS` kills spread over its epochs.

    The kills are seeded: at which epoch, of what. A killed worker is told of before anything else is killed, so that
    every kill can be found again in the attempts.
    """

    def __init__(self, url: str, home: Path, number: int, seed: int) -> None:
        self.url, self.home, self.number = url, home, number
        self.draw = random.Random(f"{seed}-{number}")
        span = RUNS * CHAOS_EPOCHS * 4 // 5  # so that there is work left for whoever takes a killed one's place
        self.moments = sorted(self.draw.sample(range(8, span), KILLS))
        self.targets = ["worker", "worker", "grid"] + (["connection"] if url.startswith("postgres") else [])
        self.kills: Counter[str] = Counter()
        self.orphans = self.starting = 0
        self.grids = 0

    def work(self) -> None:
        epochs = 0
        moments = list(self.moments)
        ended = False
        while not ended:
            grid = Grid(self.url, self.home, self.number)
            self.grids += 1
            settling = False
            try:
                while line := grid.line():
                    epochs += line.startswith("EpochDone")
                    starting = line.strip().endswith("while it started")
                    self.starting += starting
                    settling = settling and not (starting or line.startswith("RunEnded lost"))
                    if moments and epochs >= moments[0] and not settling:
                        del moments[0]
                        target = self.draw.choice(self.targets)
                        settling = self.kill(grid, target)
                        self.kills[target] += 1
                        if target == "grid":
                            break
                else:
                    code, said = grid.end()
                    assert code == 0, said
                    ended = True
            finally:
                grid.process.kill()
                grid.process.communicate()

    def kill(self, grid: Grid, target: str) -> bool:
        """End one thing with SIGKILL; whether a grid is about to tell of it."""
        if target == "worker":
            victim = self.draw.choice(grid.workers())
            os.kill(victim, signal.SIGKILL)
            return True
        if target == "connection":
            self.cut_a_connection()
            return False
        workers = grid.workers()
        grid.process.kill()
        grid.process.wait(PATIENCE)
        assert all(gone(worker) for worker in workers), "workers end with their grid"
        self.orphans += self.running()
        return False

    def cut_a_connection(self) -> None:
        others = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ablate' AND datname = current_database()"
        with sa.create_engine(self.url, poolclass=sa.NullPool).connect() as connection:
            pids = sorted(connection.scalars(sa.text(others)))
            connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": self.draw.choice(pids)})

    def running(self) -> int:
        """Leases that the killed grid has left behind."""
        with Store.open(self.url, read_only=True) as store:
            return len(store.list_runs(study=f"chaos{self.number}", states=["running"]))

    def check(self) -> None:
        """Every run done once, every epoch there, every kill accounted for."""
        study = study_of(self.number, RUNS)
        with Store.open(self.url, read_only=True) as store:
            results = store.results([run.run_id for run in study.runs])
            assert store.check() == [], "PRAGMA integrity_check, references, and states that agree"
            newest = store._db.read(lambda tx: newest_rows(tx.connection, [run.run_id for run in study.runs]))
        assert len(results) == RUNS
        lost: Counter[str] = Counter()
        for run in study.runs:
            result = results[run.run_id]
            assert result.state == "done"
            ends = [attempt.state for attempt in result.attempts]
            assert ends == ["lost"] * (len(ends) - 1) + ["done"], "done once, by the newest attempt"
            assert [attempt.number for attempt in result.attempts] == list(range(1, len(ends) + 1))
            for attempt in result.attempts[:-1]:
                assert attempt.error is not None
                lost[next(why for why in (BY_SUPERVISOR, BY_NEXT_GRID) if why in attempt.error)] += 1
            assert sorted(result.epochs) == list(range(1, CHAOS_EPOCHS + 1))
            for epoch, metrics in result.epochs.items():
                expected = chaos_metrics(run.seed, epoch, 0)["loss"]
                assert (metrics["train_loss"], metrics["val_loss"]) == (expected, expected)
                assert metrics["start"] == newest[run.run_id, epoch], "of several attempts' rows the newest's counts"
            assert result.metrics["loss"] == chaos_metrics(run.seed, CHAOS_EPOCHS, 0)["loss"]
        assert lost == Counter({BY_SUPERVISOR: self.kills["worker"] - self.starting, BY_NEXT_GRID: self.orphans})
        assert sum(self.kills.values()) == KILLS


def newest_rows(connection: sa.Connection, run_ids: list[str]) -> dict[tuple[str, int], float]:
    """What the newest attempt that reached an epoch said of `start`, read from the table itself."""
    table = epoch_metrics.c
    statement = (
        sa.select(runs.c.run_id, table.epoch, table.attempt, table.value)
        .join(runs, runs.c.id == table.run)
        .join(attempts, sa.and_(attempts.c.run == table.run, attempts.c.number == table.attempt))
        .where(table.name == "start", table.split == "val", runs.c.run_id.in_(run_ids))
        .order_by(table.attempt)
    )
    return {(run_id, epoch): value for run_id, epoch, _, value in connection.execute(statement)}


SERVER = pytest.param("postgresql", marks=pytest.mark.postgres)


@pytest.fixture(params=["sqlite", *([SERVER] if POSTGRES in os.environ else [])])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/results.db"
        return
    yield os.environ[POSTGRES]
    with sa.create_engine(os.environ[POSTGRES], poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))


@pytest.mark.slow
def test_a_grid_that_is_killed_at_random_ends_with_every_run_done_once(url: str, tmp_path: Path) -> None:
    seconds, seed = float(os.environ.get("ABLATE_CHAOS_SECONDS", 0)), int(os.environ.get("ABLATE_CHAOS_SEED", 0))
    started, number, kills, grids = time.monotonic(), 0, Counter[str](), 0
    while number == 0 or time.monotonic() - started < seconds:
        one = Round(url, tmp_path / "home", number, seed)
        one.work()
        one.check()
        number, grids, kills = number + 1, grids + one.grids, kills + one.kills
    print(
        f"\n{number * RUNS} runs, {sum(kills.values())} kills ({', '.join(f'{n} {what}' for what, n in kills.items())}), "
        f"{grids} grids, {time.monotonic() - started:.0f} s: every run done once, every epoch recorded"
    )
