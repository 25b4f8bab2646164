"""The results database as one object: all that the rest of ablate uses of this package."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from ablate.store import admin, backup, importing, migrate, portable, queries, queue, recorder
from ablate.store import requests as asked
from ablate.store import results as reading
from ablate.store import studies as saving
from ablate.store import trials as tuned
from ablate.store import verified as again
from ablate.store.engine import TIMEOUT, Database, Tx
from ablate.store.host import WorkerInfo
from ablate.store.requests import Call
from ablate.store.seen import Codes
from ablate.store.values import TTL, Claim, Clock, Counts, Imported, StoredStudy
from ablate.study.values.study import Study

P = ParamSpec("P")
T = TypeVar("T")


def _reads(query: Callable[Concatenate[Tx, P], T]) -> Callable[Concatenate[Store, P], T]:
    """The method that asks `query` of one snapshot of the database."""

    @wraps(query)
    def method(store: Store, /, *args: P.args, **given: P.kwargs) -> T:
        return store._db.read(lambda tx: query(tx, *args, **given))

    return method


def _writes(change: Callable[Concatenate[Tx, P], T]) -> Callable[Concatenate[Store, P], T]:
    """The method that makes `change` in one write transaction."""

    @wraps(change)
    def method(store: Store, /, *args: P.args, **given: P.kwargs) -> T:
        return store._db.write(lambda tx: change(tx, *args, **given))

    return method


class Store:
    """One open results database. Safe to share between threads, never between processes: each opens its own.

    Every method is one transaction, and raises StoreError (locked, damaged, unreachable) or NoSpaceOrPermission besides
    what it says itself. Those that take a `Claim` raise LeaseLost once a newer attempt exists or the lease is gone.
    What a method does is said where it is done, by the function that it is made of.
    """

    def __init__(self, database: Database, barred: Collection[str] = ()) -> None:
        self._db = database
        self._barred = frozenset(barred)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        read_only: bool = False,
        clock: Clock | None = None,
        timeout: float = TIMEOUT,
        barred: Collection[str] = (),
    ) -> Store:
        """Open `sqlite:///results.db`, a plain path, or `postgresql+psycopg://...`; a new database gets its tables.

        `read_only` never writes, creates or locks anything, and sees what live writers commit. `barred` are runs that cannot
        start where this store is used, for want of first weights: `claim` passes them over and `waiting` calls them
        blocked, while others may claim them. Raises NotFound (nothing to read), StoreError (not a results database; of an
        older or newer ablate; on a network mount; locked for `timeout` seconds), NoSpaceOrPermission.
        """
        database = Database(url, read_only=read_only, clock=clock, timeout=timeout)
        try:
            migrate.prepare(database)
        except BaseException:
            database.close()
            raise
        return cls(database, barred)

    @property
    def url(self) -> str:
        """The database as people may see it: without a password."""
        return self._db.location.shown

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Studies --------------------------------------------------------------------------------------------------------

    def save_study(
        self,
        study: Study,
        *,
        call_options: Mapping[str, Any],
        folder: str = "",
        code: Codes = None,
        retry: str | None = None,
        requeue_pruned: bool = True,
        join: bool = False,
    ) -> int:
        """Store the study as it is about to be run, queue what is missing, and return the key of this request for it.

        `call_options` are kept with it, as JSON. `folder` is where the study's relative names begin, `code` the code as it is here. `retry` is
        `failed`, `lost`, `all` (these and cancelled) or `stale` (runs that other code has done and `code` has not; those
        without a record of their code stay). A run queued again starts a new count of three, and only this request waits
        for it. A pruned run is queued again unless `requeue_pruned` is false (tuning). With `join`, the newest request
        for the same study and text grows, instead of a new one being made (tuning). Nothing is cancelled or deleted.
        Raises UsageError.
        """
        call = Call(call_options, folder, code, retry, requeue_pruned, join)
        return self._db.write(lambda tx: saving.save(tx, study, call))

    requests = _reads(asked.find)
    request = _reads(asked.get)
    seeds_asked = _reads(asked.seeds_asked)
    looks = _reads(asked.looks)
    asked_by = _reads(asked.asked_by)
    studies = _reads(queries.all_studies)
    links = _reads(queries.links)

    def tunings(self) -> tuple[StoredStudy, ...]:
        """The studies that tuning keeps for its runs, the one run last first."""
        return self.studies(tunings=True)

    # The queue ------------------------------------------------------------------------------------------------------

    def claim(self, request_key: int, worker: WorkerInfo, ttl: float = TTL) -> Claim | None:
        """The request's next queued run whose parent is done, leased for `ttl` seconds; None where there is none just now
        (`waiting` says whether it is worth asking again). Lapsed leases of the whole database end first."""
        sent: queue.Sent = []
        return self._db.write(lambda tx: queue.claim(tx, request_key, worker, ttl, sent, self._barred))

    def waiting(self, request_key: int) -> Counts:
        """The request's runs by state, with what of the queued ones can still run."""
        return self._db.read(lambda tx: queries.waiting(tx, request_key, self._barred))

    lapsed = _reads(queue.lapsed)
    heartbeat = _writes(queue.heartbeat)
    set_environment = _writes(queue.set_environment)
    record_epoch = _writes(recorder.record_epoch)
    finish = _writes(recorder.finish)
    fail = _writes(recorder.fail)
    prune = _writes(recorder.prune)
    release = _writes(queue.release)
    lose = _writes(queue.lose)
    cancel = _writes(queue.cancel)
    requeue = _writes(queue.requeue)

    # Tuning, and what was verified ----------------------------------------------------------------------------------

    trials = _reads(tuned.read)
    add_trial = _writes(tuned.add)
    end_trial = _writes(tuned.end)
    reopen_trials = _writes(tuned.reopen)
    verified = _reads(again.read)
    add_verified = _writes(again.add)

    # Looking --------------------------------------------------------------------------------------------------------

    states = _reads(queries.states)
    results = _reads(reading.results)
    find = _reads(reading.find)
    list_runs = _reads(reading.list_runs)
    run_names = _reads(queries.run_names)
    arm_names = _reads(queries.arm_names)
    timings = _reads(queries.timings)
    events = _reads(queries.history)

    def now(self) -> float:
        """POSIX seconds by the database's clock, which decides when a lease of another host ends."""
        return self._db.read(lambda tx: tx.now)

    # The database itself --------------------------------------------------------------------------------------------

    info = _reads(admin.info)

    def check(self) -> list[str]:
        """Everything that is wrong with the database, in sentences; empty where it is whole."""
        return admin.check(self._db)

    def backup(self, target: str | Path, *, overwrite: bool = False) -> None:
        """Copy a SQLite database, as it is at this moment, to a file in journal mode DELETE. Whole or not at all.

        Raises UsageError (`exists`) for a file that is there, unless `overwrite`."""
        backup.copy_file(self._db, Path(target), overwrite=overwrite)

    def export(self, target: str | Path, *, overwrite: bool = False) -> dict[str, int]:
        """Write everything, as it is at this moment, to a file of JSON lines; the rows of each table. Whole or not at all.

        Raises UsageError (`exists`) for a file that is there, unless `overwrite`."""
        return portable.export_file(self._db, Path(target), overwrite=overwrite)

    def import_from(self, source: str, *, keep: bool = False, dry_run: bool = False) -> Imported:
        """Bring in what an export or another results database holds, in one transaction. Nothing here is overwritten: runs
        that are done in both with different results are a StoreError, or left as they are here where `keep` is set."""
        return importing.import_from(self._db, source, keep=keep, dry_run=dry_run)


def look_at_import(source: str) -> Imported:
    """What importing into a new database would do."""
    return importing.import_from(None, source, dry_run=True)
