from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ablate.errors import NotFound
from ablate.store.store import Store
from ablate.study.records import Artifact, Confusion, EpochRecord, Outcome

Make = Callable[..., Any]


def record(store: Store, claim: Any, epoch: int, value: float, splits: tuple[str, ...] = ("train", "val")) -> None:
    store.record_epoch(claim, [EpochRecord(epoch, split, {"top1": value}) for split in splits])


def again(store: Store, claim: Any, remote: Make) -> Any:
    """The run's next attempt, after this one was lost."""
    store.lose(claim, "signal 9")
    return store.claim(claim.request_key, remote())


def test_a_done_run_has_all_that_was_recorded(store: Store, fake: Any, take: Make) -> None:
    claim = take()
    store.set_environment(claim, {"code": "abc", "packages": {"torch": "2.15"}}, "cpu/fp32", "cpu")
    record(store, claim, 1, 0.25)
    fake.pass_(5)
    confusion = Confusion("test", "last", ("cat", "dog"), ((3, 1), (0, 4)))
    files = (Artifact("checkpoint", "last.pt", 5_000_000_000, "ab" * 32), Artifact("log", "log.txt", 1, "cd" * 32))
    outcome = Outcome({"top1": 0.5, "peak_memory": 1e10}, "test", 7, (confusion,), files, {"train_examples": 100})
    store.finish(claim, outcome, 12.5)
    result = store.find(claim.run.run_id)
    assert result.run == claim.run
    assert (result.state, result.reported_split, result.selected_epoch) == ("done", "test", 7)
    assert (result.seconds, result.device, result.error, result.studies) == (12.5, "cpu", None, ("s",))
    assert result.metrics == {"top1": 0.5, "peak_memory": 1e10}
    assert result.epochs == {1: {"train_top1": 0.25, "val_top1": 0.25}}
    assert result.confusions == (confusion,)
    assert result.artifacts == files
    (attempt,) = result.attempts
    assert (attempt.number, attempt.state, attempt.worker, attempt.fingerprint) == (1, "done", "far", "cpu/fp32")
    assert attempt.environment == {"code": "abc", "packages": {"torch": "2.15"}}
    assert (attempt.started, attempt.ended) == (fake.now - 5, fake.now)
    assert store.states([claim.run.run_id])[claim.run.run_id].code == "abc"


def test_the_newest_attempt_of_each_epoch_and_split_counts(
    store: Store, take: Make, remote: Make, path: Path, url: str
) -> None:
    first = take()
    for epoch in (1, 2, 3):
        record(store, first, epoch, epoch / 10)
    store.record_epoch(first, [EpochRecord(2, "val", {"only_then": 1.0})])
    second = again(store, first, remote)
    for epoch in (2, 3, 4):  # its checkpoint was of epoch 1
        record(store, second, epoch, epoch / 100)
    store.finish(second, Outcome({"top1": 0.04}, "val"), 1.0)
    curves = {epoch: metrics["val_top1"] for epoch, metrics in store.find(first.run.run_id).epochs.items()}
    assert curves == {1: 0.1, 2: 0.02, 3: 0.03, 4: 0.04}
    assert "val_only_then" not in store.find(first.run.run_id).epochs[2]
    assert store.info().rows["epoch_metrics"] == 6 + 1 + 6  # nothing was deleted


def test_epochs_after_the_end_of_the_attempt_that_counts_are_left_out(store: Store, take: Make, remote: Make) -> None:
    first = take()
    for epoch in (1, 2, 3, 4):
        record(store, first, epoch, 0.1)
    second = again(store, first, remote)
    record(store, second, 2, 0.2)
    assert set(store.find(first.run.run_id).epochs) == {1, 2, 3, 4}  # not done yet: all that is known
    record(store, second, 3, 0.3)  # and stops early
    store.finish(second, Outcome({}, "val"), 1.0)
    assert set(store.find(first.run.run_id).epochs) == {1, 2, 3}


def test_an_attempt_that_only_finished_keeps_the_epochs_before_it(store: Store, take: Make, remote: Make) -> None:
    first = take()
    record(store, first, 1, 0.1)
    store.finish(again(store, first, remote), Outcome({}, "val"), 1.0)
    assert set(store.find(first.run.run_id).epochs) == {1}


def test_the_same_epoch_again_replaces_what_it_said(store: Store, take: Make) -> None:
    claim = take()
    record(store, claim, 1, 0.1)
    record(store, claim, 1, 0.2)
    assert store.find(claim.run.run_id).epochs[1]["val_top1"] == 0.2
    assert store.info().rows["epoch_metrics"] == 2


@pytest.mark.parametrize(
    ("splits", "reported", "expected"),
    [(("train", "val"), None, "val"), (("val", "test"), None, "test"), (("val", "test"), "val", "val")],
)
def test_the_reported_split_stands_without_a_prefix_too(
    store: Store, take: Make, splits: tuple[str, ...], reported: str | None, expected: str
) -> None:
    claim = take()
    store.record_epoch(claim, [EpochRecord(1, split, {"top1": len(split) / 10}) for split in splits])
    if reported:
        store.finish(claim, Outcome({}, reported), 1.0)
    epoch = store.find(claim.run.run_id).epochs[1]
    assert epoch["top1"] == epoch[f"{expected}_top1"] == len(expected) / 10


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_kept_as_null_and_handed_out_as_absent(store: Store, take: Make, value: float) -> None:
    claim = take()
    store.set_environment(claim, {"odd": value})
    store.record_epoch(claim, [EpochRecord(1, "val", {"loss": value, "top1": 0.1})])
    store.finish(claim, Outcome({"loss": value, "top1": 0.1}, details={"norms": [1.0, value]}), 1.0)
    result = store.find(claim.run.run_id)
    assert result.metrics == {"top1": 0.1}
    assert result.epochs == {1: {"val_top1": 0.1, "top1": 0.1}}
    assert result.attempts[0].environment == {"odd": None}

    def nulls(tx: Any) -> list[int]:
        return [
            tx.connection.scalar(sa.text(f"SELECT count(*) FROM {table} WHERE value IS NULL"))
            for table in ("epoch_metrics", "final_metrics")
        ]

    assert store._db.read(nulls) == [1, 1]


def test_numbers_of_numpy_and_paths_lose_no_result(store: Store, take: Make) -> None:
    import numpy as np

    claim = take()
    store.record_epoch(claim, [EpochRecord(int(np.int64(1)), "val", {"top1": np.float32(0.5)})])
    details = {"path": Path("x/y"), "epoch": np.int64(3), "rates": np.array([1.0, 2.0]), "split": ("a", "b"), 5: None}
    store.finish(claim, Outcome({"top1": np.float64(0.5)}, details=details), np.float64(2.0))
    result = store.find(claim.run.run_id)
    assert (result.metrics["top1"], result.epochs[1]["top1"], result.seconds) == (0.5, 0.5, 2.0)


def test_metrics_belong_to_done_runs_and_to_the_attempt_that_ended_them(
    store: Store, take: Make, make_study: Make, remote: Make
) -> None:
    claim = take()
    store.finish(claim, Outcome({"top1": 0.1, "gone": 1.0}, artifacts=(Artifact("log", "l", 1, "0" * 64),)), 1.0)
    store.requeue([claim.run.run_id], "other code", claim.request_key)
    queued = store.find(claim.run.run_id)
    assert (queued.metrics, queued.artifacts, queued.reported_split) == ({}, (), None)
    second = store.claim(claim.request_key, remote())
    assert second is not None
    store.finish(second, Outcome({"top1": 0.2}), 2.0)
    result = store.find(claim.run.run_id)
    assert (result.metrics, result.artifacts, result.seconds) == ({"top1": 0.2}, (), 2.0)
    assert [attempt.state for attempt in result.attempts] == ["done", "done"]


def test_results_come_in_the_order_asked_for_and_in_few_queries(store: Store, make_study: Make, remote: Make) -> None:
    study = make_study(40)
    key = store.save_study(study, call_options={})
    for number in range(20):
        claim = store.claim(key, remote())
        assert claim is not None
        record(store, claim, 1, number / 100)
        store.finish(claim, Outcome({"top1": number / 100}), 1.0)
    ids = [run.run_id for run in reversed(study.runs)]
    sent: list[str] = []
    sa.event.listen(store._db.engine, "before_cursor_execute", lambda *a: sent.append(a[2]))
    few = store.results(ids[-2:])
    count = len(sent)
    found = store.results([*ids, "unknown", ids[0]])
    assert len(sent) - count == count
    assert list(found) == ids
    assert list(few) == ids[-2:]
    assert [result.metrics for result in found.values()][-2:] == [{"top1": 0.01}, {"top1": 0.0}]
    assert all(not result.epochs for result in store.results(ids, epochs=False).values())


def test_results_are_detached(url: str, take: Make, store: Store) -> None:
    claim = take()
    result = store.find(claim.run.run_id)
    store.close()
    assert result.run == claim.run
    assert hash(result.attempts[0].number) == 1


# Finding and listing --------------------------------------------------------------------------------------------------


def test_a_run_is_found_by_any_unique_prefix(store: Store, make_study: Make) -> None:
    study = make_study(30)
    store.save_study(study, call_options={})
    ids = sorted(run.run_id for run in study.runs)
    for run_id in ids:
        assert store.find(run_id).run.run_id == store.find(f" {run_id[:12].upper()} ").run.run_id == run_id
    shared = next(run_id[:1] for run_id in ids if sum(other[0] == run_id[0] for other in ids) > 1)
    candidates = [run_id for run_id in ids if run_id.startswith(shared)]
    with pytest.raises(NotFound) as caught:
        store.find(shared)
    assert str(caught.value).startswith(
        f"several runs start with {shared!r}: {candidates[0][:12]}, {candidates[1][:12]}"
    )
    with pytest.raises(NotFound) as caught:
        store.find(ids[0][:8] + "zz")
    assert str(caught.value) == f"no run starts with '{ids[0][:8]}zz'. Nearest: {ids[0][:12]}."
    for prefix in ("", "zz", "%", "_" * 64):
        with pytest.raises(NotFound, match=r"no run starts with .* `ablate runs list` shows them"):
            store.find(prefix)


def test_runs_are_listed_by_state_with_a_limit(store: Store, make_study: Make, remote: Make) -> None:
    study = make_study(5)
    key = store.save_study(study, call_options={})
    claim = store.claim(key, remote())
    assert claim is not None
    store.fail(claim, "boom")
    assert [result.run for result in store.list_runs(study="s", limit=3)] == list(study.runs[:3])
    assert [result.run for result in store.list_runs(states=["failed"])] == [claim.run]
    assert [result.run for result in store.list_runs(limit=1)] == [study.runs[-1]]
    assert store.list_runs(states=[]) == []
    with pytest.raises(NotFound, match=r"unknown state 'finished'\. The states: queued, running, done"):
        store.list_runs(states=["finished"])


def test_timings_count_the_epochs_that_the_timed_attempt_trained(store: Store, take: Make, remote: Make) -> None:
    claim = take()
    store.set_environment(claim, {}, None, "cuda: H200")
    for epoch in (1, 2, 3):
        record(store, claim, epoch, 0.1)
    second = again(store, claim, remote)
    store.set_environment(second, {}, None, "cuda: H200")
    for epoch in (3, 4):
        record(store, second, epoch, 0.1)
    store.finish(second, Outcome({}, details={"train_examples": 500}), 8.0)
    (timing,) = store.timings()
    assert timing.shape is not None
    assert timing.shape[:4] == ("a", 32, 8, "fp32")
    assert (timing.epochs, timing.seconds) == (2, 8.0)
    assert timing.seconds_per_epoch == 4.0


def test_timings_take_any_recipe(store: Store, take: Make, make_run: Make) -> None:
    odd = make_run("odd", model="a text", epochs=None)
    store.finish(take(run=odd), Outcome({}), 8.0)
    store.finish(take(run=make_run("plain")), Outcome({}), 8.0)
    (timing,) = store.timings()
    assert timing.shape is not None
    assert (timing.shape[0], timing.epochs) == ("plain", 2)
