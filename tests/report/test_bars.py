"""Intervals in cells: one axis a column, which no single wide interval takes over; and figures of few rows out of many."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ablate.analysis.table import Row, Table
from ablate.report import bars, captions, figures


def test_a_column_has_one_axis_with_zero_in_it(table1: Table) -> None:
    column = table1.columns[0]
    axis = bars.axis(table1, column)
    assert axis is not None
    assert (axis.low, axis.high) == (pytest.approx(-0.016), pytest.approx(0.097))
    drawn = bars.bar(table1, table1.rows[1].cell(column.key), axis)
    assert drawn is not None
    assert drawn.low is not None
    assert drawn.zero < drawn.low < drawn.dot < (drawn.high or 0)
    assert bars.bar(table1, table1.rows[0].cell(column.key), axis) is None


def test_an_interval_many_times_as_wide_as_the_others_is_cut(effects: Table) -> None:
    column = effects.columns[0]
    wide = replace(effects.rows[2].cell("top1"), delta_ci95=(-9.0, 9.0))
    rows = (*effects.rows[:2], replace(effects.rows[2], cells={"top1": wide}), effects.rows[3])
    axis = bars.axis(replace(effects, rows=rows), column)
    assert axis is not None
    assert (axis.low, axis.high) == (pytest.approx(-0.004 - 3 * 0.011), pytest.approx(0.098 + 3 * 0.011))
    drawn = bars.bar(effects, wide, axis)
    assert drawn is not None
    assert (drawn.low, drawn.high) == (bars.EDGE, bars.WIDTH - bars.EDGE)


def test_of_many_rows_a_figure_has_the_baseline_the_best_and_the_worst(table1: Table) -> None:
    first = table1.rows[1]
    cells = [{"top1": replace(first.cell("top1"), mean=place / 100)} for place in range(80)]
    rows = [replace(first, name=f"t{place}", cells=own, is_baseline=place == 40) for place, own in enumerate(cells)]
    info = figures.bars(replace(table1, rows=tuple(rows)), table1.columns[0])
    shown = [float(mean or 0) for mean in info.mean]
    assert shown == sorted(shown)
    assert shown == pytest.approx([*(n / 100 for n in range(20)), 0.4, *(n / 100 for n in range(60, 80))])
    assert info.left_out == 39
    assert "39 rows more" in captions.captions(info)[0][1]


def test_of_many_effects_a_figure_has_the_main_ones_and_the_largest(effects: Table) -> None:
    main, pair = effects.rows[2].cells, effects.rows[3].cell("top1")
    rows = [Row(f"f{place}", None, {}, main) for place in range(10)]
    rows += [Row(f"a × b{place}", None, {}, {"top1": replace(pair, delta=place / 100)}) for place in range(70)]
    info = figures.effects(replace(effects, rows=tuple(rows)), effects.columns[0])
    assert info.labels == (*(f"f{n}" for n in range(10)), *(f"a × b{n}" for n in range(40, 70)))
    assert info.left_out == 40
