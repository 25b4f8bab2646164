"""The queue: claiming runs, keeping them, giving them back.

A claim is one write transaction, so two workers never get one run; its attempt number is the fencing token. Leases of
processes on this host and boot end with their process, or by the host's monotonic clock, which neither a set wall clock
nor a suspended laptop moves; all others by the database's clock.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from ablate.store import host as hosts
from ablate.store import transitions
from ablate.store.codec import clean, stored_run, to_json
from ablate.store.engine import AnyRow, AnySelect, Tx
from ablate.store.host import WorkerInfo
from ablate.store.schema import arms, attempts, request_runs, runs
from ablate.store.transitions import Held, hold, is_attempt
from ablate.store.values import TTL, Claim

_parents = runs.alias("parents")

# Statements that every claim sends are built once: building them takes longer than running them.
_NEXT_RUN: AnySelect = (
    sa.select(
        runs.c.id,
        runs.c.run_id,
        runs.c.seed,
        runs.c.parent,
        runs.c.attempt,
        arms.c.arm_id,
        arms.c.recipe,
        arms.c.trainer,
    )
    .select_from(request_runs)
    .join(runs, runs.c.id == request_runs.c.run)
    .join(arms, arms.c.id == runs.c.arm)
    .outerjoin(_parents, _parents.c.run_id == runs.c.parent)
    .where(
        request_runs.c.request == sa.bindparam("request"),
        request_runs.c.queued == sa.true(),
        runs.c.state == "queued",
        sa.or_(runs.c.parent.is_(None), _parents.c.state == "done"),
    )
    .order_by(request_runs.c.position)
    .limit(1)
    .with_for_update(of=runs, skip_locked=True)
)
_NEXT_OF_OTHERS: AnySelect = _NEXT_RUN.where(runs.c.run_id.not_in(sa.bindparam("barred", expanding=True)))
_CHILDREN = sa.select(sa.exists().where(runs.c.parent == sa.bindparam("run_id")))
_RUNNING: AnySelect = sa.select(attempts).where(attempts.c.state == "running").order_by(attempts.c.run)
_NEW_ATTEMPT = sa.insert(attempts)
_ARRIVED: AnySelect = (
    sa.select(attempts.c.number)
    .join(runs, runs.c.id == attempts.c.run)
    .where(
        runs.c.run_id == sa.bindparam("run_id"),
        attempts.c.number == sa.bindparam("number"),
        attempts.c.state == "running",
        attempts.c.worker == sa.bindparam("worker"),
        attempts.c.started == sa.bindparam("started"),
    )
)

Sent = list[tuple[Claim, float]]
"""The claims that one call has sent so far, each with its time: a second only where the answer to the first got lost."""


def claim(
    tx: Tx, request_key: int, worker: WorkerInfo, ttl: float, sent: Sent, barred: Collection[str] = ()
) -> Claim | None:
    """The first queued run that the request waits for and whose parent, if any, is done; None where there is none just now.

    `barred` are runs that cannot start on this machine: they are passed over.
    """
    for earlier, started in sent:
        token = {"run_id": earlier.run.run_id, "number": earlier.attempt, "worker": clean(worker.name)}
        if tx.execute(_ARRIVED, {**token, "started": started}).one_or_none() is not None:
            return earlier
    found = _claim(tx, request_key, worker, ttl, barred)
    if found is not None:
        sent.append((found, tx.now))
    return found


def _claim(tx: Tx, request_key: int, worker: WorkerInfo, ttl: float, barred: Collection[str]) -> Claim | None:
    expire(tx)
    if barred:
        found = tx.execute(_NEXT_OF_OTHERS, {"request": request_key, "barred": list(barred)})
    else:
        found = tx.execute(_NEXT_RUN, {"request": request_key})
    row = found.one_or_none()
    if row is None:
        return None
    number = row.attempt + 1
    tx.execute(_NEW_ATTEMPT, _lease(tx, row.id, number, worker, ttl))
    transitions.set_state(tx, [row.id], "running", attempt=number, error=None, kind=None)
    return Claim(
        run=stored_run(row),
        attempt=number,
        worker=worker.name,
        request_key=request_key,
        ttl=ttl,
        needed_by_child=bool(tx.connection.scalar(_CHILDREN, {"run_id": row.run_id})),
    )


def _lease(tx: Tx, key: int, number: int, worker: WorkerInfo, ttl: float) -> dict[str, Any]:
    return {
        "run": key,
        "number": number,
        "state": "running",
        "worker": clean(worker.name),
        "host": worker.host,
        "boot": worker.boot,
        "pid": worker.pid,
        "process_started": worker.started,
        "device": worker.device,
        "started": tx.now,
        "ttl": ttl,
        "expires": tx.now + ttl,
        "beat": tx.monotonic,
        "environment": "{}",
        "details": "{}",
    }


# Leases ---------------------------------------------------------------------------------------------------------------


def expire(tx: Tx) -> None:
    """End every lease that has lapsed, or whose process on this host is gone. A live process keeps its lease."""
    for row in tx.execute(_RUNNING).all():
        if _why_lapsed(tx, row) is None:
            continue
        lock = sa.select(runs.c.state, runs.c.attempt, runs.c.counted).where(runs.c.id == row.run)
        current = tx.execute(lock.with_for_update(skip_locked=True)).one_or_none()
        if current is None or current.state != "running" or current.attempt != row.number:
            continue  # somebody else is at it
        again = tx.execute(_RUNNING.where(attempts.c.run == row.run)).one_or_none()
        reason = None if again is None else _why_lapsed(tx, again)
        if reason is not None:
            assert again is not None
            # Found out later, perhaps the next morning.
            alive = min(tx.now, max(again.started, again.expires - again.ttl))
            transitions.lose(tx, Held(row.run, row.number, current.counted), reason, ended=alive)


def lapsed(tx: Tx) -> dict[str, str]:
    """Why the lease of a running run has lapsed, by run: the next claim in this database ends it. Only looks."""
    statement = sa.select(attempts, runs.c.run_id).join(runs, runs.c.id == attempts.c.run)
    rows = tx.execute(statement.where(attempts.c.state == "running").order_by(attempts.c.run))
    return {row.run_id: why for row in rows if (why := _lapse(tx, row)) is not None}


def _why_lapsed(tx: Tx, lease: AnyRow) -> str | None:
    """Why the lease has ended, or None while it holds."""
    if not _of_this_host(lease) and lease.expires > tx.now + lease.ttl + 1:
        # The database's clock was set back: without this the lease would hold for as long as the jump.
        mine = is_attempt(lease.run, lease.number)
        tx.execute(sa.update(attempts).where(mine).values(expires=tx.now + lease.ttl))
        return None
    return _lapse(tx, lease)


def _lapse(tx: Tx, lease: AnyRow) -> str | None:
    who = f"process {lease.pid} on {lease.host}"
    if _of_this_host(lease):
        if hosts.is_dead(lease.host, lease.boot, lease.pid, lease.process_started):
            return f"{who} ended without reporting"
        silent = tx.monotonic - lease.beat
    else:
        silent = tx.now - (lease.expires - lease.ttl)
    return f"{who} sent no heartbeat for {silent:.0f} s" if silent > lease.ttl else None


def _of_this_host(lease: AnyRow) -> bool:
    return bool(lease.boot) and lease.boot == hosts.boot_id() and lease.host == socket.gethostname()


def heartbeat(tx: Tx, claim: Claim, ttl: float = TTL) -> None:
    """The lease lasts `ttl` seconds from now."""
    held = hold(tx, claim)
    assert held is not None
    renew(tx, held, ttl)


def renew(tx: Tx, held: Held, ttl: float, **values: object) -> None:
    beat = {"ttl": ttl, "expires": tx.now + ttl, "beat": tx.monotonic}
    tx.execute(sa.update(attempts).where(is_attempt(held.key, held.attempt)).values(**beat, **values))


def release(tx: Tx, claim: Claim, reason: str) -> None:
    """Give the run back to the queue; the attempt is not counted."""
    held = hold(tx, claim, ended_as="released")
    if held is not None:
        transitions.end_attempt(tx, held.key, held.attempt, "released", run_state="queued", reason=reason)


def lose(tx: Tx, claim: Claim, reason: str) -> None:
    """The training process ended without an outcome: queued again, up to three attempts in a row that get no further."""
    held = hold(tx, claim, ended_as="lost")
    if held is not None:
        transitions.lose(tx, held, reason)


def cancel(tx: Tx, run_ids: Collection[str]) -> tuple[str, ...]:
    """Take queued and running runs out; a running one's worker learns it at its next write. The ids that were.

    Others stay as they are.
    """
    cancelled = _select(tx, run_ids, ("queued", "running"))
    transitions.set_state(tx, [row.id for row in cancelled], "cancelled", error=None, kind=None)
    for row in cancelled:
        if row.state == "running":
            ended = {"state": "cancelled", "ended": tx.now, "error": "cancelled"}
            tx.execute(sa.update(attempts).where(is_attempt(row.id, row.attempt)).values(ended))
        transitions.log(tx, "cancelled", f"was {row.state}", run=row.id, attempt=row.attempt or None)
    return tuple(row.run_id for row in cancelled)


def requeue(tx: Tx, run_ids: Collection[str], reason: str, request_key: int) -> tuple[str, ...]:
    """Queue ended runs of a request again, for it alone, done ones too (a parent whose weights are gone). The ids that were."""
    asked = set(tx.connection.scalars(sa.select(request_runs.c.run).where(request_runs.c.request == request_key)))
    found = _select(tx, run_ids, ("done", "failed", "lost", "cancelled", "pruned"))
    ended = [row for row in found if row.id in asked]
    transitions.requeue(tx, [row.id for row in ended], request_key)
    for row in ended:
        transitions.log(tx, "queued again", f"was {row.state}: {reason}", run=row.id)
    return tuple(row.run_id for row in ended)


def _select(tx: Tx, run_ids: Collection[str], states: tuple[str, ...]) -> list[AnyRow]:
    statement = sa.select(runs.c.id, runs.c.run_id, runs.c.state, runs.c.attempt).where(runs.c.state.in_(states))
    return list(tx.among(statement.order_by(runs.c.id).with_for_update(), runs.c.run_id, sorted(set(run_ids))))


def set_environment(
    tx: Tx,
    claim: Claim,
    environment: Mapping[str, Any],
    fingerprint: str | None = None,
    device: str | None = None,
) -> None:
    """Record what the attempt runs on; `environment["code"]` is what `--retry stale` compares."""
    held = hold(tx, claim)
    assert held is not None
    said = {"environment": to_json(environment), "code": code_of(environment)}
    renew(tx, held, claim.ttl, **said, fingerprint=fingerprint, device=device)


def code_of(environment: object) -> str | None:
    """The code that an environment names under `code`: a text as it is, anything else as canonical JSON."""
    code = environment.get("code") if isinstance(environment, Mapping) else None
    return code if code is None or isinstance(code, str) else to_json(code)
