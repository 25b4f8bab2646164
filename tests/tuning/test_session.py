"""Asking, training, telling: with toy trainers, in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_tuning import top1

from ablate.dispatch.contract.slots import Slot
from ablate.dispatch.processes.local import LocalExecutor
from ablate.store.store import Store
from ablate.store.values import StoredTrial
from ablate.study.loader import Choices, load
from ablate.tuning.session import Session

Make = Callable[..., object]


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "random"])
def test_a_session_that_was_built_again_goes_on_as_it_would_have(toy, run, tmp_path, monkeypatch, sampler: str) -> None:
    def tuning(count: int) -> object:
        return toy(sampler=f"{{name: {sampler}, seed: 3}}", budget=f"{{trials: {count}}}")

    whole = run(tuning(14))
    monkeypatch.setenv("ABLATE_DB", f"sqlite:///{tmp_path / 'second.db'}")
    for count in (3, 9, 12, 14):
        broken = run(tuning(count))
    assert [trial.params for trial in whole] == [trial.params for trial in broken]


@pytest.mark.slow
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


def test_a_tuning_is_one_request_whoever_asks_and_however_often(toy) -> None:
    """Never one a trial: a second asker joins what the first one asked for, and either has the other's trials trained."""
    tuning = toy(budget="{trials: 6}")
    with Store.open(os.environ["ABLATE_DB"]) as store:
        first, second = Session(tuning, store), Session(tuning, store)
        assert first.key == second.key
        for session in (first, second, first):
            session.step(2)
            session.step(len(session.runs.runs) + 1)
        (request,) = store.requests(first.name)
        assert request.key == first.key
        assert store.waiting(first.key).queued == sum(open_ for _, open_ in first.counts().values()) > 2
        other = Session(toy(budget="{trials: 6}", seeds="2"), store)
        assert other.key != first.key, "another tuning of the same study"


@pytest.mark.slow
@pytest.mark.usefixtures("both")
def test_eight_workers_try_every_cell_of_a_grid_once(toy, run) -> None:
    tuning = toy(
        space="{optimizer.lr: {values: [0.001, 0.01, 0.1]}, loss.label_smoothing: {float: [0.0, 0.3], step: 0.1}}",
        sampler="grid", budget=None,
    )  # fmt: skip
    slots = tuple(Slot(number, "cpu", "cpu", 1, {}) for number in range(8))
    trials = run(tuning, LocalExecutor(slots), workers=8)
    cells = {(trial.params["optimizer.lr"], trial.params["loss.label_smoothing"]) for trial in trials}
    assert cells == {(rate, epsilon) for rate in (0.001, 0.01, 0.1) for epsilon in (0.0, 0.1, 0.2, 0.3)}
    assert (len(trials), {trial.state for trial in trials}) == (12, {"complete"})
    assert starts(trials) == [1] * 12


@pytest.mark.slow
def test_a_suggestion_that_comes_again_is_not_trained_again(toy, run) -> None:
    tuning = toy(space="{optimizer.lr: {values: [0.001, 0.01]}}", budget="{trials: 9}")
    trials = run(tuning)
    assert len(trials) == 9
    assert {trial.state for trial in trials} == {"complete"}
    by_rate = {trial.params["optimizer.lr"]: trial for trial in trials}
    assert len(by_rate) == 2
    assert starts(list(by_rate.values())) == [1, 1]
    assert all(trial.value == by_rate[trial.params["optimizer.lr"]].value for trial in trials)


@pytest.mark.slow
def test_what_tuning_has_trained_is_done_for_the_study(toy, run) -> None:
    tuning = toy(space="{optimizer.lr: {values: [0.01, 0.1]}}", sampler="grid", budget=None, arms="all")
    run(tuning)
    study = load(Path(tuning.file).with_name("toy.yaml"), Choices(seeds=1))
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        assert {state.state for state in store.states([run.run_id for run in study.runs]).values()} == {"done"}
        assert len(store.list_runs()) == len(study.runs) == 4


@pytest.mark.slow
def test_a_diverged_trial_has_failed_and_the_others_go_on(toy, run) -> None:
    trials = run(toy(space="{optimizer.lr: {values: [0.01, 9.0, 0.1]}}", sampler="grid", budget=None))
    assert [trial.state for trial in trials] == ["complete", "failed", "complete"]
    assert trials[1].error == "diverged: the loss is nan at step 3"
    assert (trials[1].value, trials[2].told) == (None, 2)


@pytest.mark.slow
def test_values_that_contradict_each_other_fail_without_a_run(toy, run) -> None:
    trials = run(toy(space="{schedule.warmup_epochs: {int: [2, 5]}}", sampler="grid", budget=None))
    assert [(trial.state, len(trial.run_ids)) for trial in trials] == [("complete", 1)] * 2 + [("failed", 0)] * 2
    assert (
        trials[2].error == "a warm-up of 4 epochs leaves nothing of the 4; schedule.warmup_epochs must be below epochs."
    )


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_pruned_trial_is_a_state_of_its_own_and_keeps_its_epochs(toy, run, pruner: str) -> None:
    tuning = toy(pruner=pruner, recipe="{epochs: 9}", budget="{trials: 20}")
    trials = run(tuning)
    assert len(trials) == 20
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    assert {trial.state for trial in trials} == {"pruned", "complete"}
    best = max(trial.value for trial in trials if trial.state == "complete")
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        results = store.results([trial.run_ids[0] for trial in pruned])
    for trial in pruned:
        result = results[trial.run_ids[0]]
        assert (result.state, result.attempts[-1].state) == ("pruned", "pruned")
        assert 1 <= max(result.epochs) < 9
        assert trial.value == result.epochs[max(result.epochs)]["val_top1"] < best
        assert trial.error == f"trial {trial.number} was pruned by {pruner} after epoch {max(result.epochs)}"
    if pruner == "hyperband":
        assert {max(results[trial.run_ids[0]].epochs) for trial in pruned} <= {1, 3}


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "local"])
def test_pruned_alike_in_this_process_and_in_workers(toy, run, executor: str) -> None:
    tuning = toy(pruner="median", budget="{trials: 9}")
    trials = run(tuning, None if executor == "inline" else LocalExecutor((Slot(0, "cpu", "cpu", 1, {}),)))
    assert [trial.state for trial in trials] == ["complete"] * 5 + ["complete", "pruned", "pruned", "pruned"]


@pytest.mark.slow
def test_a_pruned_trial_is_trained_to_its_end_by_a_tuning_that_does_not_prune(toy, run) -> None:
    tuning = toy(pruner="median", budget="{trials: 9}")
    pruned = next(trial for trial in run(tuning) if trial.state == "pruned")
    again = [trial for trial in run(toy(pruner="none", budget="{trials: 9}")) if trial.params == pruned.params]
    assert [(trial.state, trial.run_ids) for trial in again] == [("complete", pruned.run_ids)]
    assert (Path(os.environ["ABLATE_HOME"]) / "runs" / pruned.run_ids[0][:2] / pruned.run_ids[0] / "starts").read_text().split() == ["0", "1"]  # fmt: skip


@pytest.mark.slow
def test_several_seeds_are_judged_together(toy, run) -> None:
    trials = run(toy(pruner="median", budget="{trials: 10}", seeds="2"))
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        first, second = store.results(pruned[0].run_ids).values()
    assert (first.state, second.state) == ("done", "pruned")  # one worker: the first seed was alone
    reached = max(second.epochs)
    mean = (first.epochs[reached]["val_top1"] + second.epochs[reached]["val_top1"]) / 2
    assert pruned[0].value == pytest.approx(mean)


def starts(trials: list[StoredTrial]) -> list[int]:
    """How often the first run of each trial was begun."""
    runs = Path(os.environ["ABLATE_HOME"]) / "runs"
    return [len((runs / t.run_ids[0][:2] / t.run_ids[0] / "starts").read_text().split()) for t in trials]
