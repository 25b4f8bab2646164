"""Trials: what tuning asked for and how it ended. Their runs are runs like any others; a trial names them by id.

A trial is inserted only as the next number of its tuning, and ended only once, so that askers that are killed, or that
work at one tuning at the same time, lose none and count none twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

import sqlalchemy as sa

from ablate.store.codec import LONGEST_TEXT, clean, from_json, number, to_json
from ablate.store.engine import AnyRow, Tx
from ablate.store.schema import trials
from ablate.store.values import StoredTrial

ENDED = ("complete", "pruned", "failed")


def read(tx: Tx, tunings: Collection[str]) -> dict[str, tuple[StoredTrial, ...]]:
    """The trials of each tuning, by number; a tuning without any has none."""
    found: dict[str, list[StoredTrial]] = defaultdict(list)
    statement = sa.select(trials).order_by(trials.c.tuning, trials.c.number)
    for row in tx.among(statement, trials.c.tuning, tunings):
        found[row.tuning].append(_stored(row))
    return {tuning: tuple(items) for tuning, items in found.items()}


def add(tx: Tx, trial: StoredTrial) -> bool:
    """Insert a running trial as the next of its tuning. False where another asker has been faster."""
    tx.dialect.lock_studies(tx.connection)
    count = sa.select(sa.func.count()).where(trials.c.tuning == trial.tuning)
    if tx.connection.scalar(count) != trial.number:
        return False
    row = {
        "tuning": trial.tuning, "number": trial.number, "study": clean(trial.study), "profile": clean(trial.profile or ""),
        "arm": clean(trial.arm), "params": to_json(trial.params), "distributions": to_json(trial.distributions),
        "runs": to_json(trial.run_ids), "seen": trial.seen, "state": "running", "attributes": "{}", "created": tx.now,
    }  # fmt: skip
    tx.execute(sa.insert(trials).values(row))
    return True


def end(tx: Tx, trial: StoredTrial) -> bool:
    """Write how a running trial ended: its state, value, cost, error and attributes. False where it has ended already."""
    if trial.state not in ENDED:
        raise ValueError(f"unknown end of a trial {trial.state!r}; allowed: {', '.join(ENDED)}")
    tx.dialect.lock_studies(tx.connection)
    ended = sa.select(sa.func.count()).where(trials.c.tuning == trial.tuning, trials.c.state != "running")
    told = int(tx.connection.scalar(ended) or 0)
    mine = (trials.c.tuning == trial.tuning, trials.c.number == trial.number, trials.c.state == "running")
    values = {
        "state": trial.state, "told": told, "value": number(trial.value), "epochs": trial.epochs, "seconds": trial.seconds,
        "error": None if trial.error is None else clean(trial.error, LONGEST_TEXT), "ended": tx.now,
        "attributes": to_json(trial.attributes),
    }  # fmt: skip
    return tx.execute(sa.update(trials).where(*mine).values(values)).rowcount == 1


def reopen(tx: Tx, tuning: str, numbers: Sequence[int]) -> None:
    """Failed trials run again: they are as if they had never ended."""
    tx.dialect.lock_studies(tx.connection)
    mine = sa.and_(trials.c.tuning == tuning, trials.c.number.in_(list(numbers)), trials.c.state == "failed")
    tx.execute(sa.update(trials).where(mine).values(state="running", told=None, value=None, error=None, ended=None))
    rest = (
        sa.select(trials.c.number).where(trials.c.tuning == tuning, trials.c.told.is_not(None)).order_by(trials.c.told)
    )
    for place, which in enumerate(tx.connection.scalars(rest).all()):
        tx.execute(sa.update(trials).where(trials.c.tuning == tuning, trials.c.number == which).values(told=place))


def _stored(row: AnyRow) -> StoredTrial:
    return StoredTrial(
        tuning=row.tuning,
        number=row.number,
        study=row.study,
        profile=row.profile or None,
        arm=row.arm,
        params=from_json(row.params),
        distributions=from_json(row.distributions),
        run_ids=tuple(from_json(row.runs)),
        seen=row.seen,
        state=row.state,
        told=row.told,
        value=row.value,
        epochs=row.epochs or 0,
        seconds=row.seconds or 0.0,
        error=row.error,
        attributes=from_json(row.attributes),
    )
