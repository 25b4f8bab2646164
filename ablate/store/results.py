"""Whole results: everything that the store knows of runs, put together in memory from one query a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from ablate.store import queries
from ablate.store.codec import chunks, from_json, stored_run
from ablate.store.engine import AnyRow, AnySelect, Tx
from ablate.store.schema import (
    arms,
    artifacts,
    attempts,
    confusions,
    epoch_metrics,
    final_metrics,
    request_runs,
    requests,
    runs,
    studies,
)
from ablate.store.seen import Codes, look
from ablate.study.records import Artifact, AttemptResult, Confusion, RunResult
from ablate.study.values.metrics import MetricName

_AT_ONCE = 10_000  # rows of epochs that are fetched: one by one takes twice as long, all of them too much memory


def results(tx: Tx, run_ids: Collection[str], *, epochs: bool = True, code: Codes = None) -> dict[str, RunResult]:
    """All that is known of the runs that the database knows, in the order asked for, as seen with `code`: it decides which attempt
    counts, and done runs of other code are `stale`."""
    wanted = list(dict.fromkeys(run_ids))
    found: dict[str, RunResult] = {}
    for part in chunks(wanted):
        found.update(_some(tx, part, epochs, code))
    return {run_id: found[run_id] for run_id in wanted if run_id in found}


def find(tx: Tx, prefix: str, *, code: Codes = None) -> RunResult:
    """The one run whose id starts with `prefix`. NotFound lists the candidates, or the nearest."""
    run_id = queries.resolve(tx, prefix)
    return results(tx, [run_id], code=code)[run_id]


def list_runs(
    tx: Tx,
    *,
    study: str | None = None,
    profile: str | None = None,
    sets: Sequence[str] | None = None,
    states: Sequence[str] | None = None,
    limit: int | None = None,
    code: Codes = None,
) -> list[RunResult]:
    """Runs without their epochs: a study's in its own order, else the newest first. `profile` and `sets` None mean any."""
    ids = queries.run_ids(tx, study, profile, sets, states, limit)
    return list(results(tx, ids, epochs=False, code=code).values())


def _some(tx: Tx, run_ids: Sequence[str], epochs: bool, code: Codes) -> dict[str, RunResult]:
    statement = sa.select(runs, arms.c.arm_id, arms.c.recipe, arms.c.trainer).join(arms, arms.c.id == runs.c.arm)
    rows = tx.execute(statement.where(runs.c.run_id.in_(run_ids))).all()
    keys = [row.id for row in rows]
    tried = _grouped(tx, sa.select(attempts).where(attempts.c.run.in_(keys)).order_by(attempts.c.number))
    in_studies = _studies_of(tx, keys)
    seen = look(tx, rows, code)
    counts = {key: found.attempt for key, found in seen.items() if found.attempt is not None}
    numbers = _of_attempts(tx, final_metrics, counts)
    tables = _of_attempts(tx, confusions, counts)
    files = _of_attempts(tx, artifacts, counts)
    curves = _curves(tx, keys) if epochs else {}
    environments: dict[str | None, Any] = {}  # most runs of a study have the same
    found = {}
    for row in rows:
        mine, view = tried.get(row.id, []), seen[row.id]
        shown = next((one for one in reversed(mine) if view.attempt in (None, one.number)), None)
        ended = shown if view.attempt is not None else None
        split = ended.reported_split if ended is not None else None
        kept = _alike(mine, shown, script=row.trainer is not None)
        curve = [point for point in curves.get(row.id, []) if point[2] in kept]
        found[row.run_id] = RunResult(
            run=stored_run(row),
            state=view.state,
            attempts=tuple(_attempt(item, environments) for item in mine),
            metrics={item.name: item.value for item in numbers.get(row.id, []) if item.value is not None},
            epochs=_epochs(curve, split, ended.last_epoch if ended is not None else None),
            confusions=tuple(_confusion(item) for item in tables.get(row.id, [])),
            artifacts=tuple(Artifact(item.kind, item.path, item.size, item.sha256) for item in files.get(row.id, [])),
            studies=in_studies.get(row.id, ()),
            reported_split=split,
            selected_epoch=ended.selected_epoch if ended is not None else None,
            seconds=shown.seconds if shown is not None else None,
            device=shown.device if shown is not None else None,
            error=None if view.state == "done" else row.error,
            stale=view.freshness.stale,
            why_stale=view.freshness.why,
            code_known=view.freshness.known,
            verified=view.freshness.verified,
            attempt=shown.number if shown is not None else None,
            details=from_json(ended.details) if ended is not None else {},
        )
    return found


def _of_attempts(tx: Tx, table: sa.Table, counts: Mapping[int, int]) -> dict[int, list[AnyRow]]:
    """The rows of the attempt that counts for each run."""
    statement = sa.select(table).where(table.c.run.in_(list(counts))).order_by(*table.primary_key.columns)
    found: dict[int, list[AnyRow]] = defaultdict(list)
    for row in tx.execute(statement):
        if row.attempt == counts[row.run]:
            found[row.run].append(row)
    return found


def _alike(tried: Sequence[AnyRow], shown: AnyRow | None, *, script: bool) -> set[int]:
    """The attempts whose epochs belong to the one shown: earlier ones, of a script only those of the same code."""
    if shown is None:
        return set()
    return {one.number for one in tried if one.number <= shown.number and (not script or one.code == shown.code)}


def _grouped(tx: Tx, statement: AnySelect) -> dict[int, list[AnyRow]]:
    found: dict[int, list[AnyRow]] = defaultdict(list)
    for row in tx.execute(statement):
        found[row.run].append(row)
    return found


def _studies_of(tx: Tx, keys: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """The names of all studies that ever asked for each run."""
    statement = (
        sa.select(request_runs.c.run, studies.c.name)
        .join(requests, requests.c.id == request_runs.c.request)
        .join(studies, studies.c.id == requests.c.study)
        .where(request_runs.c.run.in_(keys))
        .distinct()
        .order_by(studies.c.name)
    )
    found: dict[int, list[str]] = defaultdict(list)
    for key, name in tx.execute(statement):
        found[key].append(name)
    return {key: tuple(names) for key, names in found.items()}


def _curves(tx: Tx, keys: Sequence[int]) -> dict[int, list[tuple[int, str, int, str, float | None]]]:
    """(epoch, split, attempt, name, value) of each run, older attempts first within an epoch and split."""
    table = epoch_metrics.c
    columns = (table.run, table.epoch, table.split, table.attempt, table.name, table.value)
    order = (table.run, table.epoch, table.split, table.attempt, table.name)
    found: dict[int, list[tuple[int, str, int, str, float | None]]] = defaultdict(list)
    rows = tx.execute(sa.select(*columns).where(table.run.in_(keys)).order_by(*order))
    for part in rows.partitions(_AT_ONCE):
        for key, epoch, split, attempt, name, value in part:
            found[key].append((epoch, split, attempt, name, value))
    return found


def _epochs(
    rows: Iterable[tuple[int, str, int, str, float | None]], reported: str | None, last: int | None
) -> dict[int, dict[str, float]]:
    """{epoch: {name: value}}: the newest attempt's record of each epoch and split, whole.

    Of a done run, epochs after the `last` of the attempt that ended it are left out: an older attempt went on further,
    the result did not. The reported split's metrics stand without a prefix too; while a run is not done, that is its
    test split, else val.
    """
    newest: dict[tuple[int, str], tuple[int, dict[str, float]]] = {}
    for epoch, split, attempt, name, value in rows:
        if last is not None and epoch > last:
            continue
        held = newest.get((epoch, split))
        if held is None or attempt > held[0]:
            held = newest[epoch, split] = (attempt, {})
        if value is not None:
            held[1][name] = value
    splits = {split for _, split in newest}
    reported = reported or ("test" if "test" in splits else "val")
    found: dict[int, dict[str, float]] = {}
    for (epoch, split), (_, metrics) in sorted(newest.items()):
        place = found.setdefault(epoch, {})
        place.update({_with_split(split, name): value for name, value in metrics.items()})
        if split == reported:
            place.update(metrics)
    return found


@lru_cache(maxsize=4096)
def _with_split(split: str, name: str) -> str:
    return str(MetricName(split, name))


def _attempt(row: AnyRow, known: dict[str | None, Any]) -> AttemptResult:
    """`known` are environments that were read already, by their text."""
    if row.environment not in known:
        known[row.environment] = from_json(row.environment)
    environment = known[row.environment]
    return AttemptResult(
        row.number, row.state, row.worker, row.started, row.ended, row.error, environment, row.fingerprint
    )  # fmt: skip


def _confusion(row: AnyRow) -> Confusion:
    counts = tuple(tuple(line) for line in from_json(row.counts))
    return Confusion(row.split, row.at, tuple(from_json(row.classes)), counts)
