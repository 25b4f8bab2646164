"""What is SQLite's alone: connecting, beginning, the clock, upserts, errors."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from ablate.errors import AblateError, NoSpaceOrPermission, StoreError
from ablate.store import filelock
from ablate.store.location import Location

WRITE = "ablate_write"
"""Execution option of a connection whose transaction will write."""


class SQLite:
    name = "sqlite"
    insert = staticmethod(sqlite.insert)
    # unixepoch('subsec') is NULL before SQLite 3.42; 2440587.5 is the Julian day of 1970-01-01.
    now = sa.text("SELECT (julianday('now') - 2440587.5) * 86400.0")

    def __init__(self, location: Location, timeout: float) -> None:
        self.location, self.path, self.timeout = location, location.file, timeout
        self.in_wal = False  # as far as this process has seen to it
        self._readers: dict[bool, Engine] = {}

    def engine(self) -> Engine:
        """Reads and writes an existing file (`mode=rw` never creates one)."""
        return self._engine("mode=rw", QueuePool)

    def read_engine(self, *, immutable: bool = False) -> Engine:
        """A connection a transaction, for the way to open the file depends on what lies beside it at that moment."""
        if immutable not in self._readers:
            self._readers[immutable] = self._engine("mode=ro" + ("&immutable=1" if immutable else ""), NullPool)
        return self._readers[immutable]

    def snapshot(self, engine: Engine) -> Engine:
        """The engine for a read: all of its statements see the same moment, as they do in any SQLite transaction."""
        return engine

    def _engine(self, options: str, pool: type[sa.Pool]) -> Engine:
        # Every odd character of the path is quoted, and the host is empty, so that two slashes at its start name none.
        uri = f"{self.path.as_uri()}?{options}"
        engine = sa.create_engine("sqlite://", creator=lambda: self._connect(uri), poolclass=pool, hide_parameters=True)
        sa.event.listen(engine, "begin", self._begin)
        return engine

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

    def write_lock(self) -> AbstractContextManager[None]:
        return filelock.file_lock(self.location.beside(".lock"), self.location.shown, self.timeout)

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


def unclean(shown: str) -> StoreError:
    return StoreError(
        f"{shown} was not closed cleanly and has to be recovered, which writes to it. "
        "Run `ablate db check` once, where you may write the file and its folder."
    )


def has_log(location: Location) -> bool:
    """Whether a write-ahead log lies beside the file. StoreError where it cannot be read without writing."""
    log, index = location.beside("-wal"), location.beside("-shm")
    if not log.exists():
        return False
    if index.exists():
        return True
    if log.stat().st_size:
        raise unclean(location.shown)
    return False


def _is_busy(error: sqlite3.Error) -> bool:
    return error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _free(folder: os.PathLike[str]) -> str:
    try:
        status = os.statvfs(folder)
    except OSError:
        return "unknown bytes"
    return f"{status.f_bavail * status.f_frsize:,} bytes"
