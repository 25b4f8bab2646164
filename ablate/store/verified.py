"""What was trained again with later code: one row a run, pair of codes and fingerprint. Rows point at runs by their ids."""

from __future__ import annotations

import sqlalchemy as sa

from ablate.store.codec import clean, from_json, number, to_json
from ablate.store.engine import Tx
from ablate.store.schema import verified
from ablate.study.code.verified import Verified


def read(tx: Tx) -> tuple[Verified, ...]:
    """All that was trained again with later code, the oldest first."""
    rows = tx.execute(sa.select(verified).order_by(verified.c.at, verified.c.run_id))
    return tuple(
        Verified(
            row.run_id, row.code_x, row.code_y, row.fingerprint, bool(row.equal),
            {name: (pair[0], pair[1]) for name, pair in from_json(row.parts).items()}, row.difference, row.what, row.at,
        )
        for row in rows
    )  # fmt: skip


def add(tx: Tx, row: Verified) -> None:
    """Insert what was found, or replace what was found of the same run, codes and fingerprint before.

    `at` is taken from the database's clock.
    """
    values = {
        "run_id": row.run_id, "code_x": clean(row.code_x), "code_y": clean(row.code_y), "fingerprint": clean(row.fingerprint),
        "equal": row.equal, "difference": number(row.difference), "what": clean(row.what), "parts": to_json(row.parts),
        "at": tx.now,
    }  # fmt: skip
    keys = {column.name for column in verified.primary_key.columns}
    tx.upsert(verified, [values], [name for name in values if name not in keys])
