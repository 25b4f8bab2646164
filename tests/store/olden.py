"""Databases as older ablates have left them: the rows of one of today, in the tables of their time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ablate.store import migrate
from ablate.store.engine import Database, Tx
from ablate.store.schema import metadata

ORDER = [table for table in metadata.sorted_tables if table.name not in ("requests", "request_runs")]


def aged(source: Path, target: str, revision: str) -> None:
    """Write what the SQLite database `source` holds to a new one at `target`, a path or a URL, of an older revision."""
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        rows = {
            table.name: [dict(row) for row in connection.execute(f"SELECT * FROM {table.name}")]
            for table in ORDER
            if _has(connection, table.name)
        }
    states = {row["id"]: row["state"] for row in rows["runs"]}
    for row in rows["study_runs"]:
        row["queued"] = states[row["run"]] == "queued"
    if "://" not in target:
        Path(target).touch()
    database = Database(target, read_only=False)
    database.write(lambda tx: _fill(tx, rows, revision))
    database.close()


def _has(connection: sqlite3.Connection, table: str) -> bool:
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone())


def _fill(tx: Tx, rows: dict[str, list[dict[str, Any]]], revision: str) -> None:
    migrate.run_scripts(tx.connection, revision)
    then = sa.MetaData()
    then.reflect(tx.connection)
    for table in ORDER:
        if table.name not in then.tables or not rows.get(table.name):
            continue
        columns = then.tables[table.name].columns
        values = [
            {name: _as(columns[name], value) for name, value in row.items() if name in columns}
            for row in rows[table.name]
        ]
        tx.execute(sa.insert(then.tables[table.name]), values)
        if tx.dialect.name == "postgresql" and "id" in columns:
            tx.execute(sa.text(f"SELECT setval('{table.name}_id_seq', (SELECT max(id) FROM {table.name}))"))


def _as(column: sa.Column[Any], value: Any) -> Any:
    return bool(value) if isinstance(column.type, sa.Boolean) and value is not None else value
