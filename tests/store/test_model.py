"""The queue against a model of a few lines: any order of claims, beats, lapses, ends and retries, on a moving clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ablate.errors import LeaseLost
from ablate.store import transitions
from ablate.store.store import Store
from ablate.store.transitions import MAX_LOST, Held
from ablate.store.values import Claim
from ablate.study.records import EpochRecord, Outcome

RUNS = 4
OPEN = ("queued", "running")
RETRIES = {None: (), "failed": ("failed",), "lost": ("lost",), "all": ("failed", "lost", "cancelled")}


@dataclass
class ModelRun:
    state: str = "queued"
    attempt: int = 0
    lost: int = 0
    until: float = 0.0
    values: dict[int, float] = field(default_factory=dict)
    reached: int = 0
    reached_before: int = 0

    def lose(self) -> None:
        self.lost = 0 if self.reached > self.reached_before else self.lost + 1
        self.leave()
        self.state = "queued" if self.lost < MAX_LOST else "lost"

    def leave(self) -> None:
        """The next attempt goes on from where this one got to."""
        self.reached_before = max(self.reached_before, self.reached)


@dataclass
class ModelRequest:
    """The runs that were asked for, in order, and those that are still waited for."""

    key: int
    asked: list[str]
    waits: set[str]


def machine(store: Store, fake: Any, make: dict[str, Callable[..., Any]]) -> type[RuleBasedStateMachine]:
    counter = iter(range(10**9))
    some = st.lists(st.integers(0, RUNS - 1), unique=True, min_size=1)

    class Queue(RuleBasedStateMachine):
        """Several requests of two studies, which share runs."""

        claims = Bundle("claims")

        def __init__(self) -> None:
            super().__init__()
            self.number = next(counter)  # the database is kept between examples, its runs are not
            self.runs = [make["run"](f"example{self.number}", seed) for seed in range(RUNS)]
            self.model: dict[str, ModelRun] = {}
            self.requests: list[ModelRequest] = []
            self.save([0, 1, 2], None, "s")

        @rule(positions=some, retry=st.sampled_from(list(RETRIES)), study=st.sampled_from(["s", "t"]))
        def save(self, positions: list[int], retry: str | None, study: str) -> None:
            asked = [self.runs[position] for position in positions]
            key = store.save_study(make["study"](asked, f"{study}{self.number}"), call_options={}, retry=retry)
            waits = set()
            for run in asked:
                known = self.model.setdefault(run.run_id, ModelRun())
                if known.state in (*RETRIES[retry], "pruned"):
                    known.state, known.lost = "queued", 0
                if known.state in OPEN:
                    waits.add(run.run_id)
            self.requests.append(ModelRequest(key, [run.run_id for run in asked], waits))

        @rule(target=claims, ttl=st.sampled_from([10.0, 60.0]), which=st.integers(0, 50))
        def claim(self, ttl: float, which: int) -> Claim | None:
            request = self.requests[which % len(self.requests)]
            for run in self.model.values():
                if run.state == "running" and fake.now > run.until:
                    run.lose()
            self.settle()
            free = [key for key in request.asked if key in request.waits and self.model[key].state == "queued"]
            claim = store.claim(request.key, make["remote"](), ttl)
            assert (claim.run.run_id if claim else None) == (free[0] if free else None)
            if claim is not None:
                run = self.model[claim.run.run_id]
                run.state, run.attempt, run.until = "running", run.attempt + 1, fake.now + ttl
                run.reached = 0
                assert (claim.attempt, claim.request_key) == (run.attempt, request.key)
            return claim

        def settle(self) -> None:
            """Nobody waits for a run that has ended."""
            for request in self.requests:
                request.waits = {key for key in request.waits if self.model[key].state in OPEN}

        @rule(seconds=st.sampled_from([1.0, 9.0, 11.0, 61.0]))
        def pass_(self, seconds: float) -> None:
            fake.pass_(seconds)

        def write(self, claim: Claim | None, call: Callable[[Claim], None]) -> ModelRun | None:
            """Send a write; the model's run where it was taken, None where the fence refused it."""
            if claim is None:
                return None
            run = self.model[claim.run.run_id]
            if run.state == "running" and run.attempt == claim.attempt:
                call(claim)
                return run
            with pytest.raises(LeaseLost):
                call(claim)
            return None

        @rule(claim=claims)
        def heartbeat(self, claim: Claim | None) -> None:
            run = self.write(claim, lambda held: store.heartbeat(held, 30.0))
            if run is not None:
                run.until = fake.now + 30.0

        @rule(claim=claims, epoch=st.integers(1, 3), value=st.floats(0, 1))
        def record(self, claim: Claim | None, epoch: int, value: float) -> None:
            records = [EpochRecord(epoch, "val", {"top1": value})]
            run = self.write(claim, lambda held: store.record_epoch(held, records))
            if run is not None and claim is not None:
                run.until = fake.now + claim.ttl
                run.values[epoch] = value
                run.reached = max(run.reached, epoch)

        @rule(claim=claims, how=st.sampled_from(["finish", "fail", "prune", "release", "lose"]))
        def end(self, claim: Claim | None, how: str) -> None:
            calls: dict[str, Callable[[Claim], None]] = {
                "finish": lambda held: store.finish(held, Outcome({}), 1.0),
                "fail": lambda held: store.fail(held, "boom"),
                "prune": lambda held: store.prune(held, "no hope"),
                "release": lambda held: store.release(held, "SIGTERM"),
                "lose": lambda held: store.lose(held, "signal 9"),
            }
            ends = {"finish": "done", "fail": "failed", "prune": "pruned", "release": "released", "lose": "lost"}
            if claim is not None:
                mine = self.model[claim.run.run_id]
                attempt = store.find(claim.run.run_id).attempts[-1]
                if mine.attempt == claim.attempt and attempt.state == ends[how]:
                    calls[how](claim)  # said before: nothing changes
                    return
            run = self.write(claim, calls[how])
            if run is None:
                return
            if how == "lose":
                run.lose()
            else:
                run.state = "queued" if how == "release" else ends[how]
                if how == "release":
                    run.leave()
                else:
                    run.reached_before = 0  # what is trained after an end may begin anew
                run.lost = 0 if how == "finish" else run.lost
            self.settle()

        @rule(position=st.integers(0, RUNS - 1))
        def cancel(self, position: int) -> None:
            run_id = self.runs[position].run_id
            taken = run_id in self.model and self.model[run_id].state in OPEN
            assert store.cancel([run_id]) == ((run_id,) if taken else ())
            if taken:
                if self.model[run_id].state == "running":
                    self.model[run_id].reached_before = 0
                self.model[run_id].state = "cancelled"
                self.settle()

        @rule(position=st.integers(0, RUNS - 1), which=st.integers(0, 50))
        def requeue(self, position: int, which: int) -> None:
            """As for a parent whose weights are gone: ended runs only, done ones too; the count of lost attempts begins anew."""
            run_id, request = self.runs[position].run_id, self.requests[which % len(self.requests)]
            run = self.model.get(run_id)
            ended = run is not None and run_id in request.asked and run.state not in OPEN
            assert store.requeue([run_id], "its weights are gone", request.key) == ((run_id,) if ended else ())
            if run is not None and ended:
                run.state, run.lost = "queued", 0
                request.waits.add(run_id)

        @invariant()
        def agrees(self) -> None:
            found = store.states(self.model)
            assert {key: (state.state, state.attempts) for key, state in found.items()} == {
                key: (run.state, run.attempt) for key, run in self.model.items()
            }

        @invariant()
        def requests_wait_for_what_they_asked_for(self) -> None:
            for request in self.requests:
                counts = store.waiting(request.key)
                states = [self.model[key].state for key in request.waits]
                assert (counts.queued, counts.running) == (states.count("queued"), states.count("running"))
                assert counts.total == len(request.asked)

        @invariant()
        def no_queued_run_is_out_of_reach(self) -> None:
            waited_for = set().union(*(request.waits for request in self.requests))
            assert {key for key, run in self.model.items() if run.state == "queued"} <= waited_for

        def teardown(self) -> None:
            for run_id, result in store.results(self.model).items():
                run = self.model[run_id]
                values = {epoch: metrics["top1"] for epoch, metrics in result.epochs.items()}
                assert values.items() <= run.values.items()
                if result.state != "done":
                    assert values == run.values
            assert store.check() == []

    return Queue


def explore(
    url: str, fake: Any, make_run: Any, make_study: Any, remote: Any, examples: int, steps: int, shrink: bool = True
) -> None:
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    make = {"run": make_run, "study": make_study, "remote": remote}
    with Store.open(url, clock=fake.clock) as store:
        checks = [HealthCheck.too_slow]
        run_state_machine_as_test(
            machine(store, fake, make),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                derandomize=True,
                suppress_health_check=checks,
                database=None,
                phases=phases,
                report_multiple_bugs=False,
            ),
        )


@pytest.mark.slow
def test_the_queue_agrees_with_the_model(url: str, fake: Any, make_run: Any, make_study: Any, remote: Any) -> None:
    explore(url, fake, make_run, make_study, remote, examples=12, steps=25)


@pytest.mark.slow
def test_the_queue_agrees_with_the_model_for_long(
    url: str, fake: Any, make_run: Any, make_study: Any, remote: Any
) -> None:
    explore(url, fake, make_run, make_study, remote, examples=50, steps=50)


@pytest.mark.slow
def test_the_model_notices_a_missing_fence(
    path: Path, fake: Any, make_run: Any, make_study: Any, remote: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test of the test: without the comparison of attempts, a late worker's write is found."""
    from ablate.store import queue, recorder

    def unfenced(tx: Any, claim: Claim, *, ended_as: str | None = None) -> Held:
        row = tx.execute(transitions._LOCK_RUN, {"run_id": claim.run.run_id}).one()
        return Held(row.id, row.attempt, row.counted)

    monkeypatch.setattr(queue, "hold", unfenced)
    monkeypatch.setattr(recorder, "hold", unfenced)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        explore(str(path), fake, make_run, make_study, remote, examples=30, steps=25, shrink=False)
