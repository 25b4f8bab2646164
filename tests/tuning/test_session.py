"""Asking, training, telling: with toy trainers, in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_tuning import top1

from ablate.store.store import Store

Make = Callable[..., object]


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "gp"])
def test_one_worker_repeats_its_trials(toy, run, tmp_path: Path, monkeypatch, sampler: str) -> None:
    count = 13 if sampler in ("tpe", "cmaes") else 11 if sampler == "gp" else 6
    tuning = toy(sampler=f"{{name: {sampler}, seed: 3}}", budget=f"{{trials: {count}}}")
    first = run(tuning)
    monkeypatch.setenv("ABLATE_DB", f"sqlite:///{tmp_path / 'second.db'}")
    second = run(tuning)
    assert [trial.number for trial in first] == list(range(count))
    assert [(trial.params, trial.value) for trial in first] == [(trial.params, trial.value) for trial in second]
    assert len({str(trial.params) for trial in first}) == count


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "random"])
def test_a_session_that_was_built_again_goes_on_as_it_would_have(toy, run, tmp_path, monkeypatch, sampler: str) -> None:
    def tuning(count: int) -> object:
        return toy(sampler=f"{{name: {sampler}, seed: 3}}", budget=f"{{trials: {count}}}")

    whole = run(tuning(14))
    monkeypatch.setenv("ABLATE_DB", f"sqlite:///{tmp_path / 'second.db'}")
    for count in (3, 9, 12, 14):
        broken = run(tuning(count))
    assert [trial.params for trial in whole] == [trial.params for trial in broken]


def test_a_trial_is_a_run_like_any_other(toy, run) -> None:
    trials = run(toy(budget="{trials: 3}", seeds="2"))
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        for trial in trials:
            results = store.results(trial.run_ids)
            assert [result.run.seed for result in results.values()] == [0, 1]
            recipe = next(iter(results.values())).run.recipe
            assert recipe["optimizer"]["lr"] == trial.params["optimizer.lr"]
            assert trial.state == "complete"
            assert trial.value == pytest.approx(sum(top1(recipe, seed, 4) for seed in (0, 1)) / 2)
        assert store.studies() == ()
        assert all(result.studies[0].startswith("tune:toy:") for result in results.values())
        assert store.check() == []
