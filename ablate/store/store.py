"""The results database as one object: all that the rest of ablate uses of this package."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from ablate.errors import NotFound, nearest
from ablate.store import (
    admin,
    backup,
    importing,
    migrate,
    portable,
    queries,
    queue,
    recorder,
    requests,
    studies,
    trials,
    verified,
)
from ablate.store import results as reading
from ablate.store.engine import TIMEOUT, Database, Tx
from ablate.store.host import WorkerInfo
from ablate.store.requests import Call
from ablate.store.seen import Codes
from ablate.store.values import (
    Asker,
    Claim,
    Clock,
    Counts,
    Event,
    Imported,
    Info,
    Looks,
    RunState,
    StoredRequest,
    StoredStudy,
    StoredTrial,
    StudyLink,
    Timing,
    Upgrade,
)
from ablate.study.code.verified import Verified
from ablate.study.records import EpochRecord, Outcome, RunResult
from ablate.study.values.study import Study

TTL = 60.0
"""Seconds that a lease lasts without a heartbeat."""


def upgrade(url: str) -> Upgrade:
    """Bring a database of an older ablate to this one's schema, after a backup. Raises NotFound, StoreError."""
    return migrate.upgrade(url)


class Store:
    """One open results database. Safe to share between threads, never between processes: each opens its own.

    Every method is one transaction, and raises StoreError (locked, damaged, unreachable) or NoSpaceOrPermission besides
    what it says itself. Those that take a `Claim` raise LeaseLost once a newer attempt exists or the lease is gone.
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
        settings: Mapping[str, Any],
        folder: str = "",
        code: Codes = None,
        retry: str | None = None,
        requeue_pruned: bool = True,
        join: bool = False,
    ) -> int:
        """Store the study as it is about to be run, queue what is missing, and return the key of this request for it.

        `folder` is where the study's relative names begin, `code` the code as it is here. `retry` is
        `failed`, `lost`, `all` (these and cancelled) or `stale` (runs that other code has done and `code` has not; those
        without a record of their code stay). A run queued again starts a new count of three, and only this request waits
        for it. A pruned run is queued again unless `requeue_pruned` is false (tuning). With `join`, the newest request
        for the same study and text grows, instead of a new one being made (tuning). Nothing is cancelled or deleted.
        Raises UsageError.
        """
        call = Call(settings, folder, code, retry, requeue_pruned, join)
        return self._db.write(lambda tx: studies.save(tx, study, call))

    def requests(
        self,
        name: str | None = None,
        profile: str | None = None,
        sets: Sequence[str] | None = None,
        *,
        open_only: bool = False,
    ) -> tuple[StoredRequest, ...]:
        """What was asked for, the oldest first. `profile` None means any, `''` the full scale; `sets` None any variant, ()
        none. Those of tunings only by their name."""
        return self._db.read(lambda tx: requests.find(tx, name, profile, sets, open_only=open_only))

    def request(self, key: int) -> StoredRequest:
        """The request of that key. Raises NotFound."""
        return self._db.read(lambda tx: requests.get(tx, key))

    def seeds_asked(self, name: str, profile: str | None, sets: Sequence[str], text: str) -> tuple[int, ...]:
        """All the seeds that were ever asked of this text of a study, in order. `profile` None is the full scale."""
        return self._db.read(lambda tx: requests.seeds_asked(tx, name, profile, sets, text))

    def looks(self, name: str, profile: str | None, sets: Sequence[str], text: str) -> Looks:
        """How often seeds were added to this text of a study after runs of it were done."""
        return self._db.read(lambda tx: requests.looks(tx, name, profile, sets, text))

    def asked_by(self, run_ids: Iterable[str]) -> dict[str, tuple[Asker, ...]]:
        """Every study, variant and version that ever asked for each run; unknown runs are absent."""
        ids = list(run_ids)
        return self._db.read(lambda tx: requests.asked_by(tx, ids))

    def study_source(
        self, name: str | None = None, profile: str | None = None, sets: Sequence[str] = ()
    ) -> StoredStudy:
        """The study run last, of that name, profile (`''`: full scale) and variant. NotFound names the others."""
        found = self._db.read(lambda tx: queries.all_studies(tx, name, profile, sets))
        if found:
            return found[0]
        known = sorted({study.name for study in self.studies()})
        what = "no study" if name is None else f"no study {name!r}"
        if profile is not None and name in known:
            what += f" with profile {profile!r}" if profile else " at full scale"
        if sets:
            what += f" with {', '.join(sets)}"
        raise NotFound(
            f"{self.url} has {what}.{nearest(name or '', known)} It has: {', '.join(known) or 'none yet'}. "
            "`ablate grid run STUDY.yaml` adds one."
        )

    def studies(
        self, name: str | None = None, profile: str | None = None, sets: Sequence[str] | None = None
    ) -> tuple[StoredStudy, ...]:
        """Every study, profile and variant, the one run last first; None means any, `''` the full scale, () no variant."""
        return self._db.read(lambda tx: queries.all_studies(tx, name, profile, sets))

    def tunings(self) -> tuple[StoredStudy, ...]:
        """The studies that tuning keeps for its runs, the one run last first."""
        return self._db.read(partial(queries.all_studies, tunings=True))

    def links(self, run_ids: Iterable[str]) -> dict[str, tuple[StudyLink, ...]]:
        """What each study as it is now calls each run: its arm, levels, aliases and position."""
        ids = list(run_ids)
        return self._db.read(lambda tx: queries.links(tx, ids))

    # The queue ------------------------------------------------------------------------------------------------------

    def claim(self, request_key: int, worker: WorkerInfo, ttl: float = TTL) -> Claim | None:
        """The request's next queued run whose parent is done, leased for `ttl` seconds; None where there is none just now
        (`waiting` says whether it is worth asking again). Lapsed leases of the whole database end first."""
        sent: queue.Sent = []
        return self._db.write(lambda tx: queue.claim(tx, request_key, worker, ttl, sent, self._barred))

    def heartbeat(self, claim: Claim, ttl: float = TTL) -> None:
        """The lease lasts `ttl` seconds from now. Raises LeaseLost."""
        self._db.write(lambda tx: queue.heartbeat(tx, claim, ttl))

    def set_environment(
        self, claim: Claim, environment: Mapping[str, Any], fingerprint: str | None = None, device: str | None = None
    ) -> None:
        """What the attempt runs on; `environment["code"]` is what `--retry stale` compares. Raises LeaseLost."""
        self._db.write(lambda tx: queue.set_environment(tx, claim, environment, fingerprint, device))

    def record_epoch(self, claim: Claim, records: Sequence[EpochRecord]) -> None:
        """The metrics of one epoch, in one commit; a sign of life too. Raises LeaseLost."""
        self._db.write(lambda tx: recorder.record_epoch(tx, claim, records))

    def finish(self, claim: Claim, outcome: Outcome, seconds: float) -> None:
        """The run is done after `seconds` of wall time. Raises LeaseLost."""
        self._db.write(lambda tx: recorder.finish(tx, claim, outcome, seconds))

    def fail(self, claim: Claim, error: str, kind: str = "error") -> None:
        """The run failed: `kind` is `error`, `diverged`, `bad_data` or `oom`. Raises LeaseLost."""
        self._db.write(lambda tx: recorder.fail(tx, claim, error, kind))

    def prune(self, claim: Claim, reason: str) -> None:
        """A pruner ended the run early. Raises LeaseLost."""
        self._db.write(lambda tx: recorder.prune(tx, claim, reason))

    def release(self, claim: Claim, reason: str) -> None:
        """Back to the queue; the attempt is not counted. Raises LeaseLost."""
        self._db.write(lambda tx: queue.release(tx, claim, reason))

    def lose(self, claim: Claim, reason: str) -> None:
        """The attempt ended without an outcome: queued again, or lost at the third in a row that got no further. Raises LeaseLost."""
        self._db.write(lambda tx: queue.lose(tx, claim, reason))

    def cancel(self, run_ids: Iterable[str]) -> tuple[str, ...]:
        """Cancel queued and running runs; the ids that were. Others stay as they are."""
        ids = list(run_ids)
        return self._db.write(lambda tx: queue.cancel(tx, ids))

    def requeue(self, run_ids: Iterable[str], reason: str, request_key: int) -> tuple[str, ...]:
        """Queue ended runs of a request again, for it alone, done ones too: for a parent whose weights are gone. The ids
        that were."""
        ids = list(run_ids)
        return self._db.write(lambda tx: queue.requeue(tx, ids, reason, request_key))

    # Tuning ---------------------------------------------------------------------------------------------------------

    def trials(self, tunings: Iterable[str]) -> dict[str, tuple[StoredTrial, ...]]:
        """The trials of each tuning that has any, by number."""
        wanted = list(tunings)
        return self._db.read(lambda tx: trials.read(tx, wanted))

    def add_trial(self, trial: StoredTrial) -> bool:
        """Save a trial as the next of its tuning; False where another asker has taken that number."""
        return self._db.write(lambda tx: trials.add(tx, trial))

    def end_trial(self, trial: StoredTrial) -> bool:
        """Save how a running trial ended: `complete`, `pruned` or `failed`; False where it has ended already."""
        return self._db.write(lambda tx: trials.end(tx, trial))

    def reopen_trials(self, tuning: str, numbers: Sequence[int]) -> None:
        """Failed trials are running again."""
        self._db.write(lambda tx: trials.reopen(tx, tuning, numbers))

    # Verified -------------------------------------------------------------------------------------------------------

    def verified(self) -> tuple[Verified, ...]:
        """All that was trained again with later code, the oldest first."""
        return self._db.read(verified.read)

    def add_verified(self, row: Verified) -> None:
        """Keep what came of training a run again; `at` is taken from the database's clock."""
        self._db.write(lambda tx: verified.add(tx, row))

    # Looking --------------------------------------------------------------------------------------------------------

    def states(self, run_ids: Iterable[str], *, code: Codes = None) -> dict[str, RunState]:
        """Where each run stands, as seen with `code`; unknown runs are absent."""
        ids = list(run_ids)
        return self._db.read(lambda tx: queries.states(tx, ids, code))

    def waiting(self, request_key: int) -> Counts:
        """The request's runs by state, with what of the queued ones can still run."""
        return self._db.read(lambda tx: queries.waiting(tx, request_key, self._barred))

    def lapsed(self) -> dict[str, str]:
        """Runs that are called running and whose worker is gone, and why: the next claim ends their leases."""
        return self._db.read(queue.lapsed)

    def now(self) -> float:
        """POSIX seconds by the database's clock, which decides when a lease of another host ends."""
        return self._db.read(lambda tx: tx.now)

    def results(self, run_ids: Iterable[str], *, epochs: bool = True, code: Codes = None) -> dict[str, RunResult]:
        """All that is known of each run, in the order asked for; unknown runs are absent. `code` decides which attempt counts,
        and `stale`."""
        ids = list(run_ids)
        return self._db.read(lambda tx: reading.results(tx, ids, epochs=epochs, code=code))

    def find(self, prefix: str, *, code: Codes = None) -> RunResult:
        """The one run whose id starts with `prefix`. NotFound lists the candidates, or the nearest."""

        def look(tx: Tx) -> RunResult:
            run_id = queries.resolve(tx, prefix)
            return reading.results(tx, [run_id], epochs=True, code=code)[run_id]

        return self._db.read(look)

    def list_runs(
        self,
        *,
        study: str | None = None,
        profile: str | None = None,
        sets: Sequence[str] | None = None,
        states: Sequence[str] | None = None,
        limit: int | None = None,
        code: Codes = None,
    ) -> list[RunResult]:
        """Runs without their epochs: a study's in its own order, else the newest first. `profile` and `sets` None mean any."""

        def look(tx: Tx) -> list[RunResult]:
            ids = queries.run_ids(tx, study, profile, sets, states, limit)
            return list(reading.results(tx, ids, epochs=False, code=code).values())

        return self._db.read(look)

    def timings(self) -> list[Timing]:
        """Wall times of done runs, newest first, for estimates."""
        return self._db.read(queries.timings)

    def events(self, run_id: str | None = None, limit: int = 100) -> tuple[Event, ...]:
        """The history, newest first."""
        return self._db.read(partial(queries.history, run_id=run_id, limit=limit))

    # The database itself --------------------------------------------------------------------------------------------

    def info(self) -> Info:
        return admin.info(self._db)

    def check(self) -> list[str]:
        """Everything that is wrong with the database, in sentences; empty where it is whole."""
        return admin.check(self._db)

    def backup(self, target: str | Path, *, overwrite: bool = False) -> None:
        """Copy a SQLite database, as it is at this moment, to a file in journal mode DELETE. Whole or not at all."""
        backup.copy_file(self._db, Path(target), overwrite=overwrite)

    def export(self, target: str | Path, *, overwrite: bool = False) -> dict[str, int]:
        """Write everything, as it is at this moment, to a file of JSON lines; the rows of each table. Whole or not at all."""
        return portable.export_file(self._db, Path(target), overwrite=overwrite)

    def import_from(self, source: str, *, keep: bool = False, dry_run: bool = False) -> Imported:
        """Bring in what an export or another results database holds, in one transaction. Nothing here is overwritten: runs
        that are done in both with different results are a StoreError, or left as they are here where `keep` is set."""
        return importing.import_from(self._db, source, keep=keep, dry_run=dry_run)


def look_at_import(source: str) -> Imported:
    """What importing into a new database would do."""
    return importing.import_from(None, source, dry_run=True)
