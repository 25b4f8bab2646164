"""What becomes of each run of an export in the database that it comes to. Nothing is written here.

An attempt is the same attempt wherever its worker and its start are the same, so a run is

    new     not there yet: it comes with all of its attempts
    added   there, without a result: the attempts that are not there yet come after those that are
    same    there, with every attempt
    kept    there, and the database's own history counts: it is done, running, or as far as the file's
    clash   done in both, with different results: refused, or left as it is here

A result is never replaced, nor is a run of this database ever taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from ablate.errors import StoreError
from ablate.store.engine import Tx
from ablate.store.portable import Export, Row
from ablate.store.schema import arms, attempts, final_metrics, runs, studies
from ablate.study.values.metrics import is_cost

NEW, ADDED, SAME, KEPT, CLASH = "new", "added", "same", "kept", "clash"

Who = tuple[str, float]
"""An attempt's identity: its worker's name, unique by itself, and its start."""


@dataclass
class History:
    """A run as one side knows it: attempts by number, each with who made it and its state."""

    run_id: str
    state: str
    attempt: int
    tries: dict[int, tuple[Who, str]] = field(default_factory=dict)
    metrics: dict[str, float | None] = field(default_factory=dict)

    def numbers(self) -> dict[Who, int]:
        return {who: number for number, (who, _) in self.tries.items()}


@dataclass(frozen=True)
class Decision:
    """What happens to a run. `numbers` maps the file's attempts that come along to their numbers here."""

    kind: str
    numbers: Mapping[int, int] = field(default_factory=dict)
    newest: int = 0


@dataclass
class Plan:
    """Decisions by the file's own keys. A study is its name, profile and variant, and has the `texts` of its design."""

    runs: dict[int, Decision] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)
    studies: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    requests: set[int] = field(default_factory=set)
    arms: dict[int, str] = field(default_factory=dict)
    new_studies: set[int] = field(default_factory=set)
    clashes: list[str] = field(default_factory=list)
    seen: set[tuple[str, Any]] = field(default_factory=set)

    def of(self, kind: str) -> list[str]:
        return [self.ids[key] for key, decision in self.runs.items() if decision.kind == kind]


def decide(tx: Tx | None, export: Export, *, lock: bool = False) -> Plan:
    """Read the whole file once, checking every line, and compare it with the database (None: an empty one)."""
    plan, theirs = Plan(), dict[int, History]()
    for row in export.rows():
        _collect(plan, theirs, row, export)
    ours = {} if tx is None else _histories(tx, [history.run_id for history in theirs.values()], lock)
    known = set() if tx is None else {tuple(row) for row in tx.execute(sa.select(*_STUDY))}
    plan.new_studies = {key for key, name in plan.studies.items() if name not in known}
    for key, history in theirs.items():
        if history.attempt != max(history.tries, default=0):
            raise StoreError(f"{export.path}: run {history.run_id[:12]} lacks attempts. Nothing was imported.")
        mine = ours.get(history.run_id)
        plan.runs[key] = decision = _decide(history, mine)
        if decision.kind == CLASH:
            assert mine is not None
            plan.clashes.append(_difference(history, mine))
    return plan


_STUDY = (studies.c.name, studies.c.profile, studies.c.variant)


def _decide(theirs: History, ours: History | None) -> Decision:
    if ours is None:
        return Decision(NEW, {number: number for number in theirs.tries}, theirs.attempt)
    here = ours.numbers()
    fresh = [number for number, (who, _) in sorted(theirs.tries.items()) if who not in here]
    ended = [
        number
        for number, (who, state) in theirs.tries.items()
        if who in here and state != "running" and ours.tries[here[who]][1] == "running"
    ]
    if not fresh and not ended:
        return Decision(SAME)
    if ours.state == "done":
        clash = theirs.state == "done" and _results(theirs) != _results(ours)
        return Decision(CLASH if clash else KEPT)
    follows = here.keys() <= theirs.numbers().keys()
    if not (follows or theirs.state == "done") or (ours.state == "running" and not ended):
        return Decision(KEPT)
    numbers = {number: here[theirs.tries[number][0]] for number in ended}
    numbers |= {number: max(ours.tries, default=0) + place for place, number in enumerate(fresh, start=1)}
    newest = theirs.tries.get(theirs.attempt)
    return Decision(ADDED, numbers, numbers.get(theirs.attempt) or here[newest[0]] if newest else 0)


def _results(history: History) -> dict[str, float | None]:
    """The metrics that the same training gives again: not what it cost."""
    return {name: value for name, value in history.metrics.items() if not is_cost(name)}


def _difference(theirs: History, ours: History) -> str:
    left, right = _results(ours), _results(theirs)
    name = min(name for name in {*left, *right} if left.get(name) != right.get(name))
    return f"{ours.run_id[:12]} ({name} is {left.get(name)} here, {right.get(name)} in the file)"


# Reading both sides ---------------------------------------------------------------------------------------------------


def _collect(plan: Plan, theirs: dict[int, History], row: Row, export: Export) -> None:
    """Remember what the decisions need, and refuse a row that points at none."""
    values, name = row.values, row.table.name
    if name in ("trials", "verified"):  # they point at runs by their ids, of which any may be elsewhere
        _seen(export, plan, row, tuple(values[column.name] for column in row.table.primary_key.columns))
        return
    if "run" in values and values["run"] is not None and values["run"] not in theirs:
        raise export.wrong(row.at, f"its run {values['run']} is not in the file")
    if name == "studies":
        _once(export, plan, row, plan.studies, (values["name"], values["profile"], values["variant"]))
        plan.texts[values["id"]] = values["text"]
    elif name == "arms":
        _once(export, plan, row, plan.arms, values["arm_id"])
    elif name == "runs":
        if values["arm"] not in plan.arms:
            raise export.wrong(row.at, f"its arm {values['arm']} is not in the file")
        _once(export, plan, row, plan.ids, values["run_id"])
        theirs[values["id"]] = History(values["run_id"], values["state"], values["attempt"])
    elif name == "attempts":
        who = (values["worker"], float(values["started"]))
        theirs[values["run"]].tries[values["number"]] = (who, values["state"])
    elif "attempt" in values and row.table.name != "events":
        history = theirs[values["run"]]
        if values["attempt"] not in history.tries:
            raise export.wrong(row.at, f"its attempt {values['attempt']} is not in the file")
        if name == final_metrics.name and history.state == "done" and values["attempt"] == history.attempt:
            history.metrics[values["name"]] = values["value"]
    elif values.get("study") is not None and values["study"] not in plan.studies:
        raise export.wrong(row.at, f"its study {values['study']} is not in the file")
    elif name == "requests":
        _seen(export, plan, row, values["id"])
        plan.requests.add(values["id"])
    elif name == "request_runs" and values["request"] not in plan.requests:
        raise export.wrong(row.at, f"its request {values['request']} is not in the file")


def _once(export: Export, plan: Plan, row: Row, names: dict[int, Any], name: object) -> None:
    if row.values["id"] in names:
        raise export.wrong(row.at, f"the file has this row of {row.table.name} twice")
    _seen(export, plan, row, name)
    names[row.values["id"]] = name


def _seen(export: Export, plan: Plan, row: Row, name: object) -> None:
    if (row.table.name, name) in plan.seen:
        raise export.wrong(row.at, f"the file has this row of {row.table.name} twice")
    plan.seen.add((row.table.name, name))


def _histories(tx: Tx, run_ids: list[str], lock: bool) -> dict[str, History]:
    statement = sa.select(runs.c.id, runs.c.run_id, runs.c.state, runs.c.attempt).order_by(runs.c.id)
    rows = tx.among(statement.with_for_update() if lock else statement, runs.c.run_id, run_ids)
    by_key = {row.id: History(row.run_id, row.state, row.attempt) for row in rows}
    tries = sa.select(attempts.c.run, attempts.c.number, attempts.c.worker, attempts.c.started, attempts.c.state)
    for try_ in tx.among(tries, attempts.c.run, by_key):
        by_key[try_.run].tries[try_.number] = ((try_.worker, try_.started), try_.state)
    for metric in tx.among(sa.select(final_metrics), final_metrics.c.run, by_key):
        if metric.attempt == by_key[metric.run].attempt:
            by_key[metric.run].metrics[metric.name] = metric.value
    return {history.run_id: history for history in by_key.values()}


def ids_of(tx: Tx, table: sa.Table, names: Mapping[int, Any]) -> dict[int, int]:
    """The keys that rows have here, by the keys that they have in the file."""
    here: dict[Any, int]
    if table is studies:
        here = {tuple(name): key for key, *name in tx.execute(sa.select(table.c.id, *_STUDY))}
    else:
        own = {"arms": arms.c.arm_id, "runs": runs.c.run_id}[table.name]
        here = dict(tx.among(sa.select(own, table.c.id), own, names.values()))
    return {theirs: here[name] for theirs, name in names.items() if name in here}
