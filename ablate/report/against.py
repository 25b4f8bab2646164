"""A paper's figures against ours, where the two are comparable: how far a reproduction comes out, at one look."""

from __future__ import annotations

from ablate.analysis.table import Column, Table
from ablate.report import format as fmt
from ablate.report.infos import AgainstInfo, AgainstSeries

LEAST = 3
"""Pairs from which on there is more to see than in the table."""


def against(table: Table) -> AgainstInfo | None:
    """The figure of a table's columns that share a unit, a series each; None below three pairs, or where nothing is comparable."""
    if not table.comparable:
        return None
    columns = [column for column in table.columns if _pairs(table, column)]
    alike = [one for one in columns if (one.unit, one.percent) == (columns[0].unit, columns[0].percent)]
    series = tuple(_series(table, column) for column in alike)
    values = [value for one in series for value in (*one.paper, *one.ours)]
    if len(values) < 2 * LEAST:
        return None
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    suffix = f" ({fmt.unit(alike[0])})" if fmt.unit(alike[0]) else ""
    return AgainstInfo(f"measured against reported{suffix}", series, (low - room, high + room))


def _pairs(table: Table, column: Column) -> list[tuple[int, float, float, bool]]:
    """(row, the paper's figure, ours, whether they agree), as they are printed."""
    found = []
    for place, row in enumerate(table.rows):
        cell = row.cell(column.key)
        if cell.reported is not None and cell.mean is not None and fmt.known(cell.reported) and fmt.known(cell.mean):
            paper, ours = (float(f"{value * column.factor:.6g}") for value in (cell.reported, cell.mean))
            found.append((place, paper, ours, bool(cell.agrees)))
    return found


def _series(table: Table, column: Column) -> AgainstSeries:
    pairs = _pairs(table, column)
    rows = [table.rows[place] for place, *_ in pairs]
    return AgainstSeries(
        name=fmt.heading(column),
        paper=tuple(paper for _, paper, _, _ in pairs),
        ours=tuple(ours for _, _, ours, _ in pairs),
        agrees=tuple(agrees for *_, agrees in pairs),
        hover=tuple(
            f"{' '.join(fmt.row_labels(table, row))}, {fmt.heading(column)}\n{fmt.value(row.cell(column.key), column)}\n"
            f"reported {fmt.reported_and_agreement(row.cell(column.key), column, table.comparable)}"
            for row in rows
        ),
    )
