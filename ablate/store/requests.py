"""Requests: who asked for which runs, and when. A worker claims what one request asked for, and nothing else.

A request is written once, by the call that asks; only a tuning's grows. It is open as long as it waits for a run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from ablate.errors import NotFound
from ablate.store.codec import clean, from_json, sets_of, to_json
from ablate.store.engine import AnyRow, AnySelect, Tx
from ablate.store.queries import meant
from ablate.store.schema import attempts, request_runs, requests, runs, studies, study_runs
from ablate.store.seen import Codes, one_digest
from ablate.store.values import Asker, Looks, StoredRequest
from ablate.study.values.study import Study


@dataclass(frozen=True)
class Call:
    """What a call of `save_study` says beside the study.

    `sent` are the requests that it has written so far, each with its time: a second only where the answer to the first
    got lost.
    """

    options: Mapping[str, Any]
    folder: str = ""
    code: Codes = None
    retry: str | None = None
    requeue_pruned: bool = True
    join: bool = False
    sent: list[tuple[int, float]] = field(default_factory=list)


# Asking ---------------------------------------------------------------------------------------------------------------


def ask(tx: Tx, study_key: int, study: Study, call: Call, keys: Sequence[int], waits: Collection[int]) -> int:
    """Write the request for the runs `keys`, in this order, of which it waits for some; its key.

    With `join`, the newest request for the same text is asked to wait for what is new to it.
    """
    code = one_digest(call.code)
    said = {
        "source": clean(study.source), "file": clean(study.file), "folder": clean(call.folder),
        "settings": to_json({**call.options, "seeds": list(study.seeds)}), "code": None if code is None else clean(code),
    }  # fmt: skip
    key = _arrived(tx, call)
    if key is None and call.join:
        key = _newest(tx, study_key, clean(study.text))
    known: dict[int, int] = {}
    if key is None:
        new = {"study": study_key, "text": clean(study.text), "set": to_json(sorted(study.sets)), "created": tx.now}
        key = int(tx.execute(sa.insert(requests).values({**said, **new}).returning(requests.c.id)).scalar_one())
        call.sent.append((key, tx.now))
    else:
        tx.execute(sa.update(requests).where(requests.c.id == key).values(said))
        known = positions(tx, key)
    first = 1 + max(known.values(), default=-1)
    new_keys = [run for run in keys if run not in known]
    rows = [
        {"request": key, "position": position, "run": run, "queued": run in waits}
        for position, run in enumerate(new_keys, start=first)
    ]
    if rows:
        tx.execute(sa.insert(request_runs), rows)
    return key


def positions(tx: Tx, key: int) -> dict[int, int]:
    """The place of each run in what a request asks for."""
    mine = sa.select(request_runs.c.run, request_runs.c.position).where(request_runs.c.request == key)
    return {row.run: row.position for row in tx.execute(mine)}


def _arrived(tx: Tx, call: Call) -> int | None:
    """The request that an earlier try of this call has committed after all."""
    for key, created in call.sent:
        mine = sa.and_(requests.c.id == key, requests.c.created == created)
        if tx.connection.scalar(sa.select(requests.c.id).where(mine)) is not None:
            return key
    return None


def _newest(tx: Tx, study_key: int, text: str) -> int | None:
    mine = sa.and_(requests.c.study == study_key, requests.c.text == text)
    return tx.connection.scalar(sa.select(requests.c.id).where(mine).order_by(requests.c.id.desc()).limit(1))


def name_text(tx: Tx, study_key: int, text: str) -> None:
    """What a study of unknown text was asked for is now known to be this text."""
    unknown = sa.and_(requests.c.study == study_key, requests.c.text == "")
    tx.execute(sa.update(requests).where(unknown).values(text=text))


# Reading --------------------------------------------------------------------------------------------------------------

_OPEN = sa.exists().where(request_runs.c.request == requests.c.id, request_runs.c.queued == sa.true())
_READ: AnySelect = (
    sa.select(requests, studies.c.name, studies.c.profile, _OPEN.label("open"))
    .join(studies, studies.c.id == requests.c.study)
    .order_by(requests.c.created, requests.c.id)
)


def find(
    tx: Tx,
    name: str | None = None,
    profile: str | None = None,
    sets: Sequence[str] | None = None,
    *,
    open_only: bool = False,
) -> tuple[StoredRequest, ...]:
    """What was asked for, the oldest first. `profile` None means any, '' the full scale; `sets` None any, () what is no variant.
    Those of tunings only by their name."""
    statement = _READ.where(*meant(name, profile, sets))
    if open_only:
        statement = statement.where(_OPEN)
    return tuple(_stored(row) for row in tx.execute(statement))


def get(tx: Tx, key: int) -> StoredRequest:
    """The request of that key. Raises NotFound."""
    row = tx.execute(_READ.where(requests.c.id == key)).one_or_none()
    if row is None:
        raise NotFound(f"the database has no request {key}")
    return _stored(row)


def _stored(row: AnyRow) -> StoredRequest:
    return StoredRequest(
        key=row.id, study_key=row.study, name=row.name, profile=row.profile or None, sets=tuple(from_json(row.set)),
        text=row.text, source=row.source, file=row.file, folder=row.folder, call_options=from_json(row.settings),
        code=row.code, created=row.created, open=bool(row.open),
    )  # fmt: skip


def seeds_asked(tx: Tx, name: str, profile: str | None, sets: Sequence[str], text: str) -> tuple[int, ...]:
    """All the seeds that were ever asked of one design, in order. `profile` None is the full scale."""
    asked = find(tx, name, profile or "", sets)
    return tuple(sorted({seed for item in asked if item.text == text for seed in item.seeds}))


def looks(tx: Tx, name: str, profile: str | None, sets: Sequence[str], text: str) -> Looks:
    """How often seeds were added to a design that had results already; `migrated` where any version's history is not known."""
    every = find(tx, name, profile or "", sets)
    found = [item for item in every if item.text == text]
    results = _first_results(tx, [item.key for item in found])
    seeds: set[int] = set()
    count, since = 0, float("inf")
    for item in found:
        added = bool(seeds) and not seeds.issuperset(item.seeds)
        count += added and since < item.created
        seeds.update(item.seeds)
        since = min(since, results.get(item.key, since))
    return Looks(count, migrated=any(item.call_options.get("migrated") for item in every))


def _first_results(tx: Tx, keys: Sequence[int]) -> dict[int, float]:
    """When the first of the runs that each request asked for was done; parents have no results of the study."""
    parent = sa.and_(study_runs.c.study == requests.c.study, study_runs.c.run == request_runs.c.run)
    statement = (
        sa.select(requests.c.id, sa.func.min(attempts.c.ended))
        .join(request_runs, request_runs.c.request == requests.c.id)
        .join(attempts, attempts.c.run == request_runs.c.run)
        .outerjoin(study_runs, parent)
        .where(attempts.c.state == "done", sa.func.coalesce(study_runs.c.is_parent, sa.false()) == sa.false())
        .group_by(requests.c.id)
    )
    return dict(tx.among(statement, requests.c.id, keys))


def asked_by(tx: Tx, run_ids: Collection[str]) -> dict[str, tuple[Asker, ...]]:
    """Every study, variant and version that ever asked for each run; unknown runs are absent."""
    present = sa.exists().where(study_runs.c.study == studies.c.id, study_runs.c.run == runs.c.id)
    statement = (
        sa.select(
            runs.c.run_id, studies.c.name, studies.c.profile, studies.c.variant, requests.c.text,
            sa.and_(present, studies.c.text == requests.c.text).label("present"),
        )
        .join(request_runs, request_runs.c.run == runs.c.id)
        .join(requests, requests.c.id == request_runs.c.request)
        .join(studies, studies.c.id == requests.c.study)
        .distinct()
        .order_by(studies.c.name, studies.c.profile, studies.c.variant, requests.c.text)
    )  # fmt: skip
    found: dict[str, list[Asker]] = defaultdict(list)
    for row in tx.among(statement, runs.c.run_id, run_ids):
        asker = Asker(row.name, row.profile or None, sets_of(row.variant), row.text, bool(row.present))
        found[row.run_id].append(asker)
    return {run_id: tuple(items) for run_id, items in found.items()}
