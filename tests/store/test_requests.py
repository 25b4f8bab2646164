"""Whose run is it: what each request asked for, waits for and may claim."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ablate.errors import NotFound
from ablate.store import queue, recorder, requests
from ablate.store.store import Store
from ablate.store.values import Asker, Claim, Counts, Looks
from ablate.study.records import Outcome
from ablate.study.values.study import Study

Make = Callable[..., Any]
DONE = Outcome({"top1": 0.5})
FOLDER = "/home/me/thesis"


@pytest.fixture
def design(make_run: Make, make_study: Make) -> Callable[..., Study]:
    """A study of one text: its arms with the given seeds."""

    def build(*seeds: int, text: str = "t1", arms: str = "ab", sets: tuple[str, ...] = (), name: str = "s") -> Study:
        runs = [make_run(arm, seed) for seed in seeds for arm in arms]
        return replace(make_study(runs, name), seeds=seeds, text=text, sets=sets)

    return build


@pytest.fixture
def train(store: Store, remote: Make) -> Callable[..., list[str]]:
    """Claim and finish what a request waits for; the runs that it got."""

    def run(key: int, code: str | None = None) -> list[str]:
        done = []
        while (claim := store.claim(key, remote())) is not None:
            store.set_environment(claim, {} if code is None else {"code": code})
            store.finish(claim, DONE, 1.0)
            done.append(claim.run.run_id)
        return done

    return run


def ids(study: Study) -> list[str]:
    return [run.run_id for run in study.runs]


# Claiming -------------------------------------------------------------------------------------------------------------


def test_two_requests_of_one_name_claim_only_what_they_asked_for(store: Store, design: Make, train: Make) -> None:
    one, two = design(0, 1), design(2, 3)
    first, second = store.save_study(one, call_options={}), store.save_study(two, call_options={})
    assert store.waiting(first) == store.waiting(second) == Counts(queued=4)
    assert train(first) == ids(one)
    assert store.waiting(second) == Counts(queued=4)
    assert train(second) == ids(two)
    assert not any(request.open for request in store.requests())


def test_a_request_waits_for_a_run_that_another_one_trains(store: Store, design: Make, remote: Make) -> None:
    first, second = (store.save_study(design(0, arms="a"), call_options={}) for _ in range(2))
    claim = store.claim(first, remote())
    assert store.claim(second, remote()) is None
    assert store.waiting(second) == Counts(running=1)
    store.lose(claim, "signal 9")
    again = store.claim(second, remote())
    assert (again.run, again.attempt) == (claim.run, 2), "whoever is there takes over"
    store.finish(again, DONE, 1.0)
    assert store.waiting(first) == store.waiting(second) == Counts(done=1)
    assert store.requests(open_only=True) == ()


def test_a_run_of_another_request_is_waited_for_where_it_runs_already(store: Store, design: Make, remote: Make) -> None:
    claim = store.claim(store.save_study(design(0, arms="a"), call_options={}), remote())
    second = store.save_study(design(0, arms="a"), call_options={})
    assert store.waiting(second) == Counts(running=1)
    store.release(claim, "SIGTERM")
    assert store.claim(second, remote()) is not None


def test_requeue_takes_what_the_request_asked_for(store: Store, design: Make, train: Make) -> None:
    one, two = design(0), design(1)
    first, second = store.save_study(one, call_options={}), store.save_study(two, call_options={})
    train(first)
    train(second)
    assert store.requeue([*ids(one), *ids(two)], "their weights are gone", first) == tuple(
        sorted(ids(one), key=ids(one).index)
    )
    assert store.waiting(first) == Counts(queued=2)
    assert store.waiting(second) == Counts(done=2)


# Tuning ---------------------------------------------------------------------------------------------------------------


def test_a_tuning_is_one_request_that_grows_and_is_joined(
    store: Store, make_run: Make, design: Make, train: Make
) -> None:
    study = design(0, arms="a", name="tune:s:12345678")
    key = store.save_study(study, call_options={}, join=True)
    assert train(key) == ids(study)
    more = replace(study, runs=(*study.runs, make_run("b", 0)))
    assert store.save_study(more, call_options={"keep": "last"}, join=True) == key
    third = replace(study, runs=(make_run("c", 0), *study.runs))  # a second asker knows other trials
    assert store.save_study(third, call_options={}, join=True) == key
    assert store.waiting(key) == Counts(queued=2, done=1)
    assert train(key) == [make_run("b", 0).run_id, make_run("c", 0).run_id]
    assert [request.key for request in store.requests("tune:s:12345678")] == [key]
    assert len(store.list_runs(study="tune:s:12345678")) == 3
    assert store.save_study(replace(study, text="t2"), call_options={}, join=True) != key
    assert store.requests() == (), "those of tunings have to be named"


def test_a_run_that_a_tuning_has_given_up_stays_so_when_it_grows(store: Store, design: Make, remote: Make) -> None:
    key = store.save_study(design(0, arms="ab"), call_options={}, join=True, requeue_pruned=False)
    store.prune(store.claim(key, remote()), "no hope")
    store.fail(store.claim(key, remote()), "boom")
    assert store.save_study(design(0, arms="abc"), call_options={}, join=True, requeue_pruned=False) == key
    assert store.waiting(key) == Counts(queued=1, failed=1, pruned=1)


# The present design, and what was asked before ------------------------------------------------------------------------


def test_a_request_keeps_what_it_was_asked_with(store: Store, fake: Any, design: Make) -> None:
    study = replace(design(0, 1, sets=("y=2", "x=1")), profile="cpu")
    key = store.save_study(study, call_options={"seeds": "0-1", "set": ["x=1"]}, folder=FOLDER, code="c0de")
    fake.pass_(5)
    found = store.request(key)
    assert (found.name, found.profile, found.sets, found.text) == ("s", "cpu", ("x=1", "y=2"), "t1")
    assert (found.source, found.file, found.folder, found.code) == (study.source, study.file, FOLDER, "c0de")
    assert (found.call_options, found.seeds) == ({"seeds": [0, 1], "set": ["x=1"]}, (0, 1))
    assert (found.created, found.open) == (fake.now - 5, True)
    assert store.requests() == store.requests("s", "cpu", ("x=1", "y=2")) == (found,)
    assert store.requests("s", "cpu", ()) == store.requests("s", "") == ()
    with pytest.raises(NotFound, match="has no request 99"):
        store.request(99)


def test_the_present_design_is_all_that_was_asked_of_its_text(store: Store, make_run: Make, design: Make) -> None:
    store.save_study(design(0, 1), call_options={})
    store.save_study(design(1, 2), call_options={})
    listed = [(one.run.recipe["model"]["arch"], one.run.seed) for one in store.list_runs(study="s")]
    assert listed == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    store.save_study(design(0, text="t2", arms="bc"), call_options={})
    assert [one.run for one in store.list_runs(study="s")] == [make_run("b"), make_run("c")]
    assert len(store.requests("s", open_only=True)) == 3, "what was asked before still is"


def test_an_arm_that_is_called_otherwise_now_is_so_for_all_its_seeds(store: Store, design: Make) -> None:
    before = design(0, arms="a")
    store.save_study(before, call_options={})
    after = design(1, arms="a")
    store.save_study(replace(after, arms=(replace(after.arms[0], name="renamed"),)), call_options={})
    links = store.links([*ids(before), *ids(after)])
    assert {link.arm for found in links.values() for link in found} == {"renamed"}


def test_every_study_variant_and_version_that_asked_is_named(store: Store, make_run: Make, design: Make) -> None:
    for study in (design(0), design(0, text="t2", arms="bc"), design(0, sets=("y=2",)), design(0, name="other")):
        store.save_study(study, call_options={})
    a, b = make_run("a").run_id, make_run("b").run_id
    found = store.asked_by([a, b, "unknown"])
    assert found[a] == (
        Asker("other", None, (), "t1", present=True),
        Asker("s", None, (), "t1", present=False),
        Asker("s", None, ("y=2",), "t1", present=True),
    )
    assert [asker.text for asker in found[b]] == ["t1", "t1", "t2", "t1"]
    assert set(found) == {a, b}
    assert store.find(a).studies == ("other", "s")


def test_a_variant_is_a_study_of_its_own(store: Store, fake: Any, design: Make) -> None:
    plain = store.request(store.save_study(design(0, arms="a"), call_options={}))
    fake.pass_(1)
    variant = store.request(store.save_study(design(0, arms="b", sets=("y=2",)), call_options={}))
    assert [(item.key, item.sets) for item in store.studies()] == [(variant.study_key, ("y=2",)), (plain.study_key, ())]
    assert [item.key for item in store.studies(sets=())] == [plain.study_key]
    assert [item.key for item in store.studies("s", sets=("y=2",))] == [variant.study_key]
    assert [one.run.recipe["model"]["arch"] for one in store.list_runs(study="s", sets=())] == ["a"]
    assert [one.run.recipe["model"]["arch"] for one in store.list_runs(study="s", sets=("y=2",))] == ["b"]
    assert store.studies("s", sets=("y=3",)) == ()


# Seeds and looks ------------------------------------------------------------------------------------------------------


def test_seeds_are_those_that_were_asked_of_a_text(store: Store, design: Make) -> None:
    for study in (design(3, 4), design(0, 3), design(7, text="t2"), design(8, sets=("y=2",)), design(9, name="other")):
        store.save_study(study, call_options={})
    assert store.seeds_asked("s", None, (), "t1") == (0, 3, 4)
    assert store.seeds_asked("s", None, (), "t2") == (7,)
    assert store.seeds_asked("s", None, ("y=2",), "t1") == (8,)
    assert store.seeds_asked("s", "cpu", (), "t1") == ()


def test_seeds_added_after_results_are_looks(store: Store, fake: Any, design: Make, train: Make, remote: Make) -> None:
    def ask(*seeds: int, **given: Any) -> int:
        fake.pass_(1)
        return store.save_study(design(*seeds, **given), call_options={})

    def looks() -> Looks:
        return store.looks("s", None, (), "t1")

    assert looks() == Looks(0)
    ask(0)
    key = ask(0, 1)
    store.fail(store.claim(key, remote()), "boom")
    ask(0, 1, 2)
    assert looks() == Looks(0), "no result was there"
    train(key)
    ask(0)
    assert looks() == Looks(0), "no seed is new"
    ask(0, 1, 2, 3)
    assert looks() == Looks(1)
    ask(4, text="t2")
    ask(4, name="other")
    assert looks() == Looks(1)
    ask(5)
    ask(0, 5)
    assert looks() == Looks(2)
    assert store.looks("s", None, (), "t2") == Looks(0)


def test_a_parent_that_is_done_is_no_result(
    store: Store, fake: Any, make_run: Make, make_study: Make, remote: Make
) -> None:
    parent = make_run("parent")

    def ask(*seeds: int) -> int:
        fake.pass_(1)
        children = [make_run("child", seed, parent=parent.run_id) for seed in seeds]
        return store.save_study(
            replace(make_study(children, parents=(parent,)), seeds=seeds, text="t"), call_options={}
        )

    key = ask(0)
    store.finish(store.claim(key, remote()), DONE, 1.0)
    ask(0, 1)
    assert store.looks("s", None, (), "t").count == 0
    store.finish(store.claim(key, remote()), DONE, 1.0)
    ask(2)
    assert store.looks("s", None, (), "t").count == 1


# Other code -----------------------------------------------------------------------------------------------------------


def test_what_this_code_has_done_is_done_whatever_others_do_to_the_run(
    store: Store, design: Make, train: Make, remote: Make
) -> None:
    """Two projects whose commands are the same: each run is trained by the code of whoever asked for it, once."""
    study = design(0, arms="a")
    mine = store.save_study(study, call_options={}, code="mine")
    assert train(mine, "mine") == ids(study)
    theirs = store.save_study(study, call_options={}, code="theirs")
    assert store.waiting(theirs) == Counts(done=1), "stale, which is no reason to train"
    theirs = store.save_study(study, call_options={}, code="theirs", retry="stale")
    assert store.waiting(theirs) == Counts(queued=1)
    assert store.waiting(store.save_study(study, call_options={}, code="mine")) == Counts(retried=1)
    assert train(theirs, "theirs") == ids(study)
    for code in ("mine", "theirs"):
        for retry in (None, "stale", "all"):
            key = store.save_study(study, call_options={}, code=code, retry=retry)
            assert store.waiting(key) == Counts(done=1)
    third = store.save_study(study, call_options={}, code="third", retry="stale")
    store.fail(store.claim(third, remote()), "boom")
    key = store.save_study(study, call_options={}, code="mine", retry="all")
    assert (store.waiting(key), store.claim(key, remote())) == (Counts(failed=1), None), "mine is done"
    assert store.waiting(store.save_study(study, call_options={}, code="third", retry="failed")) == Counts(queued=1)


def test_a_run_that_others_start_from_is_done_when_it_is_done(
    store: Store, make_run: Make, make_study: Make, train: Make
) -> None:
    """Its weights are gone and it is trained again: this code has done it before, and needs it all the same."""
    parent = make_run("parent")
    study = make_study([make_run("child", parent=parent.run_id)], parents=(parent,))
    first = store.save_study(make_study([parent], "t"), call_options={}, code="c")
    train(first, "c")
    second = store.save_study(study, call_options={}, code="c")
    store.requeue([parent.run_id], "its weights are gone", second)
    third = store.save_study(study, call_options={}, code="c")
    assert store.waiting(third) == Counts(queued=1, waiting=1)


# Two at one moment ----------------------------------------------------------------------------------------------------


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[None]:
    """`work` in another thread, which has ended when the block is left."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(60)
    assert not thread.is_alive()
    assert failed == []


def until_blocked(store: Store) -> None:
    """Until another session waits for a lock of this server's database."""
    blocked = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    until = threading.Event()
    for _ in range(2_000):
        if store._db.read(lambda tx: tx.connection.scalar(blocked)):
            return
        until.wait(0.01)
    raise AssertionError("nobody waits")


def taken(store: Store, design: Make, remote: Make) -> Claim:
    claim = store.claim(store.save_study(design(0, arms="a"), call_options={}), remote(), ttl=1e6)
    assert claim is not None
    return claim


def test_a_request_for_a_run_that_ends_at_that_moment_does_not_wait_for_it(
    postgres: Any, design: Make, remote: Make
) -> None:
    """The run's end holds the run; the request is written when it is there."""
    url = postgres.ready()
    with Store.open(url) as one, Store.open(url) as other, Store.open(url) as third:
        claim = taken(one, design, remote)
        keys: list[int] = []

        def finish(tx: Any) -> None:
            recorder.finish(tx, claim, DONE, 1.0)
            context.__enter__()
            until_blocked(third)

        context = beside(lambda: keys.append(other.save_study(design(0, arms="a"), call_options={})))
        one._db.write(finish)
        context.__exit__(None, None, None)
        assert one.waiting(keys[0]) == Counts(done=1)
        assert one.check() == []


def test_a_run_that_ends_while_it_is_asked_for_is_not_waited_for(
    postgres: Any, design: Make, remote: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request holds the run, finds it running, and waits for it; its end, which comes next, clears that."""
    url = postgres.ready()
    with Store.open(url) as one, Store.open(url) as other, Store.open(url) as third:
        claim = taken(one, design, remote)
        ask = requests.ask
        context = beside(lambda: other.finish(claim, DONE, 1.0))

        def asked(*given: Any) -> int:
            context.__enter__()
            until_blocked(third)
            return ask(*given)

        monkeypatch.setattr(requests, "ask", asked)
        key = one.save_study(design(0, arms="a"), call_options={})
        context.__exit__(None, None, None)
        assert one.waiting(key) == Counts(done=1)
        assert one.check() == []


def test_a_claim_goes_straight_to_the_first_run_that_is_waited_for(path: Path) -> None:
    """Through one index that holds all it needs, however many runs before it have ended."""
    with Store.open(str(path)) as store:
        statement = queue._NEXT_RUN.params(request=1)

        def plan(tx: Any) -> list[str]:
            text = str(statement.compile(tx.connection, compile_kwargs={"literal_binds": True}))
            return [row[-1] for row in tx.connection.execute(sa.text(f"EXPLAIN QUERY PLAN {text}"))]

        first, *others = store._db.read(plan)
    assert first == "SEARCH request_runs USING COVERING INDEX ix_request_runs_queued (request=? AND queued=?)"
    assert not any("SCAN" in step or "TEMP B-TREE" in step for step in others)
