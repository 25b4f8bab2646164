"""A PostgreSQL whose connections are cut and which is crashed: what was acknowledged is there, and nothing twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from claimers import go, processes
from lives import OUTCOME, life
from postgres_server import Room, Server

from ablate.errors import StoreError
from ablate.store import queue
from ablate.store.store import Store

pytestmark = pytest.mark.postgres
Make = Callable[..., Any]


class Wire:
    """Cuts a store's connection at one moment: before its nth statement or commit, or after a commit, unanswered."""

    def __init__(self, store: Store) -> None:
        self.moments = 0
        self.moments_of_first_commit = 0
        self.cut_at: int | None = None
        self.cuts = 0
        engine = store._db.engine
        sa.event.listen(engine, "before_cursor_execute", lambda connection, *rest: self._pass(connection))
        sa.event.listen(engine, "commit", self._commit)

    def _commit(self, connection: sa.Connection) -> None:
        self._pass(connection)
        self.moments_of_first_commit = self.moments_of_first_commit or self.moments
        if self._is_now():
            connection.connection.driver_connection.commit()
            self._cut(connection)

    def _pass(self, connection: sa.Connection) -> None:
        if self._is_now():
            self._cut(connection)

    def _is_now(self) -> bool:
        self.moments += 1
        return self.moments - 1 == self.cut_at

    def _cut(self, connection: sa.Connection) -> None:
        self.cuts += 1
        connection.connection.driver_connection.close()


def lives(make_run: Make, make_study: Make, remote: Make, dump: Make, postgres: Any, fake_: Make, step: int) -> int:
    """The same life with a cut at each `step`-th moment; how many moments there were."""

    def live(cut_at: int | None) -> tuple[Any, Wire]:
        fake = fake_()
        with Store.open(postgres.ready(), clock=fake.clock, timeout=5) as store:
            wire = Wire(store)
            wire.cut_at = cut_at
            life(store, fake, make_run, make_study, remote)
            assert store.check() == []
            return dump(store), wire

    undisturbed, wire = live(None)
    for moment in range(0, wire.moments - 20, step):  # the last ones are those of the dump
        found, cut = live(moment)
        assert (cut.cuts, found) == (1, undisturbed), f"cut at moment {moment}"
    return wire.moments


@pytest.mark.slow
def test_a_connection_cut_at_some_moments_changes_nothing(
    make_run: Make, make_study: Make, remote: Make, dump: Make, postgres: Any, fake: Any
) -> None:
    assert lives(make_run, make_study, remote, dump, postgres, type(fake), step=29) > 100


@pytest.mark.slow
def test_a_connection_cut_at_many_moments_changes_nothing(
    make_run: Make, make_study: Make, remote: Make, dump: Make, postgres: Any, fake: Any
) -> None:
    lives(make_run, make_study, remote, dump, postgres, type(fake), step=3)


def test_a_claim_whose_answer_got_lost_is_recognised(postgres: Any, make_study: Make, remote: Make) -> None:
    """The second try finds what the first has committed, and takes no other run."""
    with Store.open(postgres.ready()) as store:
        key = store.save_study(make_study(2), call_options={})
        wire = Wire(store)
        store.release(store.claim(key, remote("first")), "back")
        undisturbed = Wire(store)
        store.release(store.claim(key, remote("first")), "back")
        wire.cut_at = wire.moments + undisturbed.moments_of_first_commit
        claim = store.claim(key, remote("second"))
        assert wire.cuts == 1
        assert (claim.attempt, claim.worker) == (3, "second")
        one, other = store.list_runs()
        assert [attempt.state for attempt in other.attempts] == ["released", "released", "running"]
        assert one.attempts == ()


def test_a_request_whose_answer_got_lost_is_written_once(postgres: Any, make_study: Make) -> None:
    """The second try finds the request that the first has committed; nothing is asked for twice."""
    with Store.open(postgres.ready()) as store:
        study = make_study(2)
        wire = Wire(store)
        store.save_study(study, call_options={})
        undisturbed = Wire(store)
        store.save_study(study, call_options={})
        wire.cut_at = wire.moments + undisturbed.moments_of_first_commit
        key = store.save_study(study, call_options={})
        assert wire.cuts == 1
        requests = store.requests()
        assert (len(requests), requests[-1].key) == (3, key)
        assert store.waiting(key).queued == 2


def test_a_backend_that_the_server_ends_is_replaced(postgres: Any, make_study: Make, remote: Make) -> None:
    """Between transactions by the ping of the pool, inside one by doing it again."""
    with Store.open(postgres.ready()) as store:
        key = store.save_study(make_study(2), call_options={})
        assert postgres.cut() == 1
        claim = store.claim(key, remote())
        assert claim is not None
        tries = []

        def work(tx: Any) -> float:
            tries.append(tx.now)
            if len(tries) < 4:
                postgres.cut()
            return float(tx.connection.execute(sa.text("SELECT 1")).scalar_one())

        assert store._db.write(work) == 1
        assert len(tries) == 4
        tries.clear()
        assert store._db.read(work) == 1
        assert len(tries) == 4
        store.finish(claim, OUTCOME, 1.0)
        assert store.find(claim.run.run_id).state == "done"


def test_a_claim_steps_over_a_run_that_somebody_is_just_taking(postgres: Any, make_study: Make, remote: Make) -> None:
    """SKIP LOCKED: it neither waits for the other's transaction nor takes the same run."""
    study, url = make_study(3), postgres.ready()
    with Store.open(url, timeout=5) as one, Store.open(url, timeout=5) as other:
        key = one.save_study(study, call_options={})

        def work(tx: Any) -> list[str]:
            mine = queue.claim(tx, key, remote("one"), 60.0, [])
            theirs = [other.claim(key, remote("other")) for _ in range(3)]
            return [claim.run.run_id if claim else "none" for claim in (mine, *theirs)]

        assert one._db.write(work) == [*(run.run_id for run in study.runs), "none"]
        assert one.check() == []


def test_a_server_that_stays_away_is_an_error(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("ablate.store.engine.time.sleep", waited.append)
    with Store.open(postgres.ready()) as store:

        def away(*given: object, **named: object) -> None:
            raise psycopg.OperationalError("connection refused")

        monkeypatch.setattr(psycopg, "connect", away)
        store._db.engine.dispose()
        with pytest.raises(StoreError, match=r"cannot be reached: connection refused\. Check that the server runs"):
            store.studies()
        assert waited == sorted(waited)
        assert 5 < sum(waited) < 10  # long enough for a restart, shorter than any lease


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cut", "crash"])
def test_what_was_acknowledged_survives_lost_connections(how: str, own_server: Server, make_study: Make) -> None:
    room = Room(own_server.url(), "lost")
    url = room.fresh()
    with Store.open(url) as store:
        key = store.save_study(make_study(40), call_options={})
    told: list[list[object]] = []
    with processes(2, url, str(key), "claim-told") as started:
        for process in started:
            go(process)
        for number in range(3):  # each may claim 18 of 40 runs here, so neither finds that the other has done all
            for process in started:
                go(process, times=6)
                assert process.stdout is not None
                told += [json.loads(process.stdout.readline()) for _ in range(3 + number)]
            if how == "crash":
                own_server.crash()
            else:
                assert room.cut() > 0
        for process in started:
            go(process, times=41)
        for process in started:
            assert process.stdout is not None
            assert process.stderr is not None
            told += [json.loads(line) for line in process.stdout]  # communicate() would miss what is buffered here
            assert (process.wait(), process.stderr.read()) == (0, "")
    claimed = [line[0] for line in told if line[1] != "done"]
    finished = [line[0] for line in told if line[1] == "done"]
    assert len(claimed) == len(set(claimed)) == 40
    assert sorted(map(str, finished)) == sorted(map(str, claimed))
    with Store.open(url) as store:
        assert [len(run.attempts) for run in store.list_runs(states=["done"])] == [1] * 40
        assert store.check() == []
