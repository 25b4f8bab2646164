"""What a worker records: epochs, and how the attempt ended. Each call is one commit behind the fence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from ablate.store import transitions
from ablate.store.codec import clean, number, to_json
from ablate.store.engine import Tx
from ablate.store.queue import renew
from ablate.store.schema import artifacts, attempts, confusions, epoch_metrics, final_metrics, runs
from ablate.store.transitions import Held, hold, is_attempt
from ablate.store.values import KINDS, Claim
from ablate.study.records import EpochRecord, Outcome


def record_epoch(tx: Tx, claim: Claim, records: Sequence[EpochRecord]) -> None:
    """All splits of one epoch (or of several). The same epoch again, by the same attempt, replaces what it said.

    It is a sign of life too. A value that is not finite is kept as NULL: measured, but no number.
    """
    held = hold(tx, claim)
    assert held is not None
    rows = [
        {"run": held.key, "attempt": held.attempt, "epoch": int(record.epoch), "split": record.split, **value}
        for record in records
        for value in _values(record.metrics)
    ]
    tx.upsert(epoch_metrics, rows, ["value"])
    if not records:
        return
    first, last = min(int(record.epoch) for record in records), max(int(record.epoch) for record in records)
    earliest, latest = attempts.c.first_epoch, attempts.c.last_epoch
    renew(
        tx,
        held,
        claim.ttl,
        first_epoch=sa.case((earliest < first, earliest), else_=first),
        last_epoch=sa.case((latest > last, latest), else_=last),
    )


def finish(tx: Tx, claim: Claim, outcome: Outcome, seconds: float) -> None:
    """The run is done after `seconds` of wall time. Sent twice by the same attempt, the second changes nothing."""
    held = hold(tx, claim, ended_as="done")
    if held is None:
        return
    key: dict[str, Any] = {"run": held.key, "attempt": held.attempt}
    tx.upsert(final_metrics, [{**key, **value} for value in _values(outcome.metrics)], ["value"])
    tx.upsert(
        confusions,
        [
            {**key, "split": c.split, "at": c.at, "classes": to_json(c.classes), "counts": to_json(c.counts)}
            for c in outcome.confusions
        ],
        ["classes", "counts"],
    )
    tx.upsert(
        artifacts,
        [
            {**key, "kind": file.kind, "path": str(file.path), "size": int(file.size), "sha256": file.sha256}
            for file in outcome.artifacts
        ],
        ["size", "sha256"],
    )
    transitions.end_attempt(
        tx,
        held.key,
        held.attempt,
        "done",
        run_state="done",
        seconds=float(seconds),
        reported_split=outcome.reported_split,
        selected_epoch=outcome.selected_epoch,
        details=to_json(outcome.details),
    )
    tx.execute(sa.update(runs).where(runs.c.id == held.key).values(code=_recorded_code(tx, held), counted=0))


def fail(tx: Tx, claim: Claim, error: str, kind: str = "error") -> None:
    """The code raised, or the loss was not finite: not tried again by itself. `error` begins with a kind of its own.

    `kind` is one of `KINDS`.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of failure {kind!r}; allowed: {', '.join(KINDS)}")
    held = hold(tx, claim, ended_as="failed")
    if held is None:
        return
    reason = error if kind == "error" or error.startswith(kind) else f"{kind}: {error}"
    transitions.end_attempt(tx, held.key, held.attempt, "failed", run_state="failed", reason=reason, kind=kind)


def prune(tx: Tx, claim: Claim, reason: str) -> None:
    """A pruner ended the run early: missing to a study that wants it, and not a failure."""
    held = hold(tx, claim, ended_as="pruned")
    if held is not None:
        transitions.end_attempt(tx, held.key, held.attempt, "pruned", run_state="pruned", reason=reason)


def _recorded_code(tx: Tx, held: Held) -> str | None:
    return tx.connection.scalar(sa.select(attempts.c.code).where(is_attempt(held.key, held.attempt)))


def _values(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": clean(name), "value": number(value)} for name, value in metrics.items()]
