"""What changed between a report's JSON document and the tables of today, in short sentences.

Looked at are verdicts (of claims, and whether a row is decided), means, the runs behind them, and which tables, columns, rows and
claims there are. Notes, intervals and p alone are no change: they move with the runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ablate.analysis.distributions import ALPHA
from ablate.analysis.table import Column, Row, Table
from ablate.report import format as fmt
from ablate.report.json import finite

MOST_NAMED = 4
"""Rows that a sentence names; the document has all."""

Earlier = Mapping[str, Any]
"""The document of one table, as `ablate.report.json` writes it."""


@dataclass(frozen=True)
class Change:
    """`kind` is table, column, row, claim, verdict, mean or run; `then` and `now` are words, numbers, or None where there was nothing."""

    kind: str
    table: str = ""
    row: str = ""
    metric: str = ""
    claim: str = ""
    run: str = ""
    then: str | float | None = None
    now: str | float | None = None

    def document(self) -> dict[str, Any]:
        """As JSON gives it; what a change has none of is null."""
        return {key: value if value != "" else None for key, value in vars(self).items()}


@dataclass(frozen=True)
class Changes:
    """All changes, and the sentences that say them."""

    found: tuple[Change, ...]
    sentences: tuple[str, ...]


def changes(earlier: Sequence[Earlier], tables: Sequence[Table], *, whole: bool) -> Changes:
    """What is other than it was. `whole`: the earlier documents are all tables of a study, so that another one is new."""
    before, after = {one["table"]: one for one in earlier}, {table.name: table for table in tables}
    found = [Change("table", name, then="there") for name in before if name not in after]
    found += [Change("table", name, now="there") for name in after if whole and name not in before]
    found += [change for name in before if name in after for change in _of_table(before[name], after[name])]
    compared = [(before[name], after[name]) for name in before if name in after]
    found += _of_runs(compared)
    columns = {(table.name, column.key): column for table in tables for column in table.columns}
    return Changes(tuple(found), tuple(_sentences(found, columns)))


def _of_table(then: Earlier, now: Table) -> Iterator[Change]:
    claims = {claim["text"]: claim.get("verdict") for claim in then["claims"]}
    verdicts = {claim.text: claim.verdict for claim in now.claims}
    for text in dict.fromkeys([*claims, *verdicts]):
        if claims.get(text) != verdicts.get(text):
            yield Change("claim", now.name, claim=text, then=claims.get(text), now=verdicts.get(text))
    columns = [column.key for column in now.columns]
    yield from (Change("column", now.name, metric=key, then="there") for key in then["columns"] if key not in columns)
    yield from (Change("column", now.name, metric=key, now="there") for key in columns if key not in then["columns"])
    rows = {row["row"]: row for row in then["rows"]}
    names = {row.name: row for row in now.rows}
    yield from (Change("row", now.name, name, then="there") for name in rows if name not in names)
    yield from (Change("row", now.name, name, now="there") for name in names if name not in rows)
    for name, row in names.items():
        if name in rows:
            yield from _of_row(rows[name], row, now)


def _of_row(then: Earlier, row: Row, table: Table) -> Iterator[Change]:
    for column in table.columns:
        before, cell = then["cells"].get(column.key), row.cell(column.key)
        if before is None:
            continue
        was, verdict = _decided(before), "decided" if cell.decided else "undecided"
        if was is not None and was != verdict:
            yield Change("verdict", table.name, row.name, column.key, then=was, now=verdict)
        then_, now_ = _shown(before.get("mean"), before.get("delta"), table), _shown(cell.mean, cell.delta, table)
        if not _same(then_, now_):
            yield Change("mean", table.name, row.name, column.key, then=then_, now=now_)


def _shown(mean: float | None, delta: float | None, table: Table) -> float | None:
    """The number that stands in a cell: an effect without a mean is its difference."""
    return finite(delta if mean is None and table.kind == "effect" else mean)


def _same(then: float | None, now: float | None) -> bool:
    return then == now or (
        then is not None and now is not None and math.isclose(then, now, rel_tol=1e-9, abs_tol=1e-15)
    )


def _decided(cell: Earlier) -> str | None:
    """Of an earlier cell; by its p where older documents say no more, None where they say nothing."""
    if isinstance(cell.get("decided"), bool):
        return "decided" if cell["decided"] else "undecided"
    p = cell.get("p_adjusted")
    if "p_adjusted" not in cell:
        return None
    return "decided" if p is not None and p < ALPHA else "undecided"


def _of_runs(compared: Iterable[tuple[Earlier, Table]]) -> list[Change]:
    before: dict[str, None] = {}
    after: dict[str, None] = {}
    for then, now in compared:
        for earlier_row in then["rows"]:
            for cell in earlier_row["cells"].values():
                before.update(dict.fromkeys(cell.get("run_ids") or ()))
        for row in now.rows:
            for key in (column.key for column in now.columns):
                after.update(dict.fromkeys(row.cell(key).run_ids))
    gone = [Change("run", run=run, then="there") for run in before if run not in after]
    return gone + [Change("run", run=run, now="there") for run in after if run not in before]


def _sentences(found: Sequence[Change], columns: Mapping[tuple[str, str], Column]) -> Iterator[str]:
    """Verdicts one by one, then means by table and column, then what is new or gone, then runs."""
    yield from (_flipped(one) for one in found if one.kind in ("claim", "verdict"))
    means = [one for one in found if one.kind == "mean"]
    for key in dict.fromkeys((one.table, one.metric) for one in means):
        moved = [one for one in means if (one.table, one.metric) == key]
        named = _named([f"{fmt.plain(one.row)} {_moved(one, columns[key])}" for one in moved])
        yield f"{fmt.plain(key[0])}, {fmt.plain(key[1])}: {_plural(len(moved), 'number')} moved: {named}."
    for kind in ("table", "column", "row"):
        yield from _new_or_gone(kind, [one for one in found if one.kind == kind])
    runs = [one for one in found if one.kind == "run"]
    for state, word in (("now", "added"), ("then", "gone")):
        if count := sum(getattr(one, state) is not None for one in runs):
            yield f"{_plural(count, 'run')} {word}."


def _flipped(change: Change) -> str:
    table, then, now = fmt.plain(change.table), fmt.plain(str(change.then)), fmt.plain(str(change.now))
    if change.kind == "verdict":
        return f"{table}: {fmt.plain(change.row)} is {now} on {fmt.plain(change.metric)}; it was {then}."
    claim = f'{table}: the claim "{fmt.plain(change.claim)}"'
    if change.then is None:
        return f'{claim} is new: "{now}".'
    return f'{claim} is gone; it was "{then}".' if change.now is None else f'{claim} is "{now}"; it was "{then}".'


def _new_or_gone(kind: str, found: Sequence[Change]) -> Iterator[str]:
    field = {"table": "table", "column": "metric", "row": "row"}[kind]
    for table in dict.fromkeys("" if kind == "table" else one.table for one in found):
        for state, word in (("now", "new"), ("then", "gone")):
            of = [one for one in found if getattr(one, state) is not None and table in ("", one.table)]
            if of:
                named = _named([fmt.plain(getattr(one, field)) for one in of])
                place = f"{fmt.plain(table)}: " if table else ""
                yield f"{place}{_plural(len(of), kind)} {word}: {named}."


def _moved(change: Change, column: Column) -> str:
    """`0.742 → 0.751`, with as many decimals as it takes to tell them apart."""
    for more in range(12):
        finer = replace(column, decimals=column.decimals + more)
        then, now = (
            fmt.number(value, finer) if isinstance(value, float | int) else fmt.MISSING
            for value in (change.then, change.now)
        )
        if then != now:
            break
    return f"{then} → {now}"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
