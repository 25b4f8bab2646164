"""A queue in memory that keeps the store's contract: leases, fencing, three attempts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ablate.errors import LeaseLost, StoreError
from ablate.store.values import Claim, Counts
from ablate.study.values.run import Run
from ablate.study.values.study import Arm, Study


@dataclass
class Entry:
    run: Run
    state: str = "queued"
    attempt: int = 0
    counted: int = 0
    ends: list[str] = field(default_factory=list)
    error: str | None = None
    kind: str | None = None
    epochs: list[tuple[int, Any]] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    device: str | None = None
    fingerprint: str | None = None
    outcome: Any = None
    heartbeats: int = 0
    lapsed: bool = False


def make_run(number: int, act: str = "ok", *, parent: str | None = None, **recipe: Any) -> Run:
    name = f"{number:02x}" * 32
    return Run(name, name[::-1], number, {"act": act, **recipe}, None, parent)


def study_of(runs: tuple[Run, ...]) -> Study:
    arms = tuple(Arm(f"arm{run.seed}", {"x": str(run.seed)}, run.arm_id, run.recipe) for run in runs)
    return Study(
        name="toy",
        file="toy.yaml",
        about="",
        cite={},
        profile=None,
        factors=(),
        design="full",
        seeds=(0,),
        baseline={},
        arms=arms,
        excluded=(),
        arms_before=len(arms),
        tables={},
        runs=runs,
        source="study: toy\n",
    )


class MemoryStore:
    """`busy` names methods that raise StoreError, each as often as it is listed; `on_call` sees each call first."""

    def __init__(self, *runs: Run, blocked: int = 0, max_attempts: int = 3) -> None:
        self.entries = {run.run_id: Entry(run) for run in runs}
        self.blocked = blocked
        self.busy: list[str] = []
        self.calls: list[tuple[str, str]] = []
        self.workers: list[Any] = []
        self.on_call: Callable[[str, str], None] = lambda name, run_id: None
        self._max_attempts = max_attempts
        self._changed = threading.Condition(threading.RLock())

    def open(self) -> MemoryStore:
        return self

    def close(self) -> None: ...

    def states(self) -> dict[int, str]:
        return {entry.run.seed: entry.state for entry in self.entries.values()}

    def of(self, seed: int) -> Entry:
        return next(entry for entry in self.entries.values() if entry.run.seed == seed)

    def steal(self, run_id: str) -> None:
        """As when a lease ran out and somebody else claimed the run."""
        with self._changed:
            self.entries[run_id].attempt += 1

    def claim(self, request_key: int, worker: Any, ttl: float) -> Claim | None:
        with self._changed:
            self._called("claim", "")
            self.workers.append(worker)
            for entry in self.entries.values():
                if entry.lapsed:
                    entry.state, entry.lapsed = "queued", False
            for entry in self.entries.values():
                if entry.state == "queued" and self._parent_done(entry.run):
                    entry.state = "running"
                    entry.attempt += 1
                    entry.counted += 1
                    return Claim(entry.run, entry.attempt, str(worker), request_key, ttl)
            return None

    def heartbeat(self, claim: Claim, ttl: float) -> None:
        self._held("heartbeat", claim).heartbeats += 1

    def release(self, claim: Claim, reason: str) -> None:
        entry = self._end("release", claim, "queued", reason)
        entry.counted -= 1

    def record_epoch(self, claim: Claim, records: Any) -> None:
        entry = self._held("record_epoch", claim)
        entry.epochs.append((claim.attempt, tuple(records)))

    def finish(self, claim: Claim, outcome: Any, seconds: float) -> None:
        self._end("finish", claim, "done", "done").outcome = outcome

    def fail(self, claim: Claim, error: str, kind: str) -> None:
        self._end("fail", claim, "failed", error).kind = kind

    def prune(self, claim: Claim, reason: str) -> None:
        self._end("prune", claim, "pruned", reason)

    def lose(self, claim: Claim, reason: str) -> None:
        state = "lost" if self.entries[claim.run.run_id].counted >= self._max_attempts else "queued"
        self._end("lose", claim, state, reason)

    def set_environment(self, claim: Claim, environment: Any, fingerprint: str | None, device: str) -> None:
        entry = self._held("set_environment", claim)
        entry.environment, entry.fingerprint, entry.device = dict(environment), fingerprint, device

    def waiting(self, request_key: int) -> Counts:
        with self._changed:
            self._called("waiting", "")
            states = [entry.state for entry in self.entries.values()]
            return Counts(queued=states.count("queued"), running=states.count("running"), blocked=self.blocked)

    def _parent_done(self, run: Run) -> bool:
        return run.parent is None or self.entries[run.parent].state == "done"

    def _called(self, name: str, run_id: str) -> None:
        self.calls.append((name, run_id))
        self.on_call(name, run_id)
        if name in self.busy:
            self.busy.remove(name)
            raise StoreError(f"the database is locked ({name})")

    def _held(self, name: str, claim: Claim) -> Entry:
        with self._changed:
            self._called(name, claim.run.run_id)
            entry = self.entries[claim.run.run_id]
            if entry.attempt != claim.attempt or entry.state != "running":
                raise LeaseLost(f"attempt {claim.attempt} of run {claim.run.run_id[:12]} is over")
            return entry

    def _end(self, name: str, claim: Claim, state: str, why: str) -> Entry:
        with self._changed:
            entry = self._held(name, claim)
            entry.state = state
            entry.ends.append(name)
            entry.error = None if state == "done" else why
            return entry
