"""What dispatch asks of the store: a queue of runs with leases. Tests have one in memory.

Every method of a claim may raise `LeaseLost`: a newer attempt holds the run, and nothing that this worker does to it
counts any more. A store that is busy or away raises `StoreError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ablate.study.records import EpochRecord, Outcome
from ablate.study.values.run import Run

KINDS = ("error", "diverged", "bad_data", "oom")
"""Why a run failed, as `Queue.fail` takes it."""


class Claim(Protocol):
    """A leased run. `attempt` counts from 1 and is the fencing token of everything written for it."""

    @property
    def run(self) -> Run: ...

    @property
    def attempt(self) -> int: ...


class Waiting(Protocol):
    """Runs of a study that are not over: free to claim, leased by anybody, blocked by a parent or absent weights.

    Which weights are absent is for whoever opens the store to say (`Store.open`): a claim never hands such a run out.
    """

    @property
    def queued(self) -> int: ...

    @property
    def running(self) -> int: ...

    @property
    def blocked(self) -> int: ...


class Queue(Protocol):
    """A results database seen by a worker. Times to live are in seconds, by the database's clock."""

    def claim(self, request_key: int, worker: Any, ttl: float) -> Any | None: ...

    def heartbeat(self, claim: Any, ttl: float) -> None: ...

    def release(self, claim: Any, reason: str) -> None: ...

    def record_epoch(self, claim: Any, records: Sequence[EpochRecord]) -> None: ...

    def finish(self, claim: Any, outcome: Outcome, seconds: float) -> None: ...

    def fail(self, claim: Any, error: str, kind: str) -> None: ...

    def lose(self, claim: Any, reason: str) -> None: ...

    def prune(self, claim: Any, reason: str) -> None: ...

    def set_environment(
        self, claim: Any, environment: Mapping[str, Any], fingerprint: str | None, device: str
    ) -> None: ...

    def waiting(self, request_key: int) -> Waiting:
        """Only looks: a lease that has run out counts as running until a `claim` ends it."""
        ...

    def close(self) -> None: ...


OpenStore = Callable[[], Queue]
"""Opens the store; called once in each thread that talks to it, which closes it."""
