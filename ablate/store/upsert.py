"""Rows that are written where they are not there yet, and else set: alike in SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


def upsert(insert: sqlite.Insert | postgresql.Insert, table: sa.Table, update: Sequence[str]) -> sa.Insert:
    """INSERT that sets the columns `update` where the primary key is there already; without any, such a row stays."""
    if not update:
        return insert.on_conflict_do_nothing()
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_={name: insert.excluded[name] for name in update}
    )
