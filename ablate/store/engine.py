"""A database that is open: transactions as calls, with locks, retries and errors in one place.

`read(work)` and `write(work)` run `work(tx)` in one transaction and return its value. A call, not a `with` block,
because PostgreSQL may ask for a transaction again (a deadlock, a restarted server), and so may a read of a file that
changed meanwhile. Whether a commit happened whose answer got lost is unknown, so `work` must come to the same when it
is done twice.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, CursorResult, Engine
from sqlalchemy.exc import DBAPIError

from ablate.errors import AblateError, DatabaseGone, NoSpaceOrPermission, StoreError
from ablate.store import location as places
from ablate.store.codec import chunks
from ablate.store.header import File, Header, identity
from ablate.store.location import Location
from ablate.store.postgresql import PostgreSQL
from ablate.store.sqlite import WRITE, SQLite, has_log
from ablate.store.values import Clock

T = TypeVar("T")

Rows: TypeAlias = CursorResult[*tuple[Any, ...]]
AnyRow: TypeAlias = sa.Row[*tuple[Any, ...]]
AnySelect: TypeAlias = sa.Select[*tuple[Any, ...]]

Dialect = SQLite | PostgreSQL
"""All that differs between the two kinds of databases; the rest of the package is written once, in SQLAlchemy Core. `FOR UPDATE
[SKIP LOCKED]` is among that: SQLAlchemy leaves it out for SQLite, where `BEGIN IMMEDIATE` has locked the whole file."""

TIMEOUT = 30.0
"""Seconds that a transaction waits for its turn."""

OUTAGE = 10.0
"""Seconds for which a server that has answered before may be away until a transaction fails: the time of a restart.
Longer ones are the caller's affair; a lease goes on asking for as long as it holds."""

_PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 3.2)
_TRIES = len(_PAUSES) + 1


class Tx:
    """One transaction: statements, and the time at which it happens."""

    def __init__(self, connection: Connection, dialect: Dialect, clock: Clock) -> None:
        self.connection, self.dialect, self._clock = connection, dialect, clock
        self._now: float | None = None

    @property
    def now(self) -> float:
        """POSIX seconds by the database's clock, asked once a transaction."""
        if self._now is None:
            self._now = float(
                self._clock.now() if self._clock.now else self.connection.execute(self.dialect.now).scalar_one()
            )
        return self._now

    @property
    def monotonic(self) -> float:
        """Seconds of this host's monotonic clock, which all its processes share and which stands still in suspend."""
        if self._clock.monotonic:
            return self._clock.monotonic()
        return self.now if self._clock.now else time.monotonic()

    def execute(
        self, statement: sa.Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> Rows:
        result = self.connection.execute(statement, values)
        assert isinstance(result, sa.CursorResult)
        return result

    def among(self, statement: AnySelect, column: sa.Column[Any], values: Collection[Any]) -> Iterator[AnyRow]:
        """The rows whose `column` is one of `values`, however many these are: a chunk of them at a time."""
        for part in chunks(list(values)):
            yield from self.execute(statement.where(column.in_(part)))

    def upsert(self, table: sa.Table, rows: Sequence[Mapping[str, Any]], update: Sequence[str] = ()) -> None:
        """Insert rows; where a primary key is there already, its columns `update` are set: without any, such a row stays."""
        if not rows:
            return
        insert = self.dialect.insert(table)
        if update:
            own, new = list(table.primary_key.columns), {name: insert.excluded[name] for name in update}
            insert = insert.on_conflict_do_update(index_elements=own, set_=new)
        else:
            insert = insert.on_conflict_do_nothing()
        self.connection.execute(insert, rows)


class Database:
    """Opens nothing by itself; `ablate.store.migrate.prepare` checks or creates the tables."""

    def __init__(self, url: str, *, read_only: bool, clock: Clock | None = None, timeout: float = TIMEOUT) -> None:
        self.location: Location = places.locate(url)
        self.read_only, self.timeout = read_only, timeout
        self.clock = clock or Clock()
        self.dialect: Dialect = (SQLite if self.location.path is not None else PostgreSQL)(self.location, timeout)
        self.header = Header()
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._closed = False
        self._answered = False
        self._file: File | None = None

    # Transactions ---------------------------------------------------------------------------------------------------

    def write(
        self, work: Callable[[Tx], T], *, first: Callable[[], None] = lambda: None, foreign_keys: bool = True
    ) -> T:
        """`work` in one write transaction; all or nothing. Raises what `work` raises, else StoreError or
        NoSpaceOrPermission. For migrations: `first` runs under the file lock before the transaction begins, and
        `foreign_keys=False` lets tables be rebuilt."""
        if self.read_only:
            raise StoreError(f"{self.location.shown} was opened read-only")

        def once() -> T:
            self.refuse_replaced()
            with self.dialect.write_lock():
                self.refuse_replaced()  # while we waited for the lock
                first()
                result = self._write_once(work, foreign_keys)
            self.refuse_replaced()  # meanwhile: then it was written to a file without a name
            return result

        try:
            return self._insist(once)
        except (DBAPIError, sqlite3.Error, OSError) as error:
            raise self._translate(error) from None

    def _insist(self, once: Callable[[], T]) -> T:
        """`once`, and again where the server asks for it, or has answered before and is away for a moment."""
        until: float | None = None
        for pause in (*_PAUSES, None):
            try:
                result = once()
            except DBAPIError as error:
                again = self.dialect.must_retry(error.orig or error)
                if not again and self._answered and self.dialect.is_away(error):
                    until = until or time.monotonic() + OUTAGE
                    again = time.monotonic() < until
                if pause is None or not again:
                    raise
                time.sleep(pause)
            else:
                self._answered = True
                return result
        raise AssertionError("unreachable")

    def _write_once(self, work: Callable[[Tx], T], foreign_keys: bool) -> T:
        with self.engine.connect() as plain:
            connection = plain.execution_options(**{WRITE: True})
            self.dialect.before_write(connection)
            if not foreign_keys:
                self.dialect.check_foreign_keys(connection, False)
            try:
                with connection.begin():
                    return work(Tx(connection, self.dialect, self.clock))
            finally:
                if not foreign_keys:
                    self.dialect.check_foreign_keys(connection, True)

    def read(self, work: Callable[[Tx], T]) -> T:
        """`work` on one snapshot of the database. A read-only one is never written, nor is a file made beside it."""

        def once(engine: Engine) -> T:
            with engine.connect() as connection, connection.begin():
                return work(Tx(connection, self.dialect, self.clock))

        return self._reading(once)

    def read_raw(self, work: Callable[[Any], T]) -> T:
        """`work` on the driver's own connection, outside a transaction: for PRAGMA and VACUUM INTO."""

        def once(engine: Engine) -> T:
            connection = engine.raw_connection()
            try:
                return work(connection)
            finally:
                connection.close()

        return self._reading(once)

    def _reading(self, once: Callable[[Engine], T]) -> T:
        try:
            if self.read_only and isinstance(self.dialect, SQLite):
                return self._read_file(self.dialect, once)
            self.refuse_replaced()
            return self._insist(lambda: once(self.dialect.snapshot(self.engine)))
        except (DBAPIError, sqlite3.Error, OSError) as error:
            raise self._translate(error) from None

    def _read_file(self, dialect: SQLite, once: Callable[[Engine], T]) -> T:
        """A WAL file that nobody has open is read as immutable: SQLite would else make `-wal` and `-shm` beside it, or
        fail where it may not. What a writer changes meanwhile is noticed afterwards, and the read is done again."""
        for _ in range(_TRIES):
            places.refuse_missing(self.location, self.header)
            if not places.is_wal(dialect.path, self.header) or has_log(self.location):
                return once(dialect.read_engine())
            before = _signature(dialect.path)
            error: DBAPIError | sqlite3.Error | None = None
            try:
                result = once(dialect.read_engine(immutable=True))
            except (DBAPIError, sqlite3.Error) as caught:
                error = caught
            if _signature(dialect.path) == before:
                if error is not None:
                    raise error
                return result
        raise StoreError(f"{self.location.shown} changes faster than it can be read; try again")

    def refuse_replaced(self) -> None:
        """DatabaseGone where the file at the path is not the one that was opened: connections would write into one that has
        no name any more."""
        what = self._replaced()
        if what:
            raise DatabaseGone(f"the results database {self.location.shown} {what} while it was in use")

    def _replaced(self) -> str:
        """What became of the file that was opened; empty where it is in its place. It asks for the identity of what lies there
        now, and opens nothing. A copy over the file leaves it its identity, and takes the mark of the log that is in use."""
        named = self.location.named
        if named is None or self.read_only:
            return ""
        try:
            if self._file is None:
                self._file = self.header.hold(named)
            if identity(named) != self._file:
                return "was replaced by another file"
            if isinstance(self.dialect, SQLite) and self.dialect.in_wal and not places.is_wal(named, self.header):
                return "was overwritten"
        except (FileNotFoundError, NotADirectoryError):
            return "was removed"
        except OSError as error:
            raise self._translate(error) from None
        return ""

    # Life -----------------------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        with self._lock:
            if self._closed:
                raise StoreError(f"{self.location.shown} was closed")
            if self._engine is not None and self._pid != os.getpid():
                self._engine.dispose(close=False)  # a forked child must not use its parent's connections
                self._engine = None
            if self._engine is None:
                self._engine = self.dialect.engine()
                self._pid = os.getpid()
            return self._engine

    def close(self) -> None:
        """Close the connections; for SQLite under the write lock, because the last one to close makes a checkpoint."""
        with self._lock:
            engine, self._engine, self._closed = self._engine, None, True
        if engine is not None:
            with suppress(AblateError):
                if self._replaced():
                    _abandon(engine)
                    return
            self._dispose(engine)
        self.header.release()

    def _dispose(self, engine: Engine) -> None:
        if self._pid != os.getpid():
            engine.dispose(close=False)
        elif self.read_only:
            engine.dispose()
        else:
            with suppress(AblateError, OSError), self.dialect.write_lock():
                engine.dispose()
                return
            engine.dispose()

    def _translate(self, error: Exception) -> AblateError:
        if isinstance(error, OSError):
            return NoSpaceOrPermission(f"{self.location.shown}: {error.strerror}: {error.filename or ''}".rstrip(": "))
        return self.dialect.translate((error.orig or error) if isinstance(error, DBAPIError) else error)


def _abandon(engine: Engine) -> None:
    """Leave the connections open for good, also when this process ends: the last one to close would write its log into the
    file that lies at the path now."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine))


def _signature(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size
