"""The loop that claims: limits, failures, waiting for others, a database that is busy."""

from __future__ import annotations

import subprocess
import sys

import pytest
from toy_store import make_run

from ablate.dispatch.contract import events
from ablate.dispatch.processes.inline import InlineExecutor
from ablate.dispatch.processes.local import LocalExecutor
from ablate.errors import AblateError, RunFailure, StoreError
from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.store.values import TTL
from ablate.study.records import Outcome


@pytest.mark.parametrize("count", [1, 3])
def test_a_limit_counts_claims_exactly(request_for, toy_store, slots, count):
    store = toy_store(*(make_run(number, "raise" if number == 1 else "ok") for number in range(8)))
    report = LocalExecutor(slots(count)).run(request_for(store, limit=4))
    assert (report.done, report.failed) == (3, 1)
    assert list(store.states().values()).count("queued") == 4


def test_fail_fast_claims_nothing_after_the_first_failure(request_for, toy_store):
    store = toy_store(*(make_run(number, "raise" if number == 1 else "ok") for number in range(5)))
    report = InlineExecutor().run(request_for(store, fail_fast=True))
    assert store.states() == {0: "done", 1: "failed", 2: "queued", 3: "queued", 4: "queued"}
    assert report.exit_code == 4


def test_without_fail_fast_a_failure_stops_nothing(request_for, toy_store):
    store = toy_store(*(make_run(number, "raise" if number == 1 else "ok") for number in range(5)))
    assert InlineExecutor().run(request_for(store)).done == 4


def test_it_waits_for_runs_leased_elsewhere_and_takes_them_when_they_expire(request_for, toy_store, seen):
    elsewhere, ours = make_run(1), make_run(2)
    store = toy_store(elsewhere, ours)
    store.take(elsewhere.run_id)
    looks = []

    def expire(name: str, run_id: str) -> None:
        if name == "waiting" and store.of(2).state == "done":
            looks.append(name)
            if len(looks) == 3:
                store.ahead = 2 * TTL

    store.on_call = expire
    report = InlineExecutor().run(request_for(store))
    assert report.done == 2
    assert store.of(1).ends == ["lost", "done"]
    assert [event.reason for event in seen.of(events.Waiting)] == ["for runs of other workers or slots to end"]


def test_runs_that_end_elsewhere_end_the_wait(request_for, toy_store):
    store = toy_store(make_run(1))
    claim = store.take(make_run(1).run_id)
    looks = []

    def end(name: str, run_id: str) -> None:
        looks.append(name)
        if len(looks) == 4:
            store.unwatched.finish(claim, Outcome({}), 1.0)

    store.on_call = end
    report = InlineExecutor().run(request_for(store))
    assert (report.done, report.exit_code) == (0, 0)


@pytest.mark.parametrize("count", [1, 2])
def test_runs_of_dead_workers_are_taken_over_at_once(request_for, toy_store, slots, count):
    """Only a claim ends the lease of a dead process, so somebody has to ask for one although nothing is queued."""
    store = toy_store(make_run(1), make_run(2))
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        for seed in (1, 2):
            store.take(make_run(seed).run_id, WorkerInfo.here(pid=process.pid))
    assert LocalExecutor(slots(count)).run(request_for(store)).done == 2
    assert store.of(1).ends == ["lost", "done"]


def test_an_idle_slot_takes_over_what_another_one_unlocks(request_for, toy_store, slots):
    parent = make_run(1)
    store = toy_store(parent, *(make_run(number, parent=parent.run_id) for number in (2, 3)))
    assert LocalExecutor(slots(2)).run(request_for(store, poll=20.0)).done == 3


def test_runs_whose_parent_is_cancelled_are_blocked(request_for, toy_store):
    absent = make_run(9)
    store = toy_store(make_run(1, parent=absent.run_id), absent)
    store.unwatched.cancel([absent.run_id])
    report = InlineExecutor().run(request_for(store))
    assert (report.blocked, report.errors, report.exit_code) == (1, (), 4)


def test_queued_runs_that_no_claim_gets_do_not_keep_it_for_ever(request_for, toy_store, monkeypatch):
    monkeypatch.setattr(Store, "claim", lambda *_: None)
    report = InlineExecutor().run(request_for(toy_store(make_run(1))))
    (error,) = report.errors
    assert isinstance(error, RunFailure)
    assert str(error) == (
        "1 run is queued, but none can start and none is running; `ablate status` shows what is missing"
    )


def test_a_busy_database_is_asked_again(request_for, toy_store, seen):
    store = toy_store(make_run(1))
    store.busy = ["claim"] * 4
    assert InlineExecutor().run(request_for(store)).done == 1
    assert [event.reason for event in seen.of(events.Waiting)] == [
        "the results database does not answer, trying again: the database is locked (claim)"
    ]


def test_a_database_that_stays_away_ends_the_grid(request_for, toy_store):
    store = toy_store(make_run(1))
    store.busy = ["claim"] * 9
    report = InlineExecutor().run(request_for(store))
    assert isinstance(report.errors[0], StoreError)
    assert report.exit_code == 6
    assert store.calls.count(("claim", "")) == 5


def test_a_result_waits_for_a_busy_database(request_for, toy_store, seen, monkeypatch):
    monkeypatch.setattr("ablate.dispatch.worker.lease.RETRY_AFTER", 0.001)
    store = toy_store(make_run(1))
    store.busy = ["record_epoch", "record_epoch", "finish", "set_environment"]
    assert InlineExecutor().run(request_for(store)).done == 1
    assert [*store.of(1).result.epochs] == [1, 2]
    assert seen.of(events.Waiting)[0].reason == (
        "the results database does not answer, trying again: the database is locked (set_environment)"
    )


def test_a_defect_of_the_supervisor_releases_the_run_and_is_reported(request_for, toy_store, seen):
    store = toy_store(make_run(1), make_run(2))

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
