"""Leases against a clock that the test turns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from toy_store import ToyStore, make_run

from ablate.dispatch.contract.signals import StopFlag
from ablate.dispatch.worker.lease import Lease
from ablate.errors import LeaseLost
from ablate.study.records import EpochRecord

RECORDS = [EpochRecord(1, "val", {"top1": 0.5})]


class World:
    def __init__(self, toys: ToyStore) -> None:
        self.now = 100.0
        self.store = toys
        self.told: list[str] = []
        self.stop = StopFlag()
        claim = toys.take(make_run(1).run_id)
        self.queue = toys.open()
        self.lease = Lease(self.queue, claim, 60.0, self.stop, self.told.append, clock=lambda: self.now)


@pytest.fixture
def world(monkeypatch, toy_store) -> Iterator[World]:
    monkeypatch.setattr("ablate.dispatch.worker.lease.RETRY_AFTER", 0.0)
    made = World(toy_store(make_run(1)))
    yield made
    made.queue.close()


def test_a_heartbeat_is_due_after_a_third_of_the_lease(world):
    world.now = 119.9
    assert not world.lease.beat()
    world.now = 120.0
    assert world.lease.beat()
    assert (world.lease.deadline, world.lease.next_beat) == (180.0, 140.0)
    assert world.store.calls == [("heartbeat", make_run(1).run_id)]


def test_a_heartbeat_that_fails_is_tried_again_soon_and_says_so(world):
    world.store.busy = ["heartbeat"]
    world.now = 120.0
    assert not world.lease.beat()
    assert (world.lease.deadline, world.lease.next_beat) == (160.0, 125.0)
    assert world.told == [
        "the heartbeat did not reach the results database, trying again: the database is locked (heartbeat)"
    ]
    world.now = 125.0
    assert world.lease.beat()
    assert world.lease.deadline == 185.0


def test_a_database_that_is_away_for_the_whole_lease_loses_it(world):
    world.store.busy = ["heartbeat"]
    world.now = 160.0
    with pytest.raises(
        LeaseLost, match="did not answer within the lease of 60 s, so the run may be another worker's now"
    ):
        world.lease.beat()


def test_a_write_is_tried_until_the_lease_ends(world):
    world.store.busy = ["record_epoch"] * 3
    world.lease.record(RECORDS)
    assert world.store.of(1).result.epochs == {1: {"val_top1": 0.5, "top1": 0.5}}
    assert len(world.told) == 1
    world.now = 160.0
    world.store.busy = ["record_epoch"]
    with pytest.raises(LeaseLost):
        world.lease.record(RECORDS)


def test_nobody_waits_for_a_busy_database_after_a_second_signal(world):
    world.stop.request()
    world.stop.request()
    world.store.busy = ["release"] * 2
    with pytest.raises(LeaseLost, match="stopped while the results database did not answer"):
        world.lease.release("in a hurry")
    assert world.store.busy == ["release"]


def test_a_newer_attempt_refuses_every_write(world):
    world.store.steal(make_run(1).run_id)
    world.now = 130.0
    for write in (
        world.lease.beat,
        lambda: world.lease.record(RECORDS),
        lambda: world.lease.fail("x", "error"),
        lambda: world.lease.lose("x"),
        lambda: world.lease.release("x"),
        lambda: world.lease.set_environment({}, None, "cpu"),
    ):
        with pytest.raises(LeaseLost):
            write()
