"""Signals sent to a real process that runs a grid."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from toy_store import make_run

from ablate.dispatch.contract import events
from ablate.dispatch.contract.executor import run_folder
from ablate.dispatch.contract.signals import StopFlag, listening
from ablate.dispatch.processes.local import LocalExecutor

HERE = Path(__file__).parent
PATIENCE = 20.0


class Grid:
    """A running `drive_grid.py`."""

    def __init__(self, home: Path, executor: str, act: str, runs: int, workers: int) -> None:
        self.home = home
        path = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
        command = [sys.executable, str(HERE / "drive_grid.py"), str(home), executor, act, str(runs), str(workers)]
        environment = {**os.environ, "PYTHONPATH": path}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    def line(self, start: str) -> str:
        """Read on to the line that starts so."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(start):
                return line
        raise AssertionError(f"the grid ended without saying {start}")

    def end(self) -> tuple[int, dict]:
        output, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, json.loads(output.splitlines()[-1]) if "{" in output else {}

    def pids(self, number: int) -> list[int]:
        """Of the trainer, its guard and the program that it started."""
        return [int(pid) for pid in (run_folder(self.home, make_run(number).run_id) / "pids").read_text().split()]


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Callable[..., Grid]]:
    started: list[Grid] = []

    def start(executor: str, act: str, runs: int = 3, workers: int = 2) -> Grid:
        started.append(Grid(tmp_path, executor, act, runs, workers))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait(PATIENCE)
        assert one.process.stdout is not None
        one.process.stdout.close()


def gone(pids: list[int]) -> bool:
    """Whether all of these processes end within the tests' patience. A zombie has ended."""
    for pid in pids:
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([watch], [], [], PATIENCE)[0]:
                return False
        finally:
            os.close(watch)
    return True


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_one_signal_checkpoints_releases_and_leaves_with_its_code(grid, number, code):
    one = grid("local", "until_told")
    one.line("EpochDone")
    one.line("EpochDone")
    one.process.send_signal(number)
    assert one.end() == (
        code,
        {
            "entries": [["queued", ["released"]], ["queued", ["released"]], ["queued", []]],
            "released": 2,
            "interrupted": number,
        },
    )
    for run in (0, 1):
        assert (run_folder(one.home, make_run(run).run_id) / "checkpoint").read_text() == str(int(number))


@pytest.mark.slow
def test_inline_obeys_one_signal_as_well(grid):
    one = grid("inline", "until_told", 2)
    one.line("EpochDone")
    one.process.send_signal(signal.SIGINT)
    code, said = one.end()
    assert code == 130
    assert said["entries"] == [["queued", ["released"]], ["queued", []]]


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "inline"])
def test_a_second_signal_leaves_at_once_and_still_releases(grid, executor):
    one = grid(executor, "stubborn", 1)
    one.line("EpochDone")
    one.process.send_signal(signal.SIGINT)
    one.line("Asked")
    one.process.send_signal(signal.SIGINT)
    trainer, guard, program = one.pids(0)
    if executor == "inline":  # a program that a trainer starts in the grid's own process is nobody's to end but ours
        os.kill(program, signal.SIGKILL)
    code, said = one.end()
    assert code == 130
    assert said["entries"] == [["queued", ["released"]]]
    if executor == "local":
        assert gone([trainer, guard, program])


@pytest.mark.slow
@pytest.mark.parametrize("act", ["stubborn", "deaf"])
def test_kill_9_of_the_grid_leaves_no_process_behind(grid, act):
    one = grid("local", act)
    one.line("EpochDone")
    one.line("EpochDone")
    pids = one.pids(0) + one.pids(1)
    assert len(set(pids)) == 6
    one.process.kill()
    assert gone(pids)


@pytest.mark.slow
def test_a_killed_trainer_takes_its_programs_along(grid):
    one = grid("local", "stubborn", 1, 1)
    one.line("EpochDone")
    trainer, guard, program = one.pids(0)
    os.kill(trainer, signal.SIGKILL)
    assert "worker killed by signal 9" in one.line("RunEnded")
    assert gone([trainer, guard, program])


@pytest.mark.slow
def test_a_stopped_supervisor_loses_its_trainer_when_the_lease_runs_out(request_for, toy_store, slots, tmp_path, seen):
    """The supervisor's heartbeat is stuck in the store: the trainer leaves by itself before another worker starts."""
    run = make_run(1, "stubborn")
    store = toy_store(run)

    def stuck(name: str, run_id: str) -> None:
        if name == "heartbeat":
            pids = (run_folder(tmp_path / "home", run_id) / "pids").read_text().split()
            assert gone([int(pids[0])])
            store.steal(run_id)

    store.on_call = stuck
    report = LocalExecutor(slots(1)).run(request_for(store, ttl=0.6, limit=1))
    assert (report.done, report.fenced) == (0, 1)
    assert store.of(1).ends == ["cancelled", "running"]


def test_a_trainer_that_does_not_stop_is_ended_after_the_grace_period(request_for, toy_store, slots, seen):
    store = toy_store(make_run(1, "stubborn"))
    request = request_for(store, grace=0.1)
    seen.then[events.EpochDone] = lambda event: request.stop.request(signal.SIGTERM)
    report = LocalExecutor(slots(1)).run(request)
    assert store.of(1).ends == ["released"]
    assert store.of(1).error == "did not stop within 0.1 s of signal 15; starts again from its last checkpoint"
    assert (report.released, report.exit_code) == (1, 143)


def test_sigterm_to_a_worker_alone_gives_its_run_back_and_goes_on(request_for, toy_store, slots, seen):
    """As a cluster's engine does that signals every process. The run is claimed again, as nobody stopped the grid."""
    store = toy_store(make_run(1, "until_told"))
    request = request_for(store)

    def once(event: events.EpochDone) -> None:
        if store.of(1).ends == ["released", "running"]:
            request.stop.request(signal.SIGINT)
        else:
            os.kill(store.of(1).result.environment["pid"], signal.SIGTERM)

    seen.then[events.EpochDone] = once
    report = LocalExecutor(slots(1)).run(request)
    assert store.of(1).ends == ["released", "released"]
    assert not seen.of(events.WorkerReplaced)
    assert report.exit_code == 130


def test_a_stop_flag_wakes_who_was_not_told_yet():
    stop = StopFlag()
    assert not stop.wait(0.0)
    stop.request(signal.SIGTERM)
    stop.request(signal.SIGINT)
    assert (stop.signal, stop.hard) == (signal.SIGTERM, True)
    assert stop.wait(PATIENCE)
    assert stop.wait(PATIENCE, told=True)


def test_after_one_request_only_the_second_bell_is_silent():
    stop = StopFlag()
    stop.request()
    assert stop.wait(PATIENCE)
    assert not stop.wait(0.0, told=True)
    assert not stop.hard


def test_listening_puts_the_old_handlers_back_and_leaves_ignored_signals_alone():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        old = signal.getsignal(signal.SIGTERM)
        with listening(StopFlag()) as stop:
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.wait(PATIENCE)
            assert stop.signal == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) is old
    finally:
        signal.signal(signal.SIGHUP, before)
