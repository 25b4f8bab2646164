"""Saving a study: what it lacks is queued for the asker, and nothing is ever taken away.

Every step works on whole columns, so that a study of 100,000 runs is a matter of seconds. The states of the runs are read
under a lock that is held until the request waits for them: a run that ends meanwhile ends before, or clears the mark.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from ablate.errors import UsageError
from ablate.store import requests, transitions
from ablate.store.codec import clean, to_json, variant
from ablate.store.engine import AnyRow, Tx
from ablate.store.requests import Call
from ablate.store.schema import arms, request_runs, runs, studies, study_runs
from ablate.store.seen import Seen, look, one_digest
from ablate.store.transitions import UNDER_WAY
from ablate.study.recipes.digest import canonical_json
from ablate.study.values.run import Run
from ablate.study.values.study import Study

RETRIES: Mapping[str | None, tuple[str, ...]] = {
    None: (),
    "failed": ("failed",),
    "lost": ("lost",),
    "all": ("failed", "lost", "cancelled"),
    "stale": (),
}
"""The states that each `--retry` queues again; `stale` looks at the code of done runs instead."""


def save(tx: Tx, study: Study, call: Call) -> int:
    """Insert or update the study and its missing runs, and the request for them; queue again what `retry` names. The
    request's key.

    A pruned run is missing to a study that wants it; tuning, which prunes, asks for `requeue_pruned=False`.
    """
    if call.retry not in RETRIES:
        raise UsageError(
            f"--retry {call.retry} is unknown; allowed: {', '.join(str(rule) for rule in RETRIES if rule)}"
        )
    if call.retry == "stale" and one_digest(call.code) is None:
        raise UsageError("--retry stale needs the present code, which is unknown here")
    tx.dialect.lock_studies(tx.connection)
    wanted = _wanted(study)
    _insert_missing(tx, wanted)
    key, same = _upsert_study(tx, study, call.options)
    stored = _stored(tx, [run.run_id for run in wanted], lock=True)
    missing = [stored[run.run_id] for run in wanted]
    seen = look(tx, missing, call.code)
    again = [row.id for row in missing if row.state not in UNDER_WAY and _again(seen[row.id], call)]
    waits = {row.id for row in missing if row.state in UNDER_WAY and seen[row.id].state in UNDER_WAY}
    _view(tx, key, study, wanted, stored, same)
    request = requests.ask(tx, key, study, call, [row.id for row in missing], waits)
    if again:
        transitions.requeue(tx, sorted(again), request)
        transitions.log(tx, "retried", f"{len(again)} runs, rule: {call.retry or 'pruned'}", study=key)
    tx.dialect.after_bulk(tx.connection, (arms, runs, study_runs, request_runs))
    return request


def _again(seen: Seen, call: Call) -> bool:
    if call.retry == "stale" and seen.freshness.stale:
        return True
    return seen.state in RETRIES[call.retry] or (call.requeue_pruned and seen.state == "pruned")


def _wanted(study: Study) -> list[Run]:
    """The study's runs and parents, each once; parents first, for their children wait for them."""
    own = {run.run_id for run in study.runs}
    parents = {run.run_id: run for run in study.parents if run.run_id not in own}
    return [*parents.values(), *{run.run_id: run for run in study.runs}.values()]


def _upsert_study(tx: Tx, study: Study, call_options: Mapping[str, Any]) -> tuple[int, bool]:
    """The study's key, and whether its design is the one that was there. Where a text is unknown, the arms decide."""
    name, profile, text = clean(study.name), clean(study.profile or ""), clean(study.text)
    identity = {"name": name, "profile": profile, "variant": variant(study.sets)}
    values = {
        "source": clean(study.source),
        "file": clean(study.file),
        "settings": to_json(call_options),
        "last_run": tx.now,
    }
    mine = sa.and_(*(studies.c[column] == value for column, value in identity.items()))
    row = tx.execute(sa.select(studies.c.id, studies.c.text).where(mine)).one_or_none()
    if row is None:
        new = sa.insert(studies).values(**identity, text=text, created=tx.now, **values).returning(studies.c.id)
        return int(tx.execute(new).scalar_one()), False
    same = row.text == text if row.text and text else _arms_of(tx, row.id) == {run.arm_id for run in study.runs}
    if same and not row.text:
        requests.name_text(tx, row.id, text)
    text = text or row.text if same else text
    tx.execute(sa.update(studies).where(studies.c.id == row.id).values(text=text, **values))
    return int(row.id), same


def _arms_of(tx: Tx, key: int) -> set[str]:
    """The arms of a study's present design."""
    own = sa.select(arms.c.arm_id).join(runs, runs.c.arm == arms.c.id).join(study_runs, study_runs.c.run == runs.c.id)
    mine = sa.and_(study_runs.c.study == key, study_runs.c.is_parent == sa.false())
    return set(tx.connection.scalars(own.where(mine).distinct()))


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
            "recipe": canonical_json(run.recipe.json),
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


def _arm_keys(tx: Tx, arm_ids: Collection[str]) -> dict[str, int]:
    rows = tx.among(sa.select(arms.c.arm_id, arms.c.id), arms.c.arm_id, arm_ids)
    return {row.arm_id: row.id for row in rows}


def _stored(tx: Tx, run_ids: list[str], *, lock: bool = False) -> dict[str, AnyRow]:
    """What is known of these runs; `lock` keeps their states as they are until the transaction ends."""
    statement = sa.select(runs.c.id, runs.c.run_id, runs.c.state, runs.c.attempt)
    if lock:
        statement = statement.order_by(runs.c.id).with_for_update()
    return {row.run_id: row for row in tx.among(statement, runs.c.run_id, run_ids)}


# The present design ---------------------------------------------------------------------------------------------------


def _view(tx: Tx, key: int, study: Study, wanted: list[Run], stored: Mapping[str, AnyRow], same: bool) -> None:
    """The design's runs: those that were there where it is the same, and those that are new; named as they are named now."""
    if not same:
        tx.execute(sa.delete(study_runs).where(study_runs.c.study == key))
    own, names = {run.run_id for run in study.runs}, _names(study)
    known = _links(tx, key)
    position = 1 + max((row.position for row in known.values()), default=-1)
    new: list[dict[str, Any]] = []
    for run in wanted:
        if run.run_id in known:
            continue
        is_parent = run.run_id not in own
        arm, levels, aliases = ("", "{}", "[]") if is_parent else names.get(run.arm_id, ("", "{}", "[]"))
        new.append(
            {"study": key, "position": position + len(new), "run": stored[run.run_id].id, "arm": arm, "levels": levels,
             "aliases": aliases, "is_parent": is_parent}
        )  # fmt: skip
    if new:
        tx.execute(sa.insert(study_runs), new)
    changed = []
    for row in known.values():
        if row.is_parent and row.run_id not in own:
            continue
        before = (row.arm, row.levels, row.aliases)
        after = names.get(row.arm_id, before)
        if (*after, False) != (*before, row.is_parent):
            changed.append({"at": row.position, "now_arm": after[0], "now_levels": after[1], "now_aliases": after[2]})
    if changed:
        tx.execute(_RENAME.where(study_runs.c.study == key), changed)


_RENAME = (
    sa.update(study_runs)
    .where(study_runs.c.position == sa.bindparam("at"))
    .values(
        arm=sa.bindparam("now_arm"),
        levels=sa.bindparam("now_levels"),
        aliases=sa.bindparam("now_aliases"),
        is_parent=sa.false(),
    )
)


def _links(tx: Tx, key: int) -> dict[str, Any]:
    """The rows of a study's present design, by run_id."""
    statement = (
        sa.select(study_runs, runs.c.run_id, arms.c.arm_id)
        .join(runs, runs.c.id == study_runs.c.run)
        .join(arms, arms.c.id == runs.c.arm)
        .where(study_runs.c.study == key)
    )
    return {row.run_id: row for row in tx.execute(statement)}


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
