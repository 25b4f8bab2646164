"""What a database is, and whether it is whole."""

from __future__ import annotations

import sqlalchemy as sa

from ablate.store.engine import AnySelect, Database, Tx
from ablate.store.migrate import revision_of
from ablate.store.schema import attempts, metadata, request_runs, runs
from ablate.store.transitions import UNDER_WAY
from ablate.store.values import Info


def info(tx: Tx) -> Info:
    """What the database is and holds."""
    count = sa.func.count()
    rows = {
        name: int(tx.connection.scalar(sa.select(count).select_from(table)) or 0)
        for name, table in metadata.tables.items()
    }
    by_state = sa.select(runs.c.state, count).group_by(runs.c.state)
    return Info(
        url=tx.dialect.location.shown,
        backend=tx.dialect.name,
        server_version=tx.dialect.server_version(tx.connection),
        revision=revision_of(tx, tx.dialect.location) or "",
        size=tx.dialect.size(tx.connection),
        journal_mode=tx.dialect.journal_mode(tx.connection),
        rows=rows,
        states={state: int(number) for state, number in tx.execute(by_state)},
    )


def check(database: Database) -> list[str]:
    """Everything that is wrong with the database, in sentences; empty where it is whole."""

    def look(tx: Tx) -> list[str]:
        problems = database.dialect.broken_references(tx.connection)
        return problems + [text for text in (_disagreements(tx, *rule) for rule in _RULES) if text]

    # Outside a transaction, for one on a damaged file cannot even end; and what is in such a file says nothing more.
    return database.read_raw(database.dialect.damage) or database.read(look)


def _unlike_its_attempt(state: str) -> AnySelect:
    """The runs of that state whose newest attempt has another."""
    newest = sa.and_(attempts.c.run == runs.c.id, attempts.c.number == runs.c.attempt)
    found = sa.select(runs.c.run_id).outerjoin(attempts, newest)
    return found.where(runs.c.state == state, attempts.c.state.is_distinct_from(state))


_RULES: tuple[tuple[str, AnySelect], ...] = (
    ("are marked running but have no running attempt", _unlike_its_attempt("running")),
    (
        "have a running attempt but are not marked running",
        sa.select(runs.c.run_id)
        .join(attempts, attempts.c.run == runs.c.id)
        .where(attempts.c.state == "running", sa.or_(runs.c.state != "running", runs.c.attempt != attempts.c.number)),
    ),
    ("are marked done but have no done attempt", _unlike_its_attempt("done")),
    (
        "have ended but a request still waits for them",
        sa.select(runs.c.run_id)
        .join(request_runs, request_runs.c.run == runs.c.id)
        .where(request_runs.c.queued == sa.true(), runs.c.state.not_in(UNDER_WAY)),
    ),
)


def _disagreements(tx: Tx, what: str, statement: AnySelect) -> str:
    found = sorted(set(tx.connection.scalars(statement)))
    if not found:
        return ""
    return f"{len(found)} runs {what}: {', '.join(run_id[:12] for run_id in found[:3])}{', ...' if found[3:] else ''}"
