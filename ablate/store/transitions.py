"""How runs and attempts move from state to state. Every change of a run's state goes through this module.

    queued -> running -> done | failed | pruned | cancelled
      ^          |
      |          |-- released: given back, not counted
      '----------'-- lost: queued again, until MAX_LOST attempts in a row were lost that got no further

A request waits for a run that it queued, or found queued or running, until the run ends: `request_runs.queued`.

An attempt is `running` exactly as long as its run is and no newer attempt exists; that is what `hold` checks.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ablate.errors import LeaseLost
from ablate.store.codec import LONGEST_TEXT, chunks, clean
from ablate.store.engine import AnySelect, Tx
from ablate.store.schema import attempts, events, request_runs, runs
from ablate.store.values import Claim
from ablate.study.recipes.digest import SHORT

UNDER_WAY = ("queued", "running")
"""The states of a run that has not ended."""

MAX_LOST = 3
"""Attempts of a run that may be lost one after another before it is called lost itself. One that reached a later epoch than
every attempt before it starts a new count, and so does a retry: a run that is killed again and again goes on."""


@dataclass(frozen=True)
class Held:
    """A run that this transaction holds for its claim: its key, and the lost attempts that count."""

    key: int
    attempt: int
    counted: int


_LOCK_RUN: AnySelect = (
    sa.select(runs.c.id, runs.c.state, runs.c.attempt, runs.c.counted)
    .where(runs.c.run_id == sa.bindparam("run_id"))
    .with_for_update()
)


def hold(tx: Tx, claim: Claim, *, ended_as: str | None = None) -> Held | None:
    """Lock the claim's run for this transaction, or raise LeaseLost: the fence before each write of a worker.

    None where the attempt has already ended as `ended_as`, so that a write whose answer got lost may be sent again.
    """
    run_id = claim.run.run_id
    row = tx.execute(_LOCK_RUN, {"run_id": run_id}).one_or_none()
    if row is not None and row.state == "running" and row.attempt == claim.attempt:
        return Held(row.id, row.attempt, row.counted)
    short = run_id[:SHORT]
    if row is None:
        raise LeaseLost(f"run {short} is not in this database; its result is not recorded")
    newest = tx.execute(
        sa.select(attempts.c.state, attempts.c.worker).where(is_attempt(row.id, row.attempt))
    ).one_or_none()
    if newest is not None and row.attempt == claim.attempt:
        if ended_as == newest.state:
            return None
        what = f"attempt {claim.attempt} of run {short} is {newest.state}"
    elif newest is not None and newest.state == "running":
        what = f"attempt {claim.attempt} of run {short} was lost; {newest.worker} has attempt {row.attempt} now"
    else:
        what = f"attempt {claim.attempt} of run {short} was lost; the newest is attempt {row.attempt}"
    raise LeaseLost(f"{what}. This worker can no longer write its results")


def end_attempt(tx: Tx, key: int, number: int, state: str, *, run_state: str, reason: str | None = None,
                kind: str | None = None, counted: int | None = None, ended: float | None = None,
                **values: object) -> None:  # fmt: skip
    """Write how an attempt ended, and the run's state with it; `ended` is now unless told. `values` are further columns.

    The reason is the run's error too, unless the attempt was released: then nothing is wrong with the run.
    """
    error = None if reason is None else clean(reason, LONGEST_TEXT)
    ending = {"state": state, "ended": tx.now if ended is None else ended, "error": error, "kind": kind}
    tx.execute(sa.update(attempts).where(is_attempt(key, number)).values(**ending, **values))
    shown = None if state == "released" else error
    set_state(tx, [key], run_state, error=shown, kind=kind, **({} if counted is None else {"counted": counted}))


def lose(tx: Tx, held: Held, reason: str, ended: float | None = None) -> None:
    """End a held attempt as lost; the run is queued again unless it was the last of its count."""
    counted = 0 if _got_further(tx, held) else held.counted + 1
    state = "queued" if counted < MAX_LOST else "lost"
    end_attempt(tx, held.key, held.attempt, "lost", run_state=state, reason=reason, kind="lost", counted=counted,
                ended=ended)  # fmt: skip
    log(tx, "lost", reason, run=held.key, attempt=held.attempt)


def _got_further(tx: Tx, held: Held) -> bool:
    """Whether the attempt recorded a later epoch than every attempt before it that it can have gone on from: of the same
    code, and since an attempt last ended by itself, for a run that is done or failed may be trained anew."""
    number, code = attempts.c.number, attempts.c.code
    ours = sa.and_(attempts.c.run == held.key, number <= held.attempt)
    rows = tx.execute(
        sa.select(number, attempts.c.state, attempts.c.last_epoch, code).where(ours).order_by(number.desc())
    )
    mine, *earlier = rows.all()
    since = itertools.takewhile(lambda row: row.state in ("lost", "released"), earlier)
    return (mine.last_epoch or 0) > max((row.last_epoch or 0 for row in since if row.code == mine.code), default=0)


def set_state(tx: Tx, keys: Sequence[int], state: str, **values: object) -> None:
    """Give runs a state; where they have ended, no request waits for them any more."""
    for part in chunks(keys):
        tx.execute(sa.update(runs).where(runs.c.id.in_(part)).values(state=state, **values))
        if state not in UNDER_WAY:
            tx.execute(_NOBODY_WAITS, {"keys": part})


_NOBODY_WAITS = (
    sa.update(request_runs)
    .where(request_runs.c.run.in_(sa.bindparam("keys", expanding=True)), request_runs.c.queued == sa.true())
    .values(queued=False)
)


def requeue(tx: Tx, keys: Sequence[int], request: int) -> None:
    """Queue runs again with a new count, for one request alone; their attempts stay as they are."""
    set_state(tx, keys, "queued", counted=0, error=None, kind=None)
    for part in chunks(keys):
        mine = sa.and_(request_runs.c.request == request, request_runs.c.run.in_(part))
        tx.execute(sa.update(request_runs).where(mine).values(queued=True))


def log(tx: Tx, kind: str, detail: str, *, study: int | None = None, run: int | None = None,
        attempt: int | None = None) -> None:  # fmt: skip
    """Add a line to the history."""
    row = {"at": tx.now, "kind": kind, "detail": clean(detail, LONGEST_TEXT)}
    tx.execute(sa.insert(events).values(**row, study=study, run=run, attempt=attempt))


def is_attempt(key: int, number: int) -> sa.ColumnElement[bool]:
    """The one attempt of a run by its number."""
    return sa.and_(attempts.c.run == key, attempts.c.number == number)
