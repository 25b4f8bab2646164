"""Names to complete a command line with: short lists, made of few rows."""

from __future__ import annotations

import sqlalchemy as sa

from ablate.store.codec import from_json
from ablate.store.engine import Tx
from ablate.store.schema import runs, studies, study_runs


def run_names(tx: Tx, prefix: str, limit: int) -> list[tuple[str, str, int, str]]:
    """Id, arm, seed and state of runs whose ids start with `prefix`, the newest first; the arm is empty for a parent."""
    where = sa.and_(runs.c.run_id >= prefix, runs.c.run_id < prefix + "\U0010ffff")
    newest = sa.select(runs.c.id).where(where).order_by(runs.c.id.desc()).limit(limit)
    chosen = list(tx.connection.scalars(newest))
    named = sa.select(study_runs.c.run, study_runs.c.arm).where(study_runs.c.run.in_(chosen), ~study_runs.c.is_parent)
    arms = {row.run: row.arm for row in tx.execute(named)}
    rows = tx.execute(sa.select(runs).where(runs.c.id.in_(chosen)).order_by(runs.c.id.desc()))
    return [(row.run_id, arms.get(row.id, ""), row.seed, row.state) for row in rows]


def arm_names(tx: Tx, study: str | None, limit: int) -> list[str]:
    """The names of arms, with those of arms that are the same run as another, of one study or of all."""
    statement = sa.select(study_runs.c.arm, study_runs.c.aliases).where(~study_runs.c.is_parent).distinct().limit(limit)
    if study is not None:
        statement = statement.join(studies, studies.c.id == study_runs.c.study).where(studies.c.name == study)
    found = [[row.arm, *from_json(row.aliases)] for row in tx.execute(statement)]
    return list(dict.fromkeys(name for names in found for name in names))
