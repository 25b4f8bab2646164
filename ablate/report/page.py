"""What a page shows, as plain values for the template: rows, cells, chips, claims, notes, figures, runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import plotly.graph_objects as go

from ablate.analysis.labels import Names, labelled
from ablate.analysis.table import Column, ConfusionTable, Row, Table
from ablate.report import bars, drawing, figures
from ablate.report import format as fmt
from ablate.report.captions import captions, is_wide
from ablate.report.costs import cost
from ablate.report.declare import Sentence, StudyReport
from ablate.report.drawer import drawer
from ablate.report.grid import parts_of
from ablate.report.infos import ConfusionInfo, Info
from ablate.report.packing import by_key, ranges
from ablate.study.records import RunResult

FEW = 24
"""So many runs are listed in plain sight; more are folded."""

_SIGNS = {"holds": "✓", "agrees": "✓", "done": "✓", "contradicted": "✗", "differs": "≠", "failed": "✗", "lost": "✗"}
_HEADS = {"value": "mean ±sd", "delta": "Δ [95%]", "total": "Δ total", "reported": "reported"}
PARTS = tuple(_HEADS)
"""The parts of a cell that have a column; its p is in the tooltip."""


def page(report: StudyReport) -> dict[str, Any]:
    """The template's values, all JSON-ready."""
    headings = [_factor_headings(table) for table in report.tables]
    tables, runs, answer = [labelled(table) for table in report.tables], report.runs, report.answer
    indexes = {run.run.run_id: place for place, run in enumerate(runs)}
    scales = list(dict.fromkeys((fmt.scale_line(table), _fair(table)) for table in tables))
    small = [
        replace(labelled(table, "short"), confusions=own)
        for table, own in zip(report.tables, matrices_once(tables), strict=True)
    ]
    slots = figures.colour_slots(small)
    views = [
        _table(table, drawn, place, slots, heads, indexes)
        for place, (table, drawn, heads) in enumerate(zip(tables, small, headings, strict=True), 1)
    ]
    shared = _said_by_all(views)
    for view in views:
        view["own_scale"] = len(scales) > 1
        view["notes"] = [note for note in view["notes"] if note not in shared]
    _add_cost(small, report.runs, slots, views)
    behind = drawer(tables, runs, report.again, report.logs)
    has_figures = any(view["figures"] or view["matrices"] for view in views)
    return {
        "title": fmt.plain(report.title),
        "about": fmt.plain(report.about),
        "answer": [_sentence(sentence, views) for sentence in answer],
        "lead": _lead(tables, views) if answer else None,
        "cite": _cite(report.cite),
        "scales": [{"text": text, "comparable": comparable} for text, comparable in scales] if len(scales) == 1 else [],
        "tables": views,
        "has_figures": has_figures,
        "notes": shared,
        "runs": len(runs),
        "runs_folded": len(runs) > FEW,
        "drawer": behind | {"runs": by_key(behind["runs"])},
    }


def _add_cost(
    tables: Sequence[Table], runs: Sequence[RunResult], slots: Mapping[str, int], views: Sequence[dict[str, Any]]
) -> None:
    """One figure of cost a page: at the table over arms that has the most of them."""
    over_arms = [place for place, table in enumerate(tables) if table.kind == "arms" and not table.column_factor]
    place = max(over_arms, key=lambda place: len(tables[place].rows), default=None)
    if place is None:
        return
    info, why_not = cost(tables[place], runs)
    if info:
        view = views[place]
        number = len(view["figures"]) + len(view["matrices"]) + 1  # one that none of them has
        view["figures"] += _figure(info, slots, place + 1, number)
    views[place]["notes"] += [why_not] if why_not else []


def _sentence(sentence: Sentence, views: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A sentence with the anchor of its table; the command at its end by itself."""
    text, _, command = fmt.plain(sentence.text).partition(" Command: ")
    link = next((view["id"] for view in views if view["name"] == fmt.plain(sentence.table)), "")
    return {"text": text, "command": command, "link": link, "decided": sentence.verdict == "decided"}


def _lead(tables: Sequence[Table], views: Sequence[dict[str, Any]]) -> Any:
    """The figure of the first table of effects, which stands before the tables and not below its own."""
    for table, view in zip(tables, views, strict=True):
        if table.kind == "effect" and view["figures"]:
            return view["figures"].pop(0)
    return None


def matrices_once(tables: Sequence[Table]) -> list[tuple[ConfusionTable, ...]]:
    """The confusion matrices that each table shows: one that several have is drawn once, in a class table if it can."""
    by_right = sorted(range(len(tables)), key=lambda place: tables[place].kind != "class")
    shown: list[tuple[ConfusionTable, ...]] = [()] * len(tables)
    seen: set[ConfusionTable] = set()
    for place in by_right:
        shown[place] = tuple(matrix for matrix in tables[place].confusions if matrix not in seen)
        seen.update(shown[place])
    return shown


def _cite(cite: Mapping[str, Any]) -> dict[str, Any]:
    rest = {fmt.plain(str(key)): fmt.plain(str(value)) for key, value in cite.items() if value is not None}
    title, source = rest.pop("title", ""), rest.pop("source", "")
    link = source if re.match(r"https?://", source) else ""
    return {"title": title, "source": source, "link": link, "rest": rest}


def _fair(table: Table) -> bool:
    """False where a reader might hold the numbers against a paper's, and should not."""
    return table.comparable or not table.has_paper


def _said_by_all(views: Sequence[Mapping[str, Any]]) -> list[str]:
    """The notes that every one of several tables has: they are told once, after the tables."""
    if len(views) < 2:
        return []
    first, *rest = (view["notes"] for view in views)
    return [note for note in first if all(note in notes for notes in rest)]


def _factor_headings(table: Table) -> list[str]:
    """The row factors that get a column each; none where a row is no combination of several factors' levels."""
    several = table.kind != "effect" and len(table.factors) > 1
    whole = several and all(factor in row.levels for row in table.rows for factor in table.factors)
    return [fmt.plain(Names(table).factor(factor)) for factor in table.factors] if whole else []


def _table(
    table: Table,
    drawn: Table,
    place: int,
    slots: Mapping[str, int],
    factors: Sequence[str],
    indexes: Mapping[str, int],
) -> dict[str, Any]:
    """A table's part of the page; `drawn` is the same with short labels, as its figures have them."""
    columns = [(column, parts_of(table, column, PARTS)) for column in table.columns]

    @cache
    def behind(run_ids: tuple[str, ...]) -> str:  # all effects of a column have the same
        return ranges(sorted(indexes[run] for run in run_ids if run in indexes))

    axes = {column.key: bars.axis(table, column) for column in table.columns}
    headings = fmt.row_headings(table)
    common_n = fmt.shared_n(table) or 0
    notes = [f"{fmt.MARK} {note}" for note in fmt.notes_of_cells(table)]
    views = [v for number, info in enumerate(figures.figures(drawn), 1) for v in _figure(info, slots, place, number)]
    if len(drawn.confusions) > figures.MOST_MATRICES:
        notes.append(
            f"Confusion matrices of the first {figures.MOST_MATRICES} of {len(drawn.confusions):,} arms; "
            "use `where`, or another table, to show others."
        )
    notes += filter(None, [fmt.difference_from_paper(table), *fmt.legend(table), *map(fmt.plain, table.notes)])
    return {
        "id": table_id(place, table.name),
        "name": fmt.plain(table.name),
        "caption": fmt.plain(table.caption),
        "scale": fmt.scale_line(table),
        "comparable": _fair(table),
        "stacked": sum("delta" in parts or "reported" in parts for _, parts in columns) > 1,
        "labels": [*factors, *headings[1:]] if factors else list(headings),
        "filters": len(factors),
        "groups": [{"text": fmt.heading(column), "span": len(parts)} for column, parts in columns],
        "heads": [_head(table, part) | {"first": not i} for _, parts in columns for i, part in enumerate(parts)],
        "rows": [_row(table, row, columns, common_n, factors, axes, behind if indexes else None) for row in table.rows],
        "claims": [
            {"chip": chip(claim.verdict), "text": fmt.plain(claim.text), "why": fmt.plain(claim.why)}
            for claim in table.claims
        ],
        "notes": notes,
        "figures": [view for view in views if not view["is_matrix"]],
        "matrices": [view for view in views if view["is_matrix"]],
        "opens_as_figure": table.kind == "epoch" and bool(table.curves),
        "arms_of_matrices": len(drawn.confusions),
    }


def _head(table: Table, part: str) -> dict[str, Any]:
    effect = table.kind == "effect" and part == "delta"
    return {"text": "effect [95%]" if effect else _HEADS[part], "part": part}


def _row(
    table: Table,
    row: Row,
    columns: Sequence[tuple[Column, Sequence[str]]],
    common_n: int,
    factors: Sequence[str],
    axes: Mapping[str, bars.Axis | None],
    places: Callable[[tuple[str, ...]], str] | None,
) -> dict[str, Any]:
    """`places` tells where runs stand in the drawer; None where the page has none."""
    cells: list[dict[str, Any]] = []
    for column, parts in columns:
        tip = "\n".join(figures.cell_lines(table, row, column, runs=places is None))
        behind = places(row.cell(column.key).run_ids) if places else ""
        for place, part in enumerate(parts):  # all of a column share the tip of the first
            first = {"tip": "" if place else tip, "runs": "" if place else behind, "first": not place}
            drawn = bars.bar(table, row.cell(column.key), axes[column.key]) if part == "delta" else None
            cells.append({"part": part, "bar": drawn, **first, **_cell(table, row, column, part, common_n)})
    labels = fmt.row_labels(table, row)
    if factors:
        labels = (*(fmt.plain(row.levels[factor]) for factor in factors), *labels[1:])
    return {"labels": labels, "cells": cells, "is_baseline": row.is_baseline}


def _cell(table: Table, row: Row, column: Column, part: str, common_n: int) -> dict[str, Any]:
    """`text`, the quieter `more` behind it, `strong` where decided, a `chip`, and the number to `sort` by."""
    cell = row.cell(column.key)
    view: dict[str, Any] = {"text": fmt.MISSING, "more": "", "strong": False, "chip": None, "sort": None}
    if part == "value":
        text, _, more = fmt.value(cell, column, common_n=common_n).partition(" ")
        return view | {"text": text, "more": more, "sort": _number(cell.mean)}
    if part == "delta":
        delta, bounds = fmt.estimate(table, cell)
        if row.is_baseline and not fmt.known(delta):
            return view | {"text": "", "more": "baseline"}
        more = fmt.interval(bounds, column, signed=True)
        return view | {
            "text": fmt.number(delta, column, signed=True), "more": more, "strong": cell.decided, "sort": _number(delta)
        }  # fmt: skip
    if part == "total":
        return view | {"text": fmt.number(cell.total, column, signed=True), "sort": _number(cell.total)}
    word = fmt.agreement(cell, table.comparable)
    width = fmt.number(cell.agreement_width, column) if fmt.known(cell.agreement_width) else ""
    return view | {
        "text": fmt.reported(cell, column),
        "chip": chip(word) if word else None,
        "more": f"width {width}" if width and word in ("agrees", "differs") else "",
        "sort": _number(cell.reported),
    }


def chip(word: str) -> dict[str, str]:
    """A word with its colour class and a sign, so that colour never says it alone."""
    return {"text": fmt.plain(word), "kind": slug(word), "sign": _SIGNS.get(word, "")}


def _figure(info: Info, slots: Mapping[str, int], table: int, number: int) -> list[dict[str, Any]]:
    views = []
    for part, (figure, (title, caption)) in enumerate(zip(drawing.draw(info, slots), captions(info), strict=True), 1):
        views.append(
            {
                **figure_view(figure, f"figure-{table}-{number}-{part}", title, caption, is_wide(info)),
                "is_matrix": isinstance(info, ConfusionInfo),
                "starts": isinstance(info, ConfusionInfo) and part == 1,
                "worst": _worst(info) if isinstance(info, ConfusionInfo) and part == 2 else [],
            }
        )
    if isinstance(info, ConfusionInfo):
        _share_counts(*views)
    return views


def _share_counts(counts: dict[str, Any], shares: dict[str, Any]) -> None:
    """Leave the shares of a matrix to the page's script, which has the counts: they are most of its bytes."""
    first, second = counts["drawn"]["data"][0], shares["drawn"]["data"][0]
    first["customdata"] = second["z"] = "shares"
    for name in ("x", "y", "customdata"):
        second.pop(name, None)
    shares["drawn"]["of"] = counts["id"]


def figure_view(figure: go.Figure, name: str, title: str, caption: str, wide: bool) -> dict[str, Any]:
    """A figure of a page, for the part of the templates that draws it."""
    drawn = json.loads(figure.to_json())
    drawn["layout"].pop("template", None)  # the page has one of its own for each mode
    height = drawn["layout"]["height"]
    return {"id": name, "title": title, "caption": caption, "height": height, "drawn": drawn, "wide": wide}


def _worst(info: ConfusionInfo) -> list[dict[str, str]]:
    """The most frequent mistakes in words, where a matrix has too many classes to be read."""
    if len(info.classes) <= drawing.WRITTEN:
        return []
    return [
        {"text": f"{pair.true} taken for {pair.predicted}", "share": f"{pair.share:.0%} ({pair.count})"}
        for pair in info.worst
    ]


def _number(value: float | None) -> float | None:
    return float(f"{value:.9g}") if value is not None and fmt.known(value) else None


def table_id(place: int, name: str) -> str:
    """The anchor of a page's table; `place` counts from 1."""
    return f"table-{place}-{slug(name)}".rstrip("-")


def slug(text: str) -> str:
    """Lower-case letters, digits and hyphens: all that an id or a class of ours is made of."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].rstrip("-")
