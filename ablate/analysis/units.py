"""A paper's percentages beside numbers that are no fractions: told, and held against nothing."""

from __future__ import annotations

import statistics
from dataclasses import replace

from ablate.analysis.table import Cell, Column, Row, Table

_SHARE = 2.0  # no share of a whole is larger, and few changes are
_TIMES = 10.0  # between 1, the same unit, and 100, percent beside fractions


def checked(table: Table) -> Table:
    """The table; where a metric is measured in another unit than it is reported in, without verdicts.

    Such a column is printed as it was measured, its figures as the paper has them, and a note says what to declare.
    """
    wrong = {column.key: said for column in table.columns if (said := _mismatch(column, table.rows))}
    if not wrong:
        return table
    return replace(
        table,
        columns=tuple(replace(c, percent=False, decimals=0, unit="") if c.key in wrong else c for c in table.columns),
        rows=tuple(
            replace(row, cells={key: _unjudged(cell) if key in wrong else cell for key, cell in row.cells.items()})
            for row in table.rows
        ),
        mean_absolute_difference={k: v for k, v in table.mean_absolute_difference.items() if k not in wrong},
        notes=(*table.notes, *wrong.values()),
    )


def _mismatch(column: Column, rows: tuple[Row, ...]) -> str:
    if column.unit not in ("", "fraction"):
        return ""
    pairs = []
    for row in rows:
        cell = row.cell(column.key)
        measured = cell.mean if cell.mean is not None else cell.delta
        if measured is not None:
            pairs.append((abs(measured), None if cell.reported is None else abs(cell.reported)))
    ratios = [measured / reported for measured, reported in pairs if reported]
    if not ratios:
        return ""
    ratio, largest = statistics.median(ratios), max(measured for measured, _ in pairs)
    # a metric of ours has our unit by its name alone: a script may print it in percent all the same
    whole = largest > _SHARE or (ratio > _TIMES and not column.unit)
    if whole and (column.percent or column.unit):
        said = f"{column.metric} is reported as a fraction or in percent, and what was measured is neither (up to {largest:g})"
        return f"Unit mismatch: {said}; nothing is compared. Declare its unit, `unit: percent`, under metrics."
    figures = max(reported for _, reported in pairs if reported)
    if (
        (column.better == "higher" or column.unit == "fraction")
        and not column.percent
        and largest <= 1 < figures <= 100
        and ratio < 1 / _TIMES
    ):
        said = f"{column.metric} was measured as a fraction (up to {largest:g}) and is reported as up to {figures:g}"
        return (
            f"Unit mismatch: {said}; nothing is compared. Write the paper's percentages with their sign, as in 93.8%."
        )
    return ""


def _unjudged(cell: Cell) -> Cell:
    return replace(cell, agrees=None, agreement_width=None)
