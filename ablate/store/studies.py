"""Saving a study: what it wants becomes queued, and nothing is ever taken away.

Every step works on whole columns, so that a study of 100,000 runs is a matter of seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ablate.errors import UsageError
from ablate.store import transitions
from ablate.store.codec import chunks, clean, to_json
from ablate.store.engine import Tx
from ablate.store.schema import arms, runs, studies, study_runs
from ablate.study.digest import canonical_json
from ablate.study.run import Run
from ablate.study.study import Study

RETRIES: Mapping[str | None, tuple[str, ...]] = {
    None: (),
    "failed": ("failed",),
    "lost": ("lost",),
    "all": ("failed", "lost", "cancelled"),
    "stale": (),
}
"""The states that each `--retry` queues again; `stale` looks at the code of done runs instead."""


@dataclass(frozen=True)
class _Stored:
    key: int
    state: str
    code: str | None


def save(
    tx: Tx, study: Study, settings: Mapping[str, Any], retry: str | None, code: str | None, requeue_pruned: bool
) -> int:
    """Insert or update the study, its links and its missing runs; queue again what `retry` names. The study's key.

    A pruned run is missing to a study that wants it; tuning, which prunes, asks for `requeue_pruned=False`.
    """
    if retry not in RETRIES:
        raise UsageError(f"--retry {retry} is unknown; allowed: {', '.join(str(rule) for rule in RETRIES if rule)}")
    if retry == "stale" and not code:
        raise UsageError("--retry stale needs to know the code as it is now, and it is unknown here")
    key = _upsert_study(tx, study, settings)
    wanted = _wanted(study)
    _insert_missing(tx, wanted)
    stored = _stored(tx, [run.run_id for run in wanted], lock=True)
    again = [
        row.key
        for row in stored.values()
        if row.state in RETRIES[retry]
        or (requeue_pruned and row.state == "pruned")
        or (retry == "stale" and row.state == "done" and row.code is not None and row.code != code)
    ]
    if again:
        transitions.requeue(tx, sorted(again))
        transitions.log(tx, "retried", f"{len(again)} runs, rule: {retry or 'pruned'}", study=key)
    queued = set(again) | {row.key for row in stored.values() if row.state == "queued"}
    _replace_links(tx, key, study, wanted, stored, queued)
    return key


def _wanted(study: Study) -> list[Run]:
    """The study's runs and parents, each once; parents first, for their children wait for them."""
    own = {run.run_id for run in study.runs}
    parents = {run.run_id: run for run in study.parents if run.run_id not in own}
    return [*parents.values(), *{run.run_id: run for run in study.runs}.values()]


def _upsert_study(tx: Tx, study: Study, settings: Mapping[str, Any]) -> int:
    tx.dialect.lock_studies(tx.connection)
    name, profile = clean(study.name), clean(study.profile or "")
    values = {
        "source": clean(study.source),
        "file": clean(study.file),
        "settings": to_json(settings),
        "last_run": tx.now,
    }
    mine = sa.and_(studies.c.name == name, studies.c.profile == profile)
    key = tx.connection.scalar(sa.select(studies.c.id).where(mine))
    if key is None:
        row = tx.execute(
            sa.insert(studies).values(name=name, profile=profile, created=tx.now, **values).returning(studies.c.id)
        )
        return int(row.scalar_one())
    tx.execute(sa.update(studies).where(studies.c.id == key).values(**values))
    return int(key)


def _insert_missing(tx: Tx, wanted: list[Run]) -> None:
    known = _stored(tx, [run.run_id for run in wanted])
    missing = [run for run in wanted if run.run_id not in known]
    if not missing:
        return
    by_arm = {run.arm_id: run for run in missing}
    arm_keys = _arm_keys(tx, by_arm)
    new_arms = [
        {
            "arm_id": run.arm_id,
            "recipe": canonical_json(run.recipe),
            "trainer": None if run.trainer is None else canonical_json(run.trainer),
        }
        for run in by_arm.values()
        if run.arm_id not in arm_keys
    ]
    tx.upsert(arms, new_arms)
    if new_arms:
        arm_keys = _arm_keys(tx, by_arm)
    rows = [
        {"run_id": run.run_id, "arm": arm_keys[run.arm_id], "seed": run.seed, "parent": run.parent, "state": "queued",
         "attempt": 0, "counted": 0, "created": tx.now}
        for run in missing
    ]  # fmt: skip
    tx.upsert(runs, rows)


def _arm_keys(tx: Tx, arm_ids: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in chunks(list(arm_ids)):
        rows = tx.execute(sa.select(arms.c.arm_id, arms.c.id).where(arms.c.arm_id.in_(part)))
        found.update((row.arm_id, row.id) for row in rows)
    return found


def _stored(tx: Tx, run_ids: list[str], *, lock: bool = False) -> dict[str, _Stored]:
    """What is known of these runs; `lock` keeps their states as they are until the links are written."""
    found: dict[str, _Stored] = {}
    columns = sa.select(runs.c.run_id, runs.c.id, runs.c.state, runs.c.code)
    for part in chunks(run_ids):
        statement = columns.where(runs.c.run_id.in_(part))
        if lock:
            statement = statement.order_by(runs.c.id).with_for_update()
        for run_id, key, state, code in tx.execute(statement):
            found[run_id] = _Stored(key, state, code)
    return found


def _replace_links(
    tx: Tx, key: int, study: Study, wanted: list[Run], stored: Mapping[str, _Stored], queued: set[int]
) -> None:
    own = {run.run_id for run in study.runs}
    names = _names(study)
    rows = []
    for position, run in enumerate(wanted):
        is_parent = run.run_id not in own
        arm, levels, aliases = ("", "{}", "[]") if is_parent else names.get(run.arm_id, ("", "{}", "[]"))
        run_key = stored[run.run_id].key
        rows.append(
            {"study": key, "position": position, "run": run_key, "arm": arm, "levels": levels, "aliases": aliases,
             "is_parent": is_parent, "queued": run_key in queued}
        )  # fmt: skip
    tx.execute(sa.delete(study_runs).where(study_runs.c.study == key))
    if rows:
        tx.execute(sa.insert(study_runs), rows)
    tx.dialect.after_bulk(tx.connection, (arms, runs, study_runs))


def _names(study: Study) -> dict[str, tuple[str, str, str]]:
    """For each arm_id the arm's name, its levels, and the names of the arms that turned out to be the same run."""
    merged: dict[str, list[str]] = {}
    first = {}
    for arm in study.arms:
        if arm.merged_into is None and arm.arm_id not in first:
            first[arm.arm_id] = arm
        else:
            merged.setdefault(arm.arm_id, []).append(arm.name)
    return {
        arm_id: (clean(arm.name), to_json(arm.levels), to_json(merged.get(arm_id, []))) for arm_id, arm in first.items()
    }
