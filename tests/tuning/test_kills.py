"""kill -9 of the asker, with all of its workers, at any moment: no trial is lost, none is run twice, the count is exact."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from toy_tuning import stored, top1

from ablate.store.store import Store

HERE = Path(__file__).parent
TRIALS = 8


def begin(tuning: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])}
    command = [sys.executable, str(HERE / "drive_tuning.py"), str(tuning), "2"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def kill_after(process: subprocess.Popen[str], lines: int) -> None:
    """After so many lines of output, or at its end."""
    assert process.stdout is not None
    for _ in range(lines):
        if not process.stdout.readline():
            break
    process.kill()
    process.communicate()


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_kills_at_random(toy, seed: int) -> None:
    chance = random.Random(seed)
    tuning = toy(
        budget=f"{{trials: {TRIALS}}}", sampler="{name: tpe, seed: 1}", pruner=chance.choice(["none", "median"])
    )
    path = Path(tuning.file)
    for _ in range(2):
        kill_after(begin(path), chance.randrange(0, 14))
    last = begin(path)
    out, err = last.communicate(timeout=120)
    assert last.returncode == 0, f"{out}\n{err}"
    check(tuning)


@pytest.mark.parametrize("method", ["save_study", "end_trial"])
def test_killed_between_a_trial_and_its_runs(toy, run, monkeypatch, method: str) -> None:
    """The narrowest gaps: the trial is saved and its runs are not; its runs have ended and nobody was told."""
    tuning = toy(budget=f"{{trials: {TRIALS}}}", sampler="{name: tpe, seed: 1}")
    before = getattr(Store, method)
    for call in (2, 4):
        calls = itertools.count(1)

        def dies(self: Store, *args: object, calls=calls, call=call, **more: object) -> object:
            if next(calls) == call:
                raise KeyboardInterrupt
            return before(self, *args, **more)

        with monkeypatch.context() as patch:
            patch.setattr(Store, method, dies)
            with pytest.raises(KeyboardInterrupt):
                run(tuning)
    run(tuning)
    check(tuning)


def check(tuning) -> None:
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        trials = stored(tuning, store)
        results = store.results([run_id for trial in trials for run_id in trial.run_ids])
        assert store.check() == []
        assert len(store.list_runs()) == len(results) == TRIALS
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert {trial.state for trial in trials} <= {"complete", "pruned"}
    assert sorted(trial.told for trial in trials) == list(range(TRIALS))
    for trial in trials:
        (run_id,) = trial.run_ids
        result = results[run_id]
        assert result.state == {"complete": "done", "pruned": "pruned"}[trial.state]
        assert [attempt.state for attempt in result.attempts].count(result.state) == 1
        if trial.state == "complete":
            assert trial.value == top1(result.run.recipe, 0, 4)
            assert sorted(result.epochs) == [1, 2, 3, 4]
