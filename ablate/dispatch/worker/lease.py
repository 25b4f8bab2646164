"""One claim while it lasts: heartbeats, and writes that outlast a store that is busy for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from ablate.dispatch.contract.queue import Queue
from ablate.dispatch.contract.signals import StopFlag
from ablate.errors import DatabaseGone, LeaseLost, StoreError
from ablate.store.values import Claim
from ablate.study.records import EpochRecord, Outcome

RETRY_AFTER = 1.0


class Lease:
    """Belongs to one thread. All of its methods raise LeaseLost once another worker may hold the run, and DatabaseGone at
    once where the results database has gone: no other try would find it.

    That is so when the store says so, and also when the store has not answered until `deadline`: a time of the
    monotonic clock, counted from before the last heartbeat that succeeded, so that it is never later than the store's
    own.
    """

    def __init__(
        self,
        store: Queue,
        claim: Claim,
        ttl: float,
        stop: StopFlag,
        on_trouble: Callable[[str], None],
        *,
        since: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.claim = claim
        self._store = store
        self._ttl = ttl
        self._stop = stop
        self._on_trouble = on_trouble
        self._clock = clock
        now = clock() if since is None else since
        self.deadline = now + ttl
        self.next_beat = now + ttl / 3

    def on(self, store: Queue) -> Lease:
        """The same lease through another store, for another thread."""
        other = Lease(store, self.claim, self._ttl, self._stop, self._on_trouble, clock=self._clock)
        other.deadline, other.next_beat = self.deadline, self.next_beat
        return other

    def beat(self) -> bool:
        """Renew the lease if it is time to; true if renewed. A store that is away is asked again soon."""
        now = self._clock()
        if now < self.next_beat:
            return False
        try:
            self._store.heartbeat(self.claim, self._ttl)
        except DatabaseGone:
            raise
        except StoreError as error:
            self._on_trouble(f"the heartbeat did not reach the results database, trying again: {error}")
            self.next_beat = self._clock() + self._ttl / 12
            self._check_deadline(error)
            return False
        self.deadline = now + self._ttl
        self.next_beat = now + self._ttl / 3
        return True

    def record(self, records: Sequence[EpochRecord]) -> None:
        self._persist(lambda: self._store.record_epoch(self.claim, records))

    def set_environment(self, environment: Mapping[str, object], fingerprint: str | None, device: str) -> None:
        self._persist(lambda: self._store.set_environment(self.claim, environment, fingerprint, device))

    def finish(self, outcome: Outcome, seconds: float) -> None:
        self._persist(lambda: self._store.finish(self.claim, outcome, seconds))

    def fail(self, error: str, kind: str) -> None:
        self._persist(lambda: self._store.fail(self.claim, error, kind))

    def prune(self, reason: str) -> None:
        self._persist(lambda: self._store.prune(self.claim, reason))

    def lose(self, reason: str) -> None:
        self._persist(lambda: self._store.lose(self.claim, reason))

    def release(self, reason: str) -> None:
        """Give the run back. One try when in a hurry: a lease that stays behind runs out by itself."""
        self._persist(lambda: self._store.release(self.claim, reason))

    def _persist(self, write: Callable[[], None]) -> None:
        warned = False
        while True:
            try:
                return write()
            except DatabaseGone:
                raise
            except StoreError as error:
                if not warned:
                    self._on_trouble(f"the results database does not answer, trying again: {error}")
                warned = True
                self._check_deadline(error)
                if not self._stop.hard:
                    self._stop.wait(RETRY_AFTER, told=True)
                if self._stop.hard:
                    raise LeaseLost("stopped while the results database did not answer") from error

    def _check_deadline(self, error: StoreError) -> None:
        if self._clock() >= self.deadline:
            raise LeaseLost(
                f"the results database did not answer within the lease of {self._ttl:g} s, so the run may be another "
                f"worker's now: {error}"
            ) from error
