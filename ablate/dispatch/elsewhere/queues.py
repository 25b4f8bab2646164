"""Which queue a worker talks to, by the URL that it is given: the one place where a new kind of queue is hung in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ablate.dispatch.contract.queue import OpenStore, Queue
from ablate.store.host import WorkerInfo
from ablate.store.values import Claim, Counts
from ablate.study.records import EpochRecord, Outcome

SPOOL = "spool://"


def opener(url: str, barred: Collection[str] = ()) -> OpenStore:
    """How each thread of a worker opens its queue: the database, or `spool://FOLDER`. Nothing is opened yet.

    `barred` are runs that cannot start; through a folder, the one who answers knows them.
    """
    from ablate.dispatch.elsewhere.spool import SpoolQueue
    from ablate.store.store import Store

    if url.startswith(SPOOL):
        return lambda: SpoolQueue(Path(url.removeprefix(SPOOL)))
    return lambda: Store.open(url, barred=barred)


class Relay:
    """A queue that hands everything on to another one; a subclass answers some of it itself."""

    def __init__(self, store: Queue) -> None:
        self._store = store

    def claim(self, request_key: int, worker: WorkerInfo, ttl: float) -> Claim | None:
        return self._store.claim(request_key, worker, ttl)

    def heartbeat(self, claim: Claim, ttl: float) -> None:
        self._store.heartbeat(claim, ttl)

    def release(self, claim: Claim, reason: str) -> None:
        self._store.release(claim, reason)

    def record_epoch(self, claim: Claim, records: Sequence[EpochRecord]) -> None:
        self._store.record_epoch(claim, records)

    def finish(self, claim: Claim, outcome: Outcome, seconds: float) -> None:
        self._store.finish(claim, outcome, seconds)

    def fail(self, claim: Claim, error: str, kind: str) -> None:
        self._store.fail(claim, error, kind)

    def lose(self, claim: Claim, reason: str) -> None:
        self._store.lose(claim, reason)

    def prune(self, claim: Claim, reason: str) -> None:
        self._store.prune(claim, reason)

    def set_environment(
        self, claim: Claim, environment: Mapping[str, object], fingerprint: str | None, device: str
    ) -> None:
        self._store.set_environment(claim, environment, fingerprint, device)

    def waiting(self, request_key: int) -> Counts:
        return self._store.waiting(request_key)

    def close(self) -> None:
        self._store.close()
