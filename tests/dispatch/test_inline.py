"""The inline executor, and that it tells the same story as worker processes do."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from toy_store import ToyStore, make_run

from ablate.dispatch.contract import events
from ablate.dispatch.contract.executor import attempt_log
from ablate.dispatch.processes.inline import InlineExecutor
from ablate.dispatch.processes.local import LocalExecutor
from ablate.errors import RunFailure

ACTS = ["ok", "raise", "diverge", "bad_data", "oom", "exit", "ok"]


def story(store: ToyStore) -> list[object]:
    """What the store knows in the end, but for what differs between processes."""
    entries = [store.of(run.seed) for run in store.runs]
    return [
        (
            entry.kind,
            entry.ends,
            [attempt.fingerprint for attempt in entry.result.attempts],
            replace(entry.result, attempts=(), seconds=None, error=None, details={}),
        )
        for entry in entries
    ]


@pytest.mark.slow
def test_inline_and_local_give_the_same_results(request_for, toy_store, slots):
    stores = [toy_store(*(make_run(number, act) for number, act in enumerate(ACTS))) for _ in range(2)]
    inline = InlineExecutor().run(request_for(stores[0], threads=1))
    local = LocalExecutor(slots(1)).run(request_for(stores[1]))
    assert story(stores[0]) == story(stores[1])
    assert (inline.done, inline.failed) == (local.done, local.failed) == (2, 5)


def test_inline_trains_in_the_calling_thread_and_heartbeats_from_another(request_for, toy_store, monkeypatch):
    import toy_fits

    store = toy_store(make_run(1, "in_the_test"))
    beaten = threading.Event()
    threads = {}

    def on_call(name: str, run_id: str) -> None:
        threads[name] = threading.current_thread()
        if name == "heartbeat":
            beaten.set()

    def act(run, context):
        threads["fit"] = threading.current_thread()
        assert beaten.wait(20)

    store.on_call = on_call
    monkeypatch.setitem(toy_fits.ACTS, "in_the_test", act)
    assert InlineExecutor().run(request_for(store, ttl=0.06)).done == 1
    assert threads["fit"] is threads["finish"] is threading.current_thread()
    assert threads["heartbeat"] is not threads["fit"]


def test_a_trainer_is_unwound_where_its_lease_is_lost(request_for, toy_store, monkeypatch, tmp_path):
    import toy_fits

    store = toy_store(make_run(1, "in_the_test"))
    refused = threading.Event()

    def on_call(name: str, run_id: str) -> None:
        if name == "heartbeat":
            store.steal(run_id)
            refused.set()

    def act(run, context):
        assert refused.wait(20)
        while not context.should_stop():
            pass

    store.on_call = on_call
    monkeypatch.setitem(toy_fits.ACTS, "in_the_test", act)
    report = InlineExecutor().run(request_for(store, ttl=0.06, limit=1))
    assert report.fenced == 1
    assert store.of(1).ends == ["cancelled", "running"]


def test_a_failure_leaves_its_traceback_in_the_log(request_for, toy_store, tmp_path):
    InlineExecutor().run(request_for(toy_store(make_run(1, "raise"))))
    log = attempt_log(tmp_path / "home", make_run(1).run_id, 1)
    assert log.read_text().endswith("ValueError: no such thing\n")


def test_a_trainer_that_cannot_be_loaded_costs_no_run(request_for, toy_store):
    store = toy_store(make_run(1))
    report = InlineExecutor().run(request_for(store, fit="no_such_module:fit"))
    assert isinstance(report.errors[0], RunFailure)
    assert store.states() == {1: "queued"}
    assert report.exit_code == 4


@pytest.mark.parametrize("act", ["no_space", "enospc"])
def test_a_full_disk_gives_the_run_back(request_for, toy_store, act):
    store = toy_store(make_run(1, act))
    report = InlineExecutor().run(request_for(store))
    assert store.states() == {1: "queued"}
    assert report.exit_code == 8


def test_children_of_a_run_wait_for_it(request_for, toy_store, seen):
    parent = make_run(1)
    store = toy_store(make_run(2, parent=parent.run_id), parent)
    InlineExecutor().run(request_for(store))
    assert [event.run.seed for event in seen.of(events.RunStarted)] == [1, 2]
