"""How many decimals a column needs: never fewer than the paper's, nor than its smallest spread takes to be seen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ablate.analysis.table import Cell, Column, Row
from ablate.study.values.digits import places
from ablate.study.values.labels import Labels

_USUAL = {"fraction": 3, "nats": 3, "s": 1, "1/s": 0, "bytes": 0}
_COUNTS = ("support", "epochs_trained", "selected_epoch")
_NOISE = 1e-12  # of the mean: a spread below it is what adding in another order leaves


def fit(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[Column, ...]:
    """The columns with decimals enough for their cells; those that a column has already are the least.

    Two digits of the smallest sd that is not zero (of effects: of the half of the narrowest interval); where there is
    none, three of the largest number. Fewer than none leaves digits before the point open, too.
    """
    return tuple(
        replace(column, decimals=_decimals(column, [row.cell(column.key) for row in rows])) for column in columns
    )


def labelled(columns: Sequence[Column], labels: Labels) -> tuple[Column, ...]:
    """The columns with the decimals that their labels ask for."""
    asked = {key: label.digits for key, label in labels.entries.items() if label.digits is not None}
    return tuple(replace(column, decimals=asked.get(column.metric, column.decimals)) for column in columns)


def _decimals(column: Column, cells: Sequence[Cell]) -> int:
    def printed(values: Iterable[float | None]) -> list[float]:
        known = (abs(value) * column.factor for value in values if value is not None and math.isfinite(value))
        return [value for value in known if value]

    numbers = printed(cell.mean for cell in cells) or printed(cell.delta for cell in cells)
    spreads = printed(cell.sd for cell in cells if not _is_noise(cell)) or printed(
        (cell.delta_ci95[1] - cell.delta_ci95[0]) / 2 for cell in cells if cell.mean is None and cell.delta_ci95
    )
    wanted = [_usual(column, numbers)]
    wanted += [column.decimals] if column.decimals else []
    if spreads:
        wanted.append(places(min(spreads), 2))
    elif numbers and not _whole(numbers):
        wanted.append(places(max(numbers), 3))
    return max(wanted)


def _usual(column: Column, printed: Sequence[float]) -> int:
    """Decimals where nothing asks for more. Of a metric without a unit: four digits, and none of whole numbers."""
    if column.percent:
        return 2
    if column.metric in _COUNTS:
        return 0
    if column.unit in _USUAL:
        return _USUAL[column.unit]
    if not printed:
        return 3
    largest = max(printed)
    return 0 if 1 < largest < 1e9 and _whole(printed) else min(3, places(largest, 4))


def _whole(values: Iterable[float]) -> bool:
    return all(value == round(value) for value in values)


def _is_noise(cell: Cell) -> bool:
    return cell.sd is not None and cell.mean is not None and cell.sd <= _NOISE * abs(cell.mean)
