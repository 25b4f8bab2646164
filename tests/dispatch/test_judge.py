"""A judge ends a run early: it checkpoints, is recorded as pruned, and its worker goes on with the next."""

from __future__ import annotations

import pytest
from toy_store import make_run

from ablate.dispatch.contract.events import RunEnded
from ablate.dispatch.executors import get_executor


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_judged_run_checkpoints_and_is_pruned(request_for, toy_store, seen, tmp_path, executor: str) -> None:
    store = toy_store(make_run(1, "until_told"), make_run(2))

    def judge(run, records):
        return "too slow" if run.seed == 1 else None

    report = get_executor(executor).run(request_for(store, judge=judge, workers=1))
    assert store.states() == {1: "pruned", 2: "done"}
    assert (store.of(1).ends, store.of(1).error, [*store.of(1).result.epochs]) == (["pruned"], "too slow", [1])
    assert (report.pruned, report.done, report.exit_code) == (1, 1, 0)
    assert [(event.state, event.error) for event in seen.of(RunEnded)] == [("pruned", "too slow"), ("done", None)]
    (checkpoint,) = (tmp_path / "home").glob("runs/*/*/checkpoint")
    assert checkpoint.read_text() == "15"


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_run_that_ends_anyway_is_done(request_for, toy_store, executor: str) -> None:
    store = toy_store(make_run(1))
    judged = []

    def judge(run, records):
        judged.append(records[0].epoch)
        return "too slow" if records[0].epoch == 2 else None

    get_executor(executor).run(request_for(store, judge=judge, workers=1))
    assert (judged, store.states()) == ([1, 2], {1: "done"})


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_what_is_told_after_the_verdict_is_not_recorded(request_for, toy_store, executor: str) -> None:
    """A script prints on until it is stopped: how far it got is a matter of chance, and what a tuning learns must not be."""
    store = toy_store(make_run(1))
    judged = []

    def judge(run, records):
        judged.append(records[0].epoch)
        return "too slow"

    get_executor(executor).run(request_for(store, judge=judge, workers=1))
    assert judged == [1]
    assert len(store.of(1).result.epochs) == 1


def test_a_trainer_that_does_not_listen_is_ended_and_pruned(request_for, toy_store) -> None:
    store = toy_store(make_run(1, "stubborn"), make_run(2))
    judge = lambda run, records: "too slow" if run.seed == 1 else None  # noqa: E731
    get_executor("local").run(request_for(store, judge=judge, workers=1, grace=0.05))
    assert store.states() == {1: "pruned", 2: "done"}
