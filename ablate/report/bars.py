"""Intervals drawn in cells: small inline SVGs of one column on a common axis with a zero line."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from ablate.analysis.table import Cell, Column, Table
from ablate.report import format as fmt

WIDTH, EDGE = 96, 5
"""Pixels of a cell's drawing; `EDGE` is left free at both ends."""
WIDER = 3
"""Half-widths of the middle interval that the axis reaches beyond the outermost estimates."""


@dataclass(frozen=True)
class Axis:
    """The least and the greatest number of a column's differences and intervals, zero among them."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """The place of a value in pixels from the left."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(EDGE + share * (WIDTH - 2 * EDGE), 1)


@dataclass(frozen=True)
class Bar:
    """What is drawn of a cell, in pixels: zero, the estimate, and its interval where it has one."""

    zero: float
    dot: float
    low: float | None
    high: float | None
    decided: bool


def axis(table: Table, column: Column) -> Axis | None:
    """The axis of a column; None where no cell has a difference, or all are zero.

    It holds zero, every estimate and every interval that is not many times as wide as the others, which is cut at the edge: one
    arm that spreads would leave all others dots.
    """
    known = [fmt.estimate(table, row.cell(column.key)) for row in table.rows]
    dots = [0.0, *(delta for delta, _ in known if delta is not None and fmt.known(delta))]
    ends = [bounds for delta, bounds in known if fmt.known(delta) and bounds and all(map(fmt.known, bounds))]
    room = WIDER * statistics.median([(high - low) / 2 for low, high in ends]) if ends else 0.0
    low = max(min(dots) - room, min([*dots, *(low for low, _ in ends)]))
    high = min(max(dots) + room, max([*dots, *(high for _, high in ends)]))
    return Axis(low, high) if low < high else None


def bar(table: Table, cell: Cell, axis: Axis | None) -> Bar | None:
    """The drawing of a cell; None where it has no difference."""
    delta, bounds = fmt.estimate(table, cell)
    if axis is None or delta is None or not fmt.known(delta):
        return None
    low, high = (axis.at(end) for end in bounds) if bounds and all(map(fmt.known, bounds)) else (None, None)
    return Bar(axis.at(0.0), axis.at(delta), low, high, cell.decided)
