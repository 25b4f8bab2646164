"""What is PostgreSQL's alone: connecting, the clock, advisory locks, upserts, errors."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from ablate.errors import AblateError, NoSpaceOrPermission, StoreError
from ablate.store import filelock
from ablate.store.location import Location


class PostgreSQL:
    name = "postgresql"
    insert = staticmethod(postgresql.insert)
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

    def write_lock(self) -> AbstractContextManager[None]:
        return nullcontext()

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
