"""The command executor: workers as processes of their own, which a command line starts."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from elsewhere import PYTHONPATH, Grid, numbers, run, tuned

from ablate.dispatch.clusters.command import CommandExecutor
from ablate.dispatch.contract.events import RunStarted, WorkerEnded
from ablate.dispatch.executors import get_executor
from ablate.errors import UsageError


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)


@pytest.mark.slow
def test_workers_by_command_give_the_numbers_of_inline(cli, tiny: Path, tmp_path: Path) -> None:
    options = ("--threads", "1", "--device", "cpu")
    start = 'start=sh -c "exec {worker}"'
    said = cli("grid", "run", str(tiny), "--executor", "command", "--command", start, "--workers", "2", *options)
    cli("grid", "run", str(tiny), "--executor", "inline", *options, "--db", str(tmp_path / "inline.db"))
    assert numbers(tiny, tmp_path / "results.db") == numbers(tiny, tmp_path / "inline.db")
    assert sum(line.startswith("[") for line in said.stderr.splitlines()) == 4
    assert not list((tmp_path / "home" / "grids").iterdir())


@pytest.mark.slow
def test_a_limit_is_shared_out_and_is_no_failure(tmp_path: Path) -> None:
    grid = Grid(tmp_path, "ok", "ok", "ok", "ok")
    report = run(CommandExecutor({}), grid.request(workers=2, limit=3))
    assert (report.done, report.exit_code) == (3, 0)
    assert sorted(grid.states()) == ["done", "done", "done", "queued"]


@pytest.mark.slow
@pytest.mark.parametrize("spool", [False, True])
def test_a_stop_makes_workers_checkpoint_give_back_and_end(tmp_path: Path, seen, spool: bool) -> None:
    grid = Grid(tmp_path, "until_told", "until_told", "ok")
    request = grid.request(seen, workers=1, spool=spool)
    seen.then[RunStarted] = lambda event: None if request.stop.signal else request.stop.request(signal.SIGTERM)
    report = run(CommandExecutor({}), request)
    assert (report.interrupted, report.exit_code, report.released) == (signal.SIGTERM, 143, 1)
    assert grid.states() == ["queued", "queued", "queued"]


@pytest.mark.slow
def test_workers_that_were_killed_end_the_grid_with_their_fate(tmp_path: Path, seen) -> None:
    grid = Grid(tmp_path, "until_told")
    seen.then[RunStarted] = lambda event: os.kill(int(grid.results()[0].attempts[-1].worker.split(":")[1]), signal.SIGKILL)  # fmt: skip
    report = run(CommandExecutor({}), grid.request(seen, workers=1))
    assert report.exit_code == 4
    assert "worker 0's command exited with status -9; its log: " in str(report.errors[0])
    assert [event.name for event in seen.of(WorkerEnded)] == ["0"]


@pytest.mark.slow
def test_what_keeps_a_worker_from_going_on_is_told(tmp_path: Path) -> None:
    report = run(CommandExecutor({}), Grid(tmp_path, "ok").request(fit="no_such_module:fit"))
    assert report.exit_code == 4
    assert "the trainer no_such_module:fit can't be loaded" in str(report.errors[0])


def test_each_worker_has_its_number_and_its_command_in_one_word_or_in_several(tmp_path: Path) -> None:
    executor = CommandExecutor({"start": "ssh gpu{number} {worker}"})
    words = executor._command(tmp_path / "my grid.json", 3, None)
    assert words[:2] == ["ssh", "gpu3"]
    assert words[-4:] == ["--grid", str(tmp_path / "my grid.json"), "--name", "3"]
    (one,) = CommandExecutor({"start": "sh -c 'exec {worker}'"})._command(tmp_path / "my grid.json", 0, 5)[2:]
    assert one.endswith(f"--grid '{tmp_path}/my grid.json' --name 0 --limit 5")


@pytest.mark.slow
def test_workers_by_command_train_the_trials_of_a_tuning_once_each(tmp_path: Path) -> None:
    trials, runs = tuned(CommandExecutor({}), tmp_path / "own", workers=2)
    assert [(trial.number, trial.state) for trial in trials] == [(number, "complete") for number in range(12)]
    assert [len(run.attempts) for run in runs] == [1] * 12


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("start=ssh gpu1", "start must have {worker} where the worker's command goes"),
        ("start=sh -c '{worker}", "--command start=sh -c '{worker}: No closing quotation."),
        ("stat={worker}", "unknown key 'stat'. Did you mean 'start'?"),
        ("{worker}", "must be KEY=VALUE, as in --command 'start=ssh gpu{number} {worker}'."),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(tmp_path: Path, item: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        get_executor("command", {"command": [item]}, tmp_path)
    assert said in str(refused.value)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="there is no no-such-program on this host"):
        get_executor("command", {"command": ["start=no-such-program {worker}"]}).check("auto", None, None, "")
