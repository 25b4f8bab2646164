"""Creating and upgrading the tables, one process at a time.

Opening a database compares its revision with `schema.REVISIONS` and needs no Alembic; making or migrating one does.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ablate.errors import NoSpaceOrPermission, NotFound, StoreError
from ablate.store import location as places
from ablate.store.backup import copy_file
from ablate.store.engine import Database, Tx
from ablate.store.header import Header
from ablate.store.location import Location
from ablate.store.schema import REVISIONS, metadata
from ablate.store.values import Upgrade

SCRIPTS = Path(__file__).with_name("migrations")

_OURS = frozenset(metadata.tables)


def prepare(database: Database, *, older: bool = False) -> str:
    """Make sure that the tables are there and of this code's revision, or, where `older` is set, of one before; create them
    in a new database. The revision.

    Raises NotFound (nothing to read), StoreError (older, newer, or not ours), NoSpaceOrPermission.
    """
    location = database.location
    if location.path is not None:
        _check_file(location, database.header, database.read_only)
    revision = database.read(lambda tx: revision_of(tx, location))
    if revision is None and database.read_only:
        raise NotFound(f"{location.shown} holds no results yet. `ablate grid run STUDY.yaml` records some.")
    if revision is None:
        revision = database.write(lambda tx: _create(tx, location))
    if not (older and revision in REVISIONS):
        _compare(revision, location)
    return revision


def upgrade(url: str) -> Upgrade:
    """Bring a database of an older ablate to this code's revision, all or nothing, under a lock. A SQLite file is copied first.

    Raises NotFound, StoreError."""
    database = Database(url, read_only=False)
    location = database.location
    try:
        if location.path is not None:
            places.refuse_missing(location, database.header)
            _check_file(location, database.header, read_only=False)
        before = database.read(lambda tx: revision_of(tx, location))
        if before is None:
            raise NotFound(f"{location.shown} holds no results yet, so there is nothing to upgrade")
        if before == REVISIONS[-1] or before not in REVISIONS:
            _compare(before, location)
            return Upgrade(before, before)
        copies: list[str] = []

        def copy() -> None:
            if location.path is not None:
                target = _backup_path(location.path, before)
                copy_file(database, target)
                copies.append(str(target))

        after = database.write(lambda tx: migrate(tx, location), first=copy, foreign_keys=False)
        return Upgrade(before, after, copies[0] if copies else None)
    finally:
        database.close()


def revision_of(tx: Tx, location: Location) -> str | None:
    """The revision that the database is at; None for an empty one. StoreError for tables that are not ablate's."""
    names = set(sa.inspect(tx.connection).get_table_names())
    if not names or (location.path is None and not names & (_OURS | {"alembic_version"})):
        return None
    if not names >= {"alembic_version", "study_runs", "epoch_metrics"}:
        raise StoreError(
            f"{location.shown} is another program's database (its tables: {', '.join(sorted(names)[:5])}); it was left "
            "as it is. Give ablate a database of its own with --db or ABLATE_DB."
        )
    return str(tx.connection.scalar(sa.text("SELECT version_num FROM alembic_version")))


def _compare(revision: str, location: Location) -> None:
    if revision == REVISIONS[-1]:
        return
    if revision in REVISIONS:
        raise StoreError(
            f"{location.shown} was made by an older ablate (schema {revision}, this one reads {REVISIONS[-1]}). "
            "Run `ablate db upgrade`: it makes a backup first."
        )
    raise StoreError(
        f"{location.shown} was made by a newer ablate (schema {revision}, this one knows up to {REVISIONS[-1]}); it "
        "was left as it is. Update ablate to open it."
    )


def _check_file(location: Location, header: Header, read_only: bool) -> None:
    if read_only:
        places.refuse_missing(location, header)
        if location.beside("-wal").exists():
            places.refuse_network(location)
        return
    places.refuse_place(location)
    path, folder = location.file, location.file.parent
    if not path.exists():
        # Every process may create the empty file; the tables are made under the lock.
        if not os.access(folder, os.W_OK, effective_ids=_EFFECTIVE):
            raise NoSpaceOrPermission(f"{location.shown} cannot be created: this user may not write in {folder}")
        # Never opened once it is there: closing it would drop the locks of this process.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        header.read(path)
        return
    for place, mode, what in ((path, os.R_OK | os.W_OK, "the file"), (folder, os.W_OK, f"its folder {folder}")):
        if not os.access(place, mode, effective_ids=_EFFECTIVE):
            raise NoSpaceOrPermission(
                f"{location.shown} cannot be written: this user may not write {what}. Reading works (`ablate report`, "
                "`ablate status`); to run studies name another database with --db or ABLATE_DB."
            )
    places.refuse_foreign(location, header)


_EFFECTIVE = os.access in os.supports_effective_ids


def _create(tx: Tx, location: Location) -> str:
    tx.dialect.lock_schema(tx.connection)
    existing = revision_of(tx, location)  # another process may have been first
    return existing if existing is not None else run_scripts(tx.connection)


def migrate(tx: Tx, location: Location) -> str:
    """Bring the tables to this code's revision, which is returned. Raises StoreError where that breaks references."""
    tx.dialect.lock_schema(tx.connection)
    revision = run_scripts(tx.connection)
    problems = tx.dialect.broken_references(tx.connection)
    if problems:
        raise StoreError(f"{location.shown}: the upgrade would break references ({problems[0]}); nothing was changed")
    return revision


def run_scripts(connection: Connection, revision: str = "head") -> str:
    """Make or migrate the tables up to a revision, which is returned."""
    from alembic import command  # slow to import, and needed once in a database's life
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, revision)
    return str(connection.scalar(sa.text("SELECT version_num FROM alembic_version")))


def _backup_path(path: Path, revision: str) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    return path.with_name(f"{path.name}.{revision}-{stamp}.backup")
