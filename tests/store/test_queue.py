from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ablate.errors import LeaseLost
from ablate.store import host as hosts
from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.store.values import Claim, Clock, Counts
from ablate.study.records import EpochRecord, Outcome
from ablate.study.values.run import Run

Make = Callable[..., Any]
DONE = Outcome({"top1": 0.5})


def state(store: Store, claim: Claim) -> str:
    return store.find(claim.run.run_id).state


def attempt_states(store: Store, claim: Claim) -> list[str]:
    return [attempt.state for attempt in store.find(claim.run.run_id).attempts]


# Claiming -------------------------------------------------------------------------------------------------------------


def test_runs_are_claimed_in_the_studys_order(store: Store, make_run: Make, make_study: Make, remote: Make) -> None:
    runs = [make_run(name, seed) for seed in (0, 1) for name in ("b", "a")]
    key = store.save_study(make_study(runs), call_options={})
    claims = [store.claim(key, remote()) for _ in range(5)]
    assert [claim and claim.run for claim in claims] == [*runs, None]
    assert [claim.attempt for claim in claims if claim] == [1, 1, 1, 1]


def test_a_run_of_two_studies_is_claimed_once(store: Store, make_study: Make, remote: Make) -> None:
    first = store.save_study(make_study(1, "s"), call_options={})
    second = store.save_study(make_study(1, "t"), call_options={})
    claim = store.claim(second, remote())
    assert claim is not None
    assert store.claim(first, remote()) is None
    store.release(claim, "SIGTERM")
    assert store.claim(first, remote()) is not None


def test_a_study_claims_only_what_it_wants_now(store: Store, make_run: Make, make_study: Make, remote: Make) -> None:
    kept, dropped = make_run("kept"), make_run("dropped")
    store.save_study(make_study([dropped, kept]), call_options={})
    key = store.save_study(make_study([kept]), call_options={})
    claim = store.claim(key, remote())
    assert claim is not None
    assert claim.run == kept
    assert store.claim(key, remote()) is None
    assert store.find(dropped.run_id).state == "queued"


def test_a_child_waits_for_its_parent(store: Store, make_run: Make, make_study: Make, remote: Make) -> None:
    parent = make_run("parent")
    child = make_run("child", parent=parent.run_id)
    key = store.save_study(make_study([child], parents=(parent,)), call_options={})
    assert store.waiting(key) == Counts(queued=1, waiting=1)
    first = store.claim(key, remote())
    assert first is not None
    assert (first.run, first.needed_by_child) == (parent, True)
    assert store.claim(key, remote()) is None
    store.finish(first, DONE, 1.0)
    second = store.claim(key, remote())
    assert second is not None
    assert (second.run, second.needed_by_child) == (child, False)


@pytest.mark.parametrize("end", ["fail", "cancel", "prune"])
def test_what_starts_from_a_dead_parent_is_blocked(
    store: Store, make_run: Make, make_study: Make, remote: Make, end: str
) -> None:
    parent = make_run("parent")
    child = make_run("child", parent=parent.run_id)
    grandchild = make_run("grandchild", parent=child.run_id)
    key = store.save_study(make_study([child, grandchild], parents=(parent,)), call_options={})
    claim = store.claim(key, remote())
    assert claim is not None
    if end == "fail":
        store.fail(claim, "boom")
    elif end == "prune":
        store.prune(claim, "no hope")
    else:
        store.cancel([parent.run_id])
    counts = store.waiting(key)
    assert (counts.blocked, counts.waiting, counts.queued, counts.open) == (2, 0, 0, 0)
    assert store.claim(key, remote()) is None


def test_a_barred_run_is_passed_over_and_blocks_what_starts_from_it(
    store: Store, url: str, make_run: Make, make_study: Make, remote: Make
) -> None:
    barred, free = make_run("barred"), make_run("free")
    child = make_run("child", parent=barred.run_id)
    grandchild = make_run("grandchild", parent=child.run_id)
    key = store.save_study(make_study([barred, child, grandchild, free]), call_options={})
    with Store.open(url, barred={barred.run_id}) as here:
        assert store.waiting(key) == Counts(queued=2, waiting=2)
        assert here.waiting(key) == Counts(queued=1, blocked=3)
        claim = here.claim(key, remote(), ttl=1e6)
        assert claim is not None
        assert claim.run == free
        assert here.claim(key, remote()) is None
        assert store.find(barred.run_id).attempts == ()
        here.release(claim, "enough")
        assert [store.claim(key, remote()).run for _ in range(2)] == [barred, free], "others may have the weights"


def test_a_barred_child_of_a_done_parent_is_blocked(
    store: Store, url: str, make_run: Make, make_study: Make, remote: Make
) -> None:
    parent = make_run("parent")
    child = make_run("child", parent=parent.run_id)
    key = store.save_study(make_study([child], parents=(parent,)), call_options={})
    store.finish(store.claim(key, remote()), DONE, 1.0)
    with Store.open(url, barred={child.run_id}) as here:
        assert here.waiting(key) == Counts(done=1, blocked=1)
        assert here.claim(key, remote()) is None


def test_a_parent_that_nobody_knows_blocks(store: Store, make_run: Make, make_study: Make) -> None:
    key = store.save_study(make_study([make_run("child", parent="f" * 64)]), call_options={})
    assert store.waiting(key) == Counts(blocked=1)


# Leases ---------------------------------------------------------------------------------------------------------------


def test_a_lapsed_lease_is_taken_over(store: Store, fake: Any, take: Make, remote: Make) -> None:
    claim = take(remote())
    fake.pass_(60)
    assert store.claim(claim.request_key, remote("other")) is None
    fake.pass_(1)
    second = store.claim(claim.request_key, remote("other"))
    assert second is not None
    assert (second.run, second.attempt) == (claim.run, 2)
    first = store.find(claim.run.run_id).attempts[0]
    assert (first.state, first.error) == ("lost", "process 7 on elsewhere sent no heartbeat for 61 s")


def test_a_lost_attempt_ended_with_its_last_sign_of_life(store: Store, fake: Any, take: Make, remote: Make) -> None:
    """Not when somebody looked again, the next morning perhaps: what it took is counted, as by a budget of minutes."""
    claim = take(remote())
    fake.pass_(20)
    store.heartbeat(claim)
    fake.pass_(36_000)
    assert store.claim(claim.request_key, remote("other")) is not None
    first = store.find(claim.run.run_id).attempts[0]
    assert first.ended is not None
    assert first.ended - first.started == 20


def test_a_heartbeat_keeps_the_lease(store: Store, fake: Any, take: Make, remote: Make) -> None:
    claim = take(remote())
    for _ in range(5):
        fake.pass_(50)
        store.heartbeat(claim)
        assert store.claim(claim.request_key, remote()) is None
    fake.pass_(50)
    store.heartbeat(claim, ttl=600)
    fake.pass_(599)
    assert store.claim(claim.request_key, remote()) is None
    fake.pass_(2)
    assert store.claim(claim.request_key, remote()) is not None


@pytest.mark.parametrize("sign", ["record_epoch", "set_environment"])
def test_recording_is_a_sign_of_life(store: Store, fake: Any, take: Make, remote: Make, sign: str) -> None:
    claim = take(remote())
    fake.pass_(50)
    if sign == "record_epoch":
        store.record_epoch(claim, [EpochRecord(1, "val", {"top1": 0.1})])
    else:
        store.set_environment(claim, {})
    fake.pass_(50)
    assert store.claim(claim.request_key, remote()) is None


def test_a_late_heartbeat_is_welcome_while_nobody_took_the_run(store: Store, fake: Any, take: Make) -> None:
    claim = take()
    fake.pass_(1_000)
    store.heartbeat(claim)
    store.finish(claim, DONE, 1.0)
    assert state(store, claim) == "done"


def test_the_third_lost_attempt_loses_the_run(store: Store, fake: Any, take: Make, remote: Make) -> None:
    claim = take()
    for _ in range(2):
        fake.pass_(61)
        assert store.claim(claim.request_key, remote()) is not None
    fake.pass_(61)
    assert store.claim(claim.request_key, remote()) is None
    assert state(store, claim) == "lost"
    assert attempt_states(store, claim) == ["lost"] * 3
    assert store.waiting(claim.request_key) == Counts(lost=1)
    assert [event.kind for event in store.events(claim.run.run_id)] == ["lost"] * 3


def test_a_run_that_gets_further_each_time_is_never_lost(store: Store, fake: Any, take: Make, remote: Make) -> None:
    """Killed five times with an epoch more each time, then three times at one place."""
    claim = take()
    for epoch in (1, 2, 3, 4, 5, None, 5, None):
        assert state(store, claim) == "running"
        if epoch is not None:
            store.record_epoch(claim, [EpochRecord(epoch, "train", {"loss": 0.5})])
        fake.pass_(61)
        claim = store.claim(claim.request_key, remote()) or claim
    assert state(store, claim) == "lost"
    assert attempt_states(store, claim) == ["lost"] * 8


def killed_at(store: Store, remote: Make, claim: Any, *epochs: int, code: str | None = None) -> Any:
    """An attempt that records these epochs and is killed, and the claim of the next one, if any."""
    if code is not None:
        store.set_environment(claim, {"code": code})
    for epoch in epochs:
        store.record_epoch(claim, [EpochRecord(epoch, "train", {"loss": 1.0})])
    store.lose(claim, "signal 9")
    return store.claim(claim.request_key, remote())


def test_a_run_that_gets_further_is_never_lost(store: Store, take: Make, remote: Make) -> None:
    """However often it is killed: in its first epoch and between two, before it got further and after."""
    claim = take()
    for epoch in range(1, 11):
        claim = killed_at(store, remote, claim)
        claim = killed_at(store, remote, claim, *range(1, epoch))
        claim = killed_at(store, remote, claim, epoch)
        assert claim is not None, epoch
    store.finish(claim, DONE, 1.0)
    assert attempt_states(store, claim) == ["lost"] * 30 + ["done"]


def test_three_lost_attempts_in_a_row_that_get_no_further_lose_the_run(store: Store, take: Make, remote: Make) -> None:
    claim = first = killed_at(store, remote, take(), 1, 2)
    for epochs in ((1, 2), (2,)):
        claim = killed_at(store, remote, claim, *epochs)
    assert killed_at(store, remote, claim, 1) is None
    assert state(store, first) == "lost"


def test_a_run_on_other_code_or_trained_anew_begins_its_own_count(store: Store, take: Make, remote: Make) -> None:
    """Its checkpoint was of the code before, so it cannot get further than that did at once."""
    claim = killed_at(store, remote, take(), 1, 2, 3, code="old")
    for epoch in (1, 2):
        claim = killed_at(store, remote, claim)
        claim = killed_at(store, remote, claim)
        claim = killed_at(store, remote, claim, epoch, code="new")
    store.finish(claim, DONE, 1.0)
    store.requeue([claim.run.run_id], "its weights are gone", claim.request_key)
    claim = store.claim(claim.request_key, remote())
    for epoch in (1, 2):
        claim = killed_at(store, remote, claim)
        claim = killed_at(store, remote, claim)
        claim = killed_at(store, remote, claim, epoch, code="new")
    assert claim is not None


def test_a_released_attempt_is_not_counted(store: Store, take: Make, remote: Make) -> None:
    claim = take()
    for number in range(1, 6):
        store.release(claim, "SIGTERM")
        assert store.find(claim.run.run_id).error is None
        claim = store.claim(claim.request_key, remote())
        assert claim.attempt == number + 1
    store.lose(claim, "signal 9")
    assert state(store, claim) == "queued"
    result = store.find(claim.run.run_id)
    assert [a.state for a in result.attempts] == ["released"] * 5 + ["lost"]
    assert result.attempts[0].error == "SIGTERM"
    assert result.error == "signal 9"


def test_leases_of_this_hosts_live_process_ignore_the_wall_clock(
    store: Store, fake: Any, take: Make, remote: Make
) -> None:
    """A laptop that slept, or a clock that was set: the process is there, so it keeps its run."""
    claim = take(WorkerInfo.here())
    fake.now += 3_600
    assert store.claim(claim.request_key, remote()) is None
    fake.now -= 7_200
    fake.monotonic += 59
    assert store.claim(claim.request_key, remote()) is None
    fake.monotonic += 2
    second = store.claim(claim.request_key, remote())
    assert second is not None
    error = store.find(claim.run.run_id).attempts[0].error
    assert error is not None
    assert error.endswith("sent no heartbeat for 61 s")


def test_a_database_clock_set_back_makes_no_immortal_lease(store: Store, fake: Any, take: Make, remote: Make) -> None:
    claim = take(remote())
    fake.now -= 3_600
    assert store.claim(claim.request_key, remote()) is None
    fake.now += 62
    assert store.claim(claim.request_key, remote()) is not None


def test_a_reused_process_id_is_another_process(store: Store, take: Make, remote: Make) -> None:
    here = WorkerInfo.here()
    assert here.started is not None
    claim = take(replace(here, started=here.started - 1))
    assert store.claim(claim.request_key, remote()) is not None


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"boot": "an earlier one"}, {"boot": ""}])
def test_a_process_that_is_not_ours_is_never_called_dead(
    store: Store, take: Make, remote: Make, change: dict[str, str]
) -> None:
    gone = replace(WorkerInfo.here(), pid=2**22 + 1, **change)
    claim = take(gone)
    assert store.claim(claim.request_key, remote()) is None
    assert hosts.is_dead(WorkerInfo.here().host, hosts.boot_id(), gone.pid, None)


def test_the_databases_own_clock(url: str, make_study: Make, remote: Make) -> None:
    import time

    with Store.open(url) as store:
        before = time.time()
        key = store.save_study(make_study(1), call_options={})
        claim = store.claim(key, remote(), ttl=0.001)
        assert claim is not None
        started = store.find(claim.run.run_id).attempts[0].started
        assert before - 1 < started < time.time() + 1
        while (again := store.claim(key, remote())) is None:
            pass
        assert again.attempt == 2


# The fence ------------------------------------------------------------------------------------------------------------

WRITES: dict[str, Callable[[Store, Claim], None]] = {
    "heartbeat": lambda store, claim: store.heartbeat(claim),
    "set_environment": lambda store, claim: store.set_environment(claim, {"code": "new"}),
    "record_epoch": lambda store, claim: store.record_epoch(claim, [EpochRecord(1, "val", {"top1": 0.9})]),
    "finish": lambda store, claim: store.finish(claim, DONE, 1.0),
    "fail": lambda store, claim: store.fail(claim, "late"),
    "prune": lambda store, claim: store.prune(claim, "late"),
    "release": lambda store, claim: store.release(claim, "late"),
    "lose": lambda store, claim: store.lose(claim, "late"),
}


def test_every_method_that_takes_a_claim_is_in_the_list() -> None:
    takes = {
        name
        for name, method in vars(Store).items()
        if "claim" in getattr(method, "__annotations__", {}) and not name.startswith("_")
    }
    assert takes == set(WRITES)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("then", ["running", "done", "lost again"])
def test_a_late_worker_cannot_write(store: Store, fake: Any, take: Make, remote: Make, write: str, then: str) -> None:
    late = take(remote("late"))
    fake.pass_(61)
    newer = store.claim(late.request_key, remote("newer"))
    assert newer is not None
    if then == "done":
        store.finish(newer, DONE, 1.0)
    elif then == "lost again":
        store.lose(newer, "signal 9")
    before = store.find(late.run.run_id)
    with pytest.raises(LeaseLost, match=r"attempt 1 of run [0-9a-f]{12} was lost; .*can no longer write its results"):
        WRITES[write](store, late)
    assert store.find(late.run.run_id) == before


@pytest.mark.parametrize("write", WRITES)
def test_the_worker_of_a_cancelled_run_cannot_write(store: Store, take: Make, write: str) -> None:
    claim = take()
    assert store.cancel([claim.run.run_id]) == (claim.run.run_id,)
    with pytest.raises(LeaseLost, match=r"attempt 1 of run [0-9a-f]{12} is cancelled"):
        WRITES[write](store, claim)
    assert state(store, claim) == "cancelled"


@pytest.mark.parametrize("end", ["finish", "fail", "prune", "release", "lose"])
def test_an_end_sent_twice_counts_once_and_closes_the_attempt(store: Store, take: Make, end: str) -> None:
    claim = take()
    WRITES[end](store, claim)
    before = store.find(claim.run.run_id)
    WRITES[end](store, claim)
    assert store.find(claim.run.run_id) == before
    for write in sorted(set(WRITES) - {end}):
        with pytest.raises(LeaseLost):
            WRITES[write](store, claim)
    assert store.find(claim.run.run_id) == before


def test_a_claim_of_another_database(store: Store, take: Make, make_run: Make) -> None:
    claim = take()
    with pytest.raises(LeaseLost, match="is not in this database"):
        store.heartbeat(replace(claim, run=make_run("unheard of")))


# By hand --------------------------------------------------------------------------------------------------------------


def test_cancel_takes_queued_and_running_runs_only(store: Store, make_study: Make, remote: Make) -> None:
    study = make_study(4)
    key = store.save_study(study, call_options={})
    done, failed, running = (store.claim(key, remote()) for _ in range(3))
    assert done is not None
    assert failed is not None
    assert running is not None
    store.finish(done, DONE, 1.0)
    store.fail(failed, "boom")
    ids = [run.run_id for run in study.runs]
    assert set(store.cancel(ids)) == {ids[2], ids[3]}
    assert [store.states(ids)[run_id].state for run_id in ids] == ["done", "failed", "cancelled", "cancelled"]
    assert store.claim(key, remote()) is None


def test_requeue_takes_ended_runs_only(store: Store, make_study: Make, remote: Make) -> None:
    study = make_study(3)
    key = store.save_study(study, call_options={})
    done, running = store.claim(key, remote()), store.claim(key, remote())
    assert done is not None
    assert running is not None
    store.finish(done, DONE, 1.0)
    assert store.requeue([run.run_id for run in study.runs], "its weights are gone", key) == (done.run.run_id,)
    again = store.claim(key, remote())
    assert again is not None
    assert (again.run, again.attempt) == (done.run, 2)


@pytest.mark.parametrize(
    ("kind", "error", "shown"),
    [
        ("error", "KeyError: 'x'", "KeyError: 'x'"),
        ("diverged", "the loss was nan at epoch 3", "diverged: the loss was nan at epoch 3"),
        ("diverged", "diverged at step 3", "diverged at step 3"),
        ("oom", "CUDA", "oom: CUDA"),
    ],
)
def test_a_failed_run_keeps_its_reason(store: Store, take: Make, kind: str, error: str, shown: str) -> None:
    claim = take()
    store.fail(claim, error, kind)
    found = store.states([claim.run.run_id])[claim.run.run_id]
    assert (found.state, found.attempts, found.error, found.kind) == ("failed", 1, shown, kind)


def test_an_unknown_kind_of_failure(store: Store, take: Make) -> None:
    with pytest.raises(ValueError, match="unknown kind of failure 'sad'; allowed: error, diverged, bad_data, oom"):
        store.fail(take(), "x", "sad")


def test_errors_of_any_text_can_be_stored(store: Store, take: Make) -> None:
    claim = take()
    store.fail(claim, "nul \x00, surrogate \ud800, " + "x" * 50_000 + " end; DROP TABLE runs;--")
    error = store.find(claim.run.run_id).error
    assert error is not None
    assert error.startswith("nul \ufffd, surrogate ?, xxx")
    assert error.endswith("xxx end; DROP TABLE runs;--")
    assert len(error) < 21_000


def test_a_clock_of_now_alone_serves_for_both(make_study: Make, url: str) -> None:
    now = [0.0]
    with Store.open(url, clock=Clock(lambda: now[0])) as store:
        key = store.save_study(make_study(1), call_options={})
        assert store.claim(key, WorkerInfo.here()) is not None
        now[0] += 61
        assert store.claim(key, WorkerInfo.here()) is not None


def test_each_seed_starts_from_its_own_parent(store: Store, make_run: Make, make_study: Make, remote: Make) -> None:
    parents = tuple(make_run("parent", seed=seed) for seed in (0, 1))
    arm = make_run("child").arm_id
    children = [
        Run(
            run_id=f"{seed}" * 64,
            arm_id=arm,
            seed=seed,
            recipe={"model": {"arch": "child", "init": {"run": parent.run_id, "weights": "last"}}},
            parent=parent.run_id,
        )
        for seed, parent in enumerate(parents)
    ]
    store.save_study(make_study(children, parents=parents), call_options={})
    found = store.results([child.run_id for child in children])
    assert [found[child.run_id].run for child in children] == children
