"""The two kinds of databases: all that differs between them is in `sqlite` and `postgresql`.

The rest of the package is written once, in SQLAlchemy Core. `FOR UPDATE [SKIP LOCKED]` is among that: SQLAlchemy leaves
it out for SQLite, where `BEGIN IMMEDIATE` has locked the whole file.
"""

from __future__ import annotations

from ablate.store.location import Location
from ablate.store.postgresql import PostgreSQL
from ablate.store.sqlite import SQLite

Dialect = SQLite | PostgreSQL


def dialect_of(location: Location, timeout: float) -> Dialect:
    return SQLite(location, timeout) if location.path is not None else PostgreSQL(location, timeout)
