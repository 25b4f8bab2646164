"""What older ablates have written, brought up to date on the way in. Their files and databases are only read."""

from __future__ import annotations

from itertools import groupby, islice
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ablate.store import migrate
from ablate.store.engine import Database, Tx
from ablate.store.portable import ORDER, Export, export_file
from ablate.store.schema import REVISIONS

_BATCH = 2_000


def tables_of(database: Database, revision: str) -> tuple[sa.Table, ...]:
    """The tables of a database as they were in its revision, in the order of an export."""
    return ORDER if revision == REVISIONS[-1] else database.read(lambda tx: _reflected(tx.connection))


def _reflected(connection: Connection) -> tuple[sa.Table, ...]:
    metadata = sa.MetaData()
    metadata.reflect(connection)
    return tuple(metadata.tables[table.name] for table in ORDER if table.name in metadata.tables)


def upgraded(export: Export, folder: Path) -> Export:
    """The export as this code would have written it: itself, or, where it is older, a new file in `folder`.

    Raises StoreError with the line that is wrong.
    """
    if export.revision == REVISIONS[-1]:
        return export
    path = folder / "older.db"
    path.touch()
    scratch = Database(str(path), read_only=False)
    try:
        scratch.write(lambda tx: _load(tx, export))
        scratch.write(lambda tx: migrate.migrate(tx, scratch.location), foreign_keys=False)
        export_file(scratch, folder / "upgraded.jsonl.gz")
    finally:
        scratch.close()
    return Export(folder / "upgraded.jsonl.gz")


def _load(tx: Tx, export: Export) -> None:
    migrate.run_scripts(tx.connection, export.revision)
    for table, rows in groupby(export.rows(_reflected(tx.connection)), key=lambda row: row.table):
        while batch := list(islice(rows, _BATCH)):
            try:
                tx.execute(sa.insert(table), [row.values for row in batch])
            except sa.exc.IntegrityError as error:
                lines = f"lines {batch[0].at} to {batch[-1].at}"
                raise export.wrong(
                    batch[0].at, f"rows of {table.name}, {lines}, contradict others ({error.orig})"
                ) from None
