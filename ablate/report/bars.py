"""Intervals drawn in cells: small inline SVGs of one column on a common axis with a zero line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ablate.analysis.table import Cell, Column, Table
from ablate.report import format as fmt

WIDTH, HEIGHT, EDGE = 96, 14, 5
"""Pixels of a cell's drawing; `EDGE` is left free at both ends."""


@dataclass(frozen=True)
class Axis:
    """The least and the greatest number of a column's differences and intervals, zero among them."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """The place of a value in pixels from the left."""
        share = (value - self.low) / (self.high - self.low)
        return round(EDGE + share * (WIDTH - 2 * EDGE), 1)


@dataclass(frozen=True)
class Bar:
    """What is drawn of a cell, in pixels: zero, the estimate, and its interval where it has one."""

    zero: float
    dot: float
    low: float | None
    high: float | None
    decided: bool
    said: str


def axis(table: Table, column: Column) -> Axis | None:
    """The axis of a column; None where no cell has a difference, or all are zero."""
    values = [0.0, *(value for row in table.rows for value in _values(table, row.cell(column.key)))]
    return Axis(min(values), max(values)) if min(values) < max(values) else None


def bar(table: Table, cell: Cell, axis: Axis | None) -> Bar | None:
    """The drawing of a cell; None where it has no difference."""
    delta, bounds = fmt.estimate(table, cell)
    if axis is None or delta is None or not fmt.known(delta):
        return None
    low, high = (axis.at(end) for end in bounds) if bounds and all(map(fmt.known, bounds)) else (None, None)
    return Bar(axis.at(0.0), axis.at(delta), low, high, cell.decided, "decided" if cell.decided else "undecided")


def _values(table: Table, cell: Cell) -> Iterator[float]:
    delta, bounds = fmt.estimate(table, cell)
    yield from (value for value in (delta, *(bounds or ())) if value is not None and fmt.known(value))
