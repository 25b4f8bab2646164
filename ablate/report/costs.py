"""What an arm costs against what it brings: the seconds of a run and the headline metric."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ablate.analysis.table import Row, Table
from ablate.report import format as fmt
from ablate.report.infos import CostInfo
from ablate.study.records import RunResult

LEAST = 3
"""Arms from which on there is anything to choose between."""


def cost(table: Table, runs: Sequence[RunResult]) -> tuple[CostInfo | None, str]:
    """The figure, or None and why there is none: seconds on two types of device are not the same seconds.

    Both are empty where there is nothing to hold against each other.
    """
    found = {run.run.run_id: run for run in runs if run.seconds is not None and run.device}
    column = table.columns[0] if table.columns else None
    if table.kind != "arms" or column is None or table.column_factor or column.better not in ("higher", "lower"):
        return None, ""
    points: list[tuple[Row, float, float, list[RunResult]]] = []
    for row in table.rows:
        cell = row.cell(column.key)
        behind = [found[run_id] for run_id in cell.run_ids if run_id in found]
        seconds = [run.seconds for run in behind if run.seconds is not None]
        if seconds and len(seconds) == len(cell.run_ids) and cell.mean is not None and fmt.known(cell.mean):
            points.append((row, statistics.fmean(seconds), cell.mean * column.factor, behind))
    if len(points) < LEAST:
        return None, ""
    devices = sorted({fmt.plain(run.device or "") for *_, behind in points for run in behind})
    if len(devices) > 1:
        return None, f"Cost against {fmt.heading(column)} is not drawn: its runs ran on {' and '.join(devices)}."
    values = [(seconds, value if column.better == "higher" else -value) for _, seconds, value, _ in points]
    labels = [" ".join(fmt.row_labels(table, row)) for row, *_ in points]
    heading = fmt.heading(column)
    return CostInfo(
        title=f"{heading} against the seconds of a run",
        axis=heading,
        device=devices[0],
        labels=tuple(labels),
        arms=tuple(row.name if row.arm is None else row.arm for row, *_ in points),
        seconds=tuple(float(f"{seconds:.6g}") for _, seconds, *_ in points),
        value=tuple(float(f"{value:.6g}") for *_, value, _ in points),
        hover=tuple(
            f"{label}\n{heading} {fmt.value(row.cell(column.key), column)}\n{fmt.duration(seconds)} a run, n={len(behind)}"
            for label, (row, seconds, _, behind) in zip(labels, points, strict=True)
        ),
        front=front(values),
        limits=_about([value for *_, value, _ in points]),
    ), ""


def _about(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """The places of the points (cost, gain) that no other beats in both, the cheapest first."""
    kept: list[int] = []
    for place in sorted(range(len(points)), key=lambda place: (points[place][0], -points[place][1])):
        if not kept or points[place][1] > points[kept[-1]][1]:
            kept.append(place)
    return tuple(kept)
