"""What dispatch asks of the store: a queue of runs with leases.

Every method that takes a `Claim` may raise `LeaseLost`: a newer attempt holds the run, and nothing that this worker does
to it counts any more. A store that is busy or away raises `StoreError`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

from ablate.store.host import WorkerInfo
from ablate.store.values import Claim, Counts, RunState
from ablate.study.records import EpochRecord, Outcome, RunResult


class Queue(Protocol):
    """A results database seen by a worker. Times to live are in seconds, by the database's clock."""

    def claim(self, request_key: int, worker: WorkerInfo, ttl: float) -> Claim | None: ...

    def heartbeat(self, claim: Claim, ttl: float) -> None: ...

    def release(self, claim: Claim, reason: str) -> None: ...

    def record_epoch(self, claim: Claim, records: Sequence[EpochRecord]) -> None: ...

    def finish(self, claim: Claim, outcome: Outcome, seconds: float) -> None: ...

    def fail(self, claim: Claim, error: str, kind: str) -> None:
        """`kind` is one of `values.KINDS`."""
        ...

    def lose(self, claim: Claim, reason: str) -> None: ...

    def prune(self, claim: Claim, reason: str) -> None: ...

    def set_environment(
        self, claim: Claim, environment: Mapping[str, object], fingerprint: str | None, device: str
    ) -> None: ...

    def waiting(self, request_key: int) -> Counts:
        """Only looks: a lease that has run out counts as running until a `claim` ends it."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class WatchedQueue(Queue, Protocol):
    """The database seen by the command that follows workers elsewhere: it reads what became of their runs."""

    def states(self, run_ids: Collection[str]) -> dict[str, RunState]: ...

    def results(self, run_ids: Collection[str]) -> dict[str, RunResult]: ...


OpenStore = Callable[[], Queue]
"""Opens the store; called once in each thread that talks to it, which closes it."""
