"""All that differs between SQLite and PostgreSQL: connecting, beginning, the clock, upserts, errors.

The rest of the package is written once, in SQLAlchemy Core. `FOR UPDATE [SKIP LOCKED]` is among that: SQLAlchemy leaves
it out for SQLite, where `BEGIN IMMEDIATE` has locked the whole file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool, QueuePool

from ablate.errors import AblateError, NoSpaceOrPermission, StoreError
from ablate.store import filelock
from ablate.store.location import Location, file_uri

WRITE = "ablate_write"
"""Execution option of a connection whose transaction will write."""


class SQLite:
    name = "sqlite"
    # unixepoch('subsec') is NULL before SQLite 3.42; 2440587.5 is the Julian day of 1970-01-01.
    now = sa.text("SELECT (julianday('now') - 2440587.5) * 86400.0")

    def __init__(self, location: Location, timeout: float) -> None:
        assert location.path is not None
        self.location, self.path, self.timeout = location, location.path, timeout
        self.in_wal = False  # as far as this process has seen to it
        self._readers: dict[bool, Engine] = {}

    def engine(self) -> Engine:
        """Reads and writes an existing file (`mode=rw` never creates one)."""
        engine = self._engine(file_uri(self.path, "mode=rw"), QueuePool)
        sa.event.listen(engine, "begin", self._begin)
        return engine

    def read_engine(self, *, immutable: bool = False) -> Engine:
        """A connection a transaction, for the way to open the file depends on what lies beside it at that moment."""
        if immutable not in self._readers:
            engine = self._engine(file_uri(self.path, "mode=ro" + ("&immutable=1" if immutable else "")), NullPool)
            sa.event.listen(engine, "begin", self._begin)
            self._readers[immutable] = engine
        return self._readers[immutable]

    def snapshot(self, engine: Engine) -> Engine:
        """The engine for a read: all of its statements see the same moment, as they do in any SQLite transaction."""
        return engine

    def _engine(self, uri: str, pool: type[sa.Pool]) -> Engine:
        return sa.create_engine(
            "sqlite://", creator=lambda: self._connect(uri), poolclass=pool, hide_parameters=True, echo=False
        )

    def _connect(self, uri: str) -> sqlite3.Connection:
        # isolation_level=None: the module's own BEGIN is deferred, and lets two workers claim one run.
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=self.timeout, check_same_thread=False)
        # FULL: in WAL, NORMAL loses the newest commits in a power cut. trusted_schema: a file from elsewhere may hold views and
        # triggers, which are to call no function that does more than compute.
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _begin(self, connection: Connection) -> None:
        cursor = connection.connection.cursor()
        if not connection.get_execution_options().get(WRITE):
            cursor.execute("BEGIN")
            return
        patience = min(filelock.PATIENCE, self.timeout)
        try:  # in two steps, so that whoever waits long is told for whom
            cursor.execute(f"PRAGMA busy_timeout={int(patience * 1000)}")
            try:
                cursor.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or patience == self.timeout:
                    raise
                filelock.LOG.warning("waiting for %s: %s is writing to it", self.location.shown, self._holder())
                cursor.execute(f"PRAGMA busy_timeout={int((self.timeout - patience) * 1000)}")
                cursor.execute("BEGIN IMMEDIATE")
        finally:
            cursor.execute(f"PRAGMA busy_timeout={int(self.timeout * 1000)}")

    def _holder(self) -> str:
        return filelock.holder(self.location.beside("-shm"), self.path)

    @contextmanager
    def write_lock(self) -> Iterator[None]:
        with filelock.file_lock(self.location.beside(".lock"), self.location.shown, self.timeout):
            yield

    def before_write(self, connection: Connection) -> None:
        """The first write of a process sets WAL: a published file (journal mode DELETE) changes only when used."""
        if self.in_wal:
            return
        cursor = connection.connection.cursor()
        try:
            self.in_wal = cursor.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
        except sqlite3.OperationalError as error:
            if not _is_busy(error):  # busy: somebody reads just now. It is only slower without; next time
                raise

    def lock_schema(self, connection: Connection) -> None:
        """No one else creates or migrates tables until this transaction ends. SQLite locks the whole file anyway."""

    def lock_studies(self, connection: Connection) -> None:
        """Studies are saved one after another, for two that share runs would insert them in each other's way."""

    def check_foreign_keys(self, connection: Connection, check: bool) -> None:
        """On or off for this connection; SQLite takes it only outside a transaction."""
        connection.connection.cursor().execute(f"PRAGMA foreign_keys={'ON' if check else 'OFF'}")

    def after_bulk(self, connection: Connection, tables: Sequence[sa.Table]) -> None:
        """After many rows were written. Without statistics of its own SQLite takes the right indexes here."""

    def broken_references(self, connection: Connection) -> list[str]:
        rows = connection.connection.cursor().execute("PRAGMA foreign_key_check").fetchall()
        return [f"a row of {table} refers to a missing row of {parent}" for table, _, parent, _ in rows]

    def upsert(self, table: sa.Table, update: Sequence[str]) -> sa.Insert:
        return _upsert(sqlite.insert(table), table, update)

    def must_retry(self, error: BaseException) -> bool:
        return False

    def is_away(self, error: DBAPIError) -> bool:
        return False

    def translate(self, error: BaseException) -> AblateError:
        name = str(getattr(error, "sqlite_errorname", ""))
        shown = self.location.shown
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return filelock.locked(shown, self._holder(), self.timeout)
        if name.startswith("SQLITE_READONLY_") and name.endswith(("ROLLBACK", "RECOVERY", "CANTLOCK", "CANTINIT")):
            return unclean(shown)
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return StoreError(
                f"{shown} is damaged ({error}); it was left as it is. Put a backup in its place with "
                "`ablate db restore FILE`, or look at it with `ablate db check`."
            )
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            return NoSpaceOrPermission(
                f"{shown} cannot be written ({error}): {_free(self.path.parent)} are free in {self.path.parent}. "
                "Free space there (or raise the limit on file sizes) and start again; what was recorded before is safe."
            )
        if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN", "SQLITE_AUTH")):
            return NoSpaceOrPermission(
                f"{shown} cannot be opened or written ({error}). Check the permissions of the file and of its folder "
                f"{self.path.parent}, or name another database with --db or ABLATE_DB."
            )
        return StoreError(f"{shown}: {type(error).__name__}: {error}")

    def server_version(self, connection: Connection) -> str:
        return sqlite3.sqlite_version

    def size(self, connection: Connection) -> int:
        """Bytes of the file and of its write-ahead log."""
        files = (self.path, self.location.beside("-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def journal_mode(self, connection: Connection) -> str | None:
        return str(connection.connection.cursor().execute("PRAGMA journal_mode").fetchone()[0])

    def damage(self, connection: DBAPIConnection) -> list[str]:
        """What SQLite itself finds wrong; `connection` is the driver's own."""
        try:
            rows = connection.cursor().execute("PRAGMA integrity_check(20)").fetchall()
        except sqlite3.DatabaseError as error:
            if not error.sqlite_errorname.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
                raise
            return [f"damaged: {error}"]  # too far gone to be looked through
        return [f"damaged: {text}" for (text,) in rows if text != "ok"]


class PostgreSQL:
    name = "postgresql"
    now = sa.text("SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision)")
    _RETRIED = ("40001", "40P01")  # serialization failure, deadlock

    def __init__(self, location: Location, timeout: float) -> None:
        assert location.url is not None
        self.location, self.url, self.timeout = location, location.url, timeout

    def engine(self) -> Engine:
        try:
            return sa.create_engine(
                self.url,
                pool_pre_ping=True,
                hide_parameters=True,
                connect_args=self._connect_args(),
            )
        except ModuleNotFoundError:
            raise StoreError(
                f"{self.location.shown} needs the driver psycopg, which is not installed: "
                "pip install 'ablate-studies[postgres]'."
            ) from None

    def _connect_args(self) -> dict[str, Any]:
        """What libpq is told; what the URL says itself goes first, its `options` beside ours.

        A cable that is pulled out sends nothing: without these limits a heartbeat would wait for hours, not half a
        minute, and its worker would train on beyond its lease.
        """
        ours: dict[str, Any] = {
            "connect_timeout": 10,
            "application_name": "ablate",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 25_000,
        }
        given = self.url.query
        options = f"-c lock_timeout={int(self.timeout * 1000)} {given.get('options', '')}".strip()
        return {**{name: value for name, value in ours.items() if name not in given}, "options": options}

    def snapshot(self, engine: Engine) -> Engine:
        """The engine for a read: all of its statements see the same moment."""
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextmanager
    def write_lock(self) -> Iterator[None]:
        yield

    def before_write(self, connection: Connection) -> None:
        pass

    # An advisory lock is a number that all programs of a database share: ours only have to differ.
    def lock_schema(self, connection: Connection) -> None:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(6363141)"))

    def lock_studies(self, connection: Connection) -> None:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(6363142)"))

    def check_foreign_keys(self, connection: Connection, check: bool) -> None:
        pass

    def after_bulk(self, connection: Connection, tables: Sequence[sa.Table]) -> None:
        # Until the server's own round comes by, a claim on a fresh study would be planned for empty tables.
        connection.execute(sa.text(f"ANALYZE {', '.join(table.name for table in tables)}"))

    def broken_references(self, connection: Connection) -> list[str]:
        return []  # the server checks each commit

    def upsert(self, table: sa.Table, update: Sequence[str]) -> sa.Insert:
        return _upsert(postgresql.insert(table), table, update)

    def must_retry(self, error: BaseException) -> bool:
        return getattr(error, "sqlstate", None) in self._RETRIED

    def is_away(self, error: DBAPIError) -> bool:
        """Whether the connection was cut, or none could be made. (A refused connection has no SQLSTATE.)"""
        state = getattr(error.orig, "sqlstate", None)
        refused = state is None and isinstance(error, OperationalError)
        return error.connection_invalidated or refused or str(state).startswith(("08", "57P"))

    def translate(self, error: BaseException) -> AblateError:
        shown, text = self.location.shown, " ".join(str(error).split())
        for secret in self.location.secrets:
            text = text.replace(secret, "***")
        text = text.rstrip(".?")
        state = str(getattr(error, "sqlstate", None) or "")
        if state == "55P03":
            return filelock.locked(shown, "another session", self.timeout)
        if state.startswith(("53100", "42501", "25006")):  # disk full, no privilege, read-only transaction
            return NoSpaceOrPermission(f"{shown} cannot be written: {text}")
        if not state or state.startswith(("08", "28", "3D", "57")):
            return StoreError(f"{shown} cannot be reached: {text}. {self._advice(text)}")
        return StoreError(f"{shown}: {type(error).__name__}: {text}")

    def _advice(self, text: str) -> str:
        """What to do next. Nothing but the text says why no connection was made: libpq gives no SQLSTATE then."""
        database = self.url.database
        if f'database "{database}" does not exist' in text:
            return f"Make it first (`createdb {database}`), or name another with --db or ABLATE_DB."
        if "authentication failed" in text or "no password supplied" in text:
            return "Check the user and the password in the URL of --db or ABLATE_DB."
        return "Check that the server runs, and the URL in --db or ABLATE_DB."

    def server_version(self, connection: Connection) -> str:
        return str(connection.scalar(sa.text("SHOW server_version")))

    def size(self, connection: Connection) -> int:
        return int(connection.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0)

    def journal_mode(self, connection: Connection) -> str | None:
        return None

    def damage(self, connection: object) -> list[str]:
        return []  # the server's own affair


Dialect = SQLite | PostgreSQL


def dialect_of(location: Location, timeout: float) -> Dialect:
    return SQLite(location, timeout) if location.path is not None else PostgreSQL(location, timeout)


def _upsert(insert: sqlite.Insert | postgresql.Insert, table: sa.Table, update: Sequence[str]) -> sa.Insert:
    """INSERT that sets the columns `update` where the primary key is there already; without any, such a row stays."""
    if not update:
        return insert.on_conflict_do_nothing()
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_={name: insert.excluded[name] for name in update}
    )


def unclean(shown: str) -> StoreError:
    return StoreError(
        f"{shown} was not closed cleanly and has to be recovered, which writes to it. "
        "Run `ablate db check` once, where you may write the file and its folder."
    )


def _is_busy(error: sqlite3.Error) -> bool:
    return error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _free(folder: os.PathLike[str]) -> str:
    try:
        status = os.statvfs(folder)
    except OSError:
        return "unknown bytes"
    return f"{status.f_bavail * status.f_frsize:,} bytes"
