"""What is read from the store, and what hangs on how much is known."""

from __future__ import annotations

import os

import pytest

from ablate.store.store import Store
from ablate.study.values.trials import Trial
from ablate.tuning.reading import best_of, read_result
from ablate.tuning.samplers import make_pruner


def trial(number: int, value: float | None, state: str = "complete") -> Trial:
    return Trial(number, {}, state, value, 4, ())


@pytest.mark.parametrize(("better", "number"), [("higher", 1), ("lower", 0)])
def test_the_best_is_complete_and_the_first_of_equals(better: str, number: int) -> None:
    trials = [trial(0, 0.1), trial(1, 0.5), trial(2, 0.5), trial(3, 0.9, "pruned"), trial(4, None, "failed")]
    best = best_of(trials, better)
    assert best is not None
    assert best.number == number
    assert best_of(trials[3:], better) is None


@pytest.mark.slow
def test_importance_is_told_from_ten_complete_trials_on(toy, run) -> None:
    few, enough = toy(budget="{trials: 9}"), toy(budget="{trials: 12}")
    run(few)
    with Store.open(os.environ["ABLATE_DB"]) as store:
        assert read_result(few, store).arms[0].importance == {}
    run(enough)
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        shares = read_result(enough, store).arms[0].importance
        assert read_result(enough, store, importance=False).arms[0].importance == {}
    assert set(shares) == {"optimizer.lr", "loss.label_smoothing"}
    assert sum(shares.values()) == pytest.approx(1)
    assert all(0 < share < 1 for share in shares.values())


@pytest.mark.parametrize(("epochs", "count"), [(1, 1), (2, 1), (3, 2), (8, 2), (9, 3), (10, 3), (27, 4), (100, 5)])
def test_how_many_brackets_hyperband_has(epochs: int, count: int) -> None:
    import optuna

    pruner = make_pruner("hyperband", epochs)
    study = optuna.create_study(pruner=pruner)
    asked = study.ask()
    asked.report(0.5, 1)
    asked.should_prune()
    assert len(pruner._pruners) == count
