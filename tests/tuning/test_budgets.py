"""Budgets: never exceeded, and the same whatever was in the database before."""

from __future__ import annotations

import os

import pytest

from ablate.dispatch.contract.slots import Slot
from ablate.dispatch.processes.local import LocalExecutor
from ablate.store.store import Store
from ablate.study.values.trials import Budget
from ablate.tuning.budget import Cost, may_ask
from ablate.tuning.reading import read_result


@pytest.mark.parametrize(
    ("budget", "costs", "answer"),
    [
        (Budget("trials", 3), [Cost(4)] * 2, True),
        (Budget("trials", 3), [Cost(4)] * 3, False),
        (Budget("trials", 3), [Cost(0)] * 3, False),
        (Budget("epochs", 12), [Cost(4), Cost(4, open=True)], True),
        (Budget("epochs", 11), [Cost(4), Cost(4, open=True)], False),
        (Budget("epochs", 6), [Cost(0), Cost(1)], True),
        (Budget("epochs", 6), [Cost(0)] * 3, False),  # failed at once, three times: each costs an epoch
        (Budget("minutes", 0.5), [Cost(4, 29.0)], True),
        (Budget("minutes", 0.5), [Cost(4, 29.0), Cost(4, 99.0, open=True)], True),
        (Budget("minutes", 0.5), [Cost(4, 29.0), Cost(4, 0.1)], False),
    ],
)
def test_whether_another_trial_of_four_epochs_fits(budget: Budget, costs: list[Cost], answer: bool) -> None:
    assert may_ask(budget, costs, 4) is answer


def epochs_of(tuning) -> list[int]:
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        return [sum(trial.epochs for trial in arm.trials) for arm in read_result(tuning, store).arms]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("pruner", ["none", "hyperband"])
def test_epochs_are_never_exceeded_and_not_left_lying(toy, run, pruner: str, workers: int) -> None:
    rates = "{optimizer.lr: {float: [1e-4, 1.0], log: true}}"
    tuning = toy(pruner=pruner, budget="{epochs: 30}", arms="[plain/low, smooth/low]", space=rates)
    slots = tuple(Slot(number, "cpu", "cpu", 1, {}) for number in range(workers))
    trials = run(tuning, LocalExecutor(slots), workers=workers)
    spent = epochs_of(tuning)
    assert len(spent) == 2
    assert all(26 < epochs <= 30 for epochs in spent)  # less than one trial of four is left
    assert (pruner == "none") == all(trial.state == "complete" for trial in trials)


def test_a_larger_budget_goes_on_with_the_same_trials(toy, run) -> None:
    first = run(toy(budget="{trials: 3}"))
    more = run(toy(budget="{trials: 5}"))
    assert more[:3] == first
    assert len(more) == 5
    assert run(toy(budget="{trials: 5}")) == more


def test_another_space_is_another_tuning(toy, run) -> None:
    first = run(toy(budget="{trials: 2}"))
    other = run(toy(budget="{trials: 2}", space="{optimizer.lr: {float: [1e-4, 2.0], log: true}}"))
    assert {trial.tuning for trial in first}.isdisjoint(trial.tuning for trial in other)


def test_all_arms_have_the_same_budget_and_go_in_turns(toy, run) -> None:
    trials = run(toy(arms="all", budget="{trials: 3}"))
    assert [trial.arm for trial in trials] == [arm for arm in ("plain/low", "plain/high", "smooth/low", "smooth/high") for _ in range(3)]  # fmt: skip
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        runs = [result.run.run_id for result in reversed(store.list_runs())]
    by_run = {trial.run_ids[0]: trial.number for trial in trials}
    assert [by_run[run_id] for run_id in runs] == sorted(by_run[run_id] for run_id in runs)


def test_a_limit_is_taken_up_again(toy, run) -> None:
    tuning = toy(budget="{trials: 4}")
    assert [trial.state for trial in run(tuning, limit=3)] == ["complete"] * 3
    assert [trial.state for trial in run(tuning)] == ["complete"] * 4
