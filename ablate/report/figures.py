"""What figures show, as numbers: a `Table` in, one info a figure out. `ablate.report.drawing` draws them.

Infos hold values as they are printed (percent columns times 100, bytes as MB), so that an axis reads like the table.
Nothing here imports Plotly.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ablate.analysis.table import Column, ConfusionTable, Interval, Row, Table
from ablate.report import format as fmt
from ablate.report.against import against
from ablate.report.curves import curves
from ablate.report.infos import BarsInfo, Confused, ConfusionInfo, EffectsInfo, GroupsInfo, Info

NARROW = 0.25
"""Below this share of the axis that the values span, bars from zero would all look alike."""

MOST_LINES = 6
"""Levels of the shorter factor up to which two factors have a figure of their interaction."""

MOST_MATRICES = 64
"""Confusion matrices that a table's page draws: a thousand arms would take it minutes and no browser could show them."""

MOST_ROWS, SEEN_ROWS = 60, 40
"""A figure of more rows than the first would be taller than a screen twice over; so many of them it shows then."""

MOST_NAMED = 6
"""Runs that a tooltip names; an effect stands on all of a grid."""


def figures(table: Table) -> tuple[Info, ...]:
    """The figures of a table: what its kind asks for, then curves and confusion matrices where it has them."""
    found: list[Info] = []
    if table.kind == "effect":
        found += [effects(table, column) for column in table.columns]
        found += [info for column in table.columns for info in interaction(table, column)]
    elif table.kind == "class":
        shares = [column for column in table.columns if column.unit == "fraction"]
        found += [bars(table, column) for column in [c for c in shares if c.key == "f1"] or shares[:1]]
    elif table.kind == "arms":
        found += [groups(table)] if _has_factor_columns(table) else [bars(table, column) for column in table.columns]
    found = [info for info in found if _has_numbers(info)]
    pairs = filter(None, [against(table)])
    return (*found, *curves(table), *pairs, *(confusion(matrix) for matrix in table.confusions[:MOST_MATRICES]))


def bars(table: Table, column: Column) -> BarsInfo:
    """One metric of every row; of more than `MOST_ROWS` the baselines, the best and the worst."""
    rows = _best_and_worst(table, column)
    info = _bars(
        table,
        f"{fmt.heading(column)} by {' and '.join(fmt.row_headings(table))}",
        fmt.heading(column),
        [(row, column, " ".join(fmt.row_labels(table, row)), colour_key(row)) for row in rows],
    )
    return replace(info, left_out=len(table.rows) - len(rows))


def _best_and_worst(table: Table, column: Column) -> Sequence[Row]:
    """The rows that a figure has room for, in the table's order."""
    if len(table.rows) <= MOST_ROWS:
        return table.rows
    means = {place: row.cell(column.key).mean for place, row in enumerate(table.rows)}
    ranked = sorted((mean, place) for place, mean in means.items() if mean is not None and fmt.known(mean))
    bases = [place for place, row in enumerate(table.rows) if row.is_baseline][:SEEN_ROWS]
    half = SEEN_ROWS // 2
    ends = [place for _, place in (*ranked[:half], *ranked[half:][-half:])]
    return [table.rows[place] for place in sorted({*bases, *ends})]


def groups(table: Table) -> GroupsInfo:
    """A table whose columns are a factor's levels: every row is a series."""
    metric = table.columns[0]
    axis = f"{fmt.plain(metric.metric)} ({fmt.unit(metric)})" if fmt.unit(metric) else fmt.plain(metric.metric)
    levels = tuple(fmt.plain(column.key) for column in table.columns)
    series = tuple(
        _bars(
            table,
            fmt.plain(row.name),
            axis,
            [(row, column, fmt.plain(column.key), row.name) for column in table.columns],
        )
        for row in table.rows
    )
    return GroupsInfo(f"{axis} by column and {fmt.row_headings(table)[0]}", axis, levels, series)


def interaction(table: Table, column: Column) -> tuple[GroupsInfo, ...]:
    """The arms of a table of effects over the longer of its two factors, a line for each level of the other."""
    levels: dict[str, list[str]] = {}
    for row in table.behind:
        for factor, level in row.levels.items():
            levels.setdefault(factor, []).append(level)
    varied = {factor: list(dict.fromkeys(found)) for factor, found in levels.items() if len(set(found)) > 1}
    if len(varied) != 2:
        return ()
    (line, lines), (across, ats) = sorted(varied.items(), key=lambda one: len(one[1]))
    if len(lines) > MOST_LINES:
        return ()
    at_both = {(row.levels[line], row.levels[across]): row for row in table.behind}
    blank = Row("", None, {}, {})
    series = tuple(
        _bars(
            table,
            fmt.plain(level),
            fmt.heading(column),
            [(at_both.get((level, at), blank), column, fmt.plain(at), f"{line}={level}") for at in ats],
        )
        for level in lines
    )
    title = f"{fmt.heading(column)} by {fmt.plain(across)} and {fmt.plain(line)}"
    return (GroupsInfo(title, fmt.heading(column), tuple(map(fmt.plain, ats)), series, fmt.plain(across), joined=True),)


def _bars(table: Table, title: str, axis: str, points: Sequence[tuple[Row, Column, str, str]]) -> BarsInfo:
    cells = [(row.cell(column.key), column) for row, column, _, _ in points]
    mean = tuple(_scaled(cell.mean, column) for cell, column in cells)
    bounds = [_bounds(cell.ci95, column) for cell, column in cells]
    reported = tuple(_scaled(cell.reported, column) for cell, column in cells)
    baselines = [value for (row, *_), value in zip(points, mean, strict=True) if row.is_baseline and value is not None]
    values = [v for v in (*mean, *reported, *(b for pair in bounds for b in pair)) if v is not None]
    return BarsInfo(
        title=title,
        axis=axis,
        labels=tuple(label for _, _, label, _ in points),
        arms=tuple(arm for _, _, _, arm in points),
        mean=mean,
        low=tuple(low for low, _ in bounds),
        high=tuple(high for _, high in bounds),
        reported=reported,
        hover=tuple("\n".join(cell_lines(table, row, column)) for row, column, _, _ in points),
        notes=tuple(
            fmt.plain(cell.note) if value is None else "" for (cell, _), value in zip(cells, mean, strict=True)
        ),
        baseline=baselines[0] if len(baselines) == 1 else None,
        singles=tuple(
            tuple(value for one in cell.values if (value := _scaled(one, column)) is not None) for cell, column in cells
        ),
        from_zero=not values or min(values) < 0 or max(values) - min(values) >= NARROW * max(values),
    )


def _largest_effects(table: Table, column: Column) -> Sequence[Row]:
    """The effects that a figure has room for: main ones first, then the largest, in the table's order."""
    if len(table.rows) <= MOST_ROWS:
        return table.rows

    def rank(place: int) -> tuple[bool, float]:
        row = table.rows[place]
        size, _ = fmt.estimate(table, row.cell(column.key))
        return " × " in row.name, -abs(size) if size is not None and fmt.known(size) else 0.0

    return [table.rows[place] for place in sorted(sorted(range(len(table.rows)), key=rank)[:SEEN_ROWS])]


def effects(table: Table, column: Column) -> EffectsInfo:
    """The effects of one metric; of more than `MOST_ROWS` the main ones and the largest."""
    rows = _largest_effects(table, column)
    cells = [row.cell(column.key) for row in rows]
    estimates = [fmt.estimate(table, cell) for cell in cells]
    bounds = [_bounds(interval, column) for _, interval in estimates]
    return EffectsInfo(
        title=f"effect on {fmt.heading(column)}",
        labels=tuple(fmt.plain(row.name) for row in rows),
        effect=tuple(_scaled(value, column) for value, _ in estimates),
        low=tuple(low for low, _ in bounds),
        high=tuple(high for _, high in bounds),
        decided=tuple(cell.decided for cell in cells),
        hover=tuple("\n".join(cell_lines(table, row, column)) for row in rows),
        left_out=len(table.rows) - len(rows),
    )


def confusion(matrix: ConfusionTable, worst: int = 10) -> ConfusionInfo:
    """Counts, row-normalised shares, and the `worst` mistakes by share of the true class."""
    classes = tuple(fmt.plain(name) for name in matrix.classes)
    totals = [sum(row) for row in matrix.counts]
    shares = tuple(
        tuple(count / total if total else None for count in row)
        for row, total in zip(matrix.counts, totals, strict=True)
    )
    mistakes = (
        (-count / totals[true], -count, true, predicted)
        for true, row in enumerate(matrix.counts)
        for predicted, count in enumerate(row)
        if count and true != predicted
    )
    first = heapq.nsmallest(worst, mistakes)
    return ConfusionInfo(
        title=f"{fmt.plain(matrix.arm)}, {fmt.plain(matrix.split)}",
        arm=matrix.arm,
        n=matrix.n,
        classes=classes,
        counts=matrix.counts,
        shares=shares,
        worst=tuple(
            Confused(classes[true], classes[predicted], -count, -share) for share, count, true, predicted in first
        ),
    )


def cell_lines(table: Table, row: Row, column: Column, *, runs: bool = True) -> list[str]:
    """All that is known of a cell, a line each, for a tooltip: numbers, intervals, n, power, the paper and, if asked for, runs."""
    cell = row.cell(column.key)
    lines = [f"{' '.join(fmt.row_labels(table, row))}, {fmt.heading(column)}", fmt.value(cell, column)]
    if cell.ci95 and fmt.interval(cell.ci95, column):
        lines.append(f"95% interval {fmt.interval(cell.ci95, column)}")
    delta, bounds = fmt.estimate(table, cell)
    if fmt.known(delta):
        p = fmt.p_and_verdict(cell)
        lines.append(f"{'effect' if table.kind == 'effect' else 'Δ'} {fmt.difference(delta, bounds, column)}, {p}")
    if fmt.known(cell.total):
        lines.append(f"total {fmt.number(cell.total, column, signed=True)}")
    if fmt.known(cell.detectable):
        lines.append(f"smallest difference that this n shows (80% power): {fmt.number(cell.detectable, column)}")
    if fmt.known(cell.reported):
        lines.append(f"reported {fmt.reported_and_agreement(cell, column, table.comparable)}")
    if runs and cell.run_ids:
        named = ", ".join(fmt.plain(run_id)[:12] for run_id in cell.run_ids[:MOST_NAMED])
        more = len(cell.run_ids) - MOST_NAMED
        lines.append(f"runs {named} and {more:,} more" if more > 0 else f"runs {named}")
    if table.kind == "effect" and not fmt.known(cell.mean):
        del lines[1]
    return lines


def colour_key(row: Row) -> str:
    """What a row is coloured by: its arm, so that an arm looks the same in each figure."""
    return row.name if row.arm is None else row.arm


def colour_slots(tables: Iterable[Table]) -> Mapping[str, int]:
    """A slot for each arm, the same in all figures of a report: 0 for the first baseline, then as they come."""
    tables = list(tables)
    first = [colour_key(row) for table in tables for row in table.rows if row.is_baseline][:1]
    keys = [*first]
    for table in tables:
        keys += [colour_key(row) for row in table.rows if table.kind != "effect"]
        keys += [curve.arm for curve in table.curves]
    start = 0 if first else 1
    return {key: place for place, key in enumerate(dict.fromkeys(keys), start)}


def _has_factor_columns(table: Table) -> bool:
    return (
        len(table.columns) > 1
        and len({c.metric for c in table.columns}) == 1
        and table.columns[0].metric != table.columns[0].key
    )


def _has_numbers(info: Info) -> bool:
    if isinstance(info, BarsInfo):
        return any(value is not None for value in (*info.mean, *info.reported))
    if isinstance(info, GroupsInfo):
        return any(map(_has_numbers, info.series))
    return not isinstance(info, EffectsInfo) or any(value is not None for value in info.effect)


def _scaled(value: float | None, column: Column) -> float | None:
    # rounded, because 0.7497 * 100 is 74.97000000000001 and a hover would say so
    return round(float(value) * column.factor, 12) if value is not None and fmt.known(value) else None


def _bounds(interval: Interval | None, column: Column) -> tuple[float | None, float | None]:
    if interval is None or not all(map(fmt.known, interval)):
        return (None, None)
    return (_scaled(interval[0], column), _scaled(interval[1], column))
