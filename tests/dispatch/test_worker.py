"""The loop that claims: limits, failures, waiting for others, a database that is busy."""

from __future__ import annotations

import pytest
from memory_store import MemoryStore, make_run

from ablate.dispatch.contract import events
from ablate.dispatch.processes.inline import InlineExecutor
from ablate.dispatch.processes.local import LocalExecutor
from ablate.errors import AblateError, RunFailure, StoreError


@pytest.mark.parametrize("count", [1, 3])
def test_a_limit_counts_claims_exactly(request_for, slots, count):
    store = MemoryStore(*(make_run(number, "raise" if number == 1 else "ok") for number in range(8)))
    report = LocalExecutor(slots(count)).run(request_for(store, limit=4))
    assert (report.done, report.failed) == (3, 1)
    assert list(store.states().values()).count("queued") == 4


def test_fail_fast_claims_nothing_after_the_first_failure(request_for):
    store = MemoryStore(*(make_run(number, "raise" if number == 1 else "ok") for number in range(5)))
    report = InlineExecutor().run(request_for(store, fail_fast=True))
    assert store.states() == {0: "done", 1: "failed", 2: "queued", 3: "queued", 4: "queued"}
    assert report.exit_code == 4


def test_without_fail_fast_a_failure_stops_nothing(request_for):
    store = MemoryStore(*(make_run(number, "raise" if number == 1 else "ok") for number in range(5)))
    assert InlineExecutor().run(request_for(store)).done == 4


def test_it_waits_for_runs_leased_elsewhere_and_takes_them_when_they_expire(request_for, seen):
    elsewhere, ours = make_run(1), make_run(2)
    store = MemoryStore(elsewhere, ours)
    entry = store.of(1)
    entry.state, entry.attempt = "running", 1
    looks = []

    def expire(name: str, run_id: str) -> None:
        if name == "waiting" and store.of(2).state == "done":
            looks.append(name)
            if len(looks) == 3:
                entry.state = "queued"

    store.on_call = expire
    report = InlineExecutor().run(request_for(store))
    assert report.done == 2
    assert entry.attempt == 2
    assert [event.reason for event in seen.of(events.Waiting)] == ["for runs of other workers or slots to end"]


def test_runs_that_end_elsewhere_end_the_wait(request_for):
    store = MemoryStore(make_run(1))
    entry = store.of(1)
    entry.state = "running"
    looks = []

    def end(name: str, run_id: str) -> None:
        looks.append(name)
        if len(looks) == 4:
            entry.state = "done"

    store.on_call = end
    report = InlineExecutor().run(request_for(store))
    assert (report.done, report.exit_code) == (0, 0)


@pytest.mark.parametrize("count", [1, 2])
def test_runs_of_dead_workers_are_taken_over_at_once(request_for, slots, count):
    """Only a claim ends the lease of a dead process, so somebody has to ask for one although nothing is queued."""
    store = MemoryStore(make_run(1), make_run(2))
    for seed in (1, 2):
        store.of(seed).state, store.of(seed).attempt, store.of(seed).lapsed = "running", 1, True
    assert LocalExecutor(slots(count)).run(request_for(store)).done == 2
    assert store.of(1).attempt == 2


def test_an_idle_slot_takes_over_what_another_one_unlocks(request_for, slots):
    parent = make_run(1)
    store = MemoryStore(parent, *(make_run(number, parent=parent.run_id) for number in (2, 3)))
    assert LocalExecutor(slots(2)).run(request_for(store, poll=20.0)).done == 3


def test_queued_runs_that_nobody_can_claim_do_not_keep_it_for_ever(request_for):
    absent = make_run(9)
    store = MemoryStore(make_run(1, parent=absent.run_id), absent)
    store.of(9).state = "cancelled"
    report = InlineExecutor().run(request_for(store))
    (error,) = report.errors
    assert isinstance(error, RunFailure)
    assert str(error) == (
        "1 run is queued, but none can start and none is running; `ablate status` shows what is missing"
    )


def test_a_busy_database_is_asked_again(request_for, seen):
    store = MemoryStore(make_run(1))
    store.busy = ["claim"] * 4
    assert InlineExecutor().run(request_for(store)).done == 1
    assert [event.reason for event in seen.of(events.Waiting)] == [
        "the results database does not answer, trying again: the database is locked (claim)"
    ]


def test_a_database_that_stays_away_ends_the_grid(request_for):
    store = MemoryStore(make_run(1))
    store.busy = ["claim"] * 9
    report = InlineExecutor().run(request_for(store))
    assert isinstance(report.errors[0], StoreError)
    assert report.exit_code == 6
    assert store.calls.count(("claim", "")) == 5


def test_a_result_waits_for_a_busy_database(request_for, seen, monkeypatch):
    monkeypatch.setattr("ablate.dispatch.worker.lease.RETRY_AFTER", 0.001)
    store = MemoryStore(make_run(1))
    store.busy = ["record_epoch", "record_epoch", "finish", "set_environment"]
    assert InlineExecutor().run(request_for(store)).done == 1
    assert len(store.of(1).epochs) == 2
    assert seen.of(events.Waiting)[0].reason == (
        "the results database does not answer, trying again: the database is locked (set_environment)"
    )


def test_a_defect_of_the_supervisor_releases_the_run_and_is_reported(request_for, seen):
    store = MemoryStore(make_run(1), make_run(2))

    def broken(event: events.RunStarted) -> None:
        raise ZeroDivisionError("a display that cannot count")

    seen.then[events.EpochDone] = broken
    report = LocalExecutor().run(request_for(store, workers=1))
    assert store.states() == {1: "queued", 2: "queued"}
    (error,) = report.errors
    assert type(error) is AblateError
    assert "ZeroDivisionError: a display that cannot count" in str(error)
    assert report.exit_code == 1


def test_a_report_counts_each_run_by_its_last_state():
    report = events.GridReport(done=3, lost=1, interrupted=2)
    assert report.exit_code == 130
    assert events.GridReport(done=3, blocked=1).exit_code == 4
    assert events.GridReport(failed=1, errors=(StoreError("locked"),)).exit_code == 6
    assert events.GridReport(done=3, fenced=1, released=1).exit_code == 0
