"""The paper's figures against ours: only where they are comparable, and only where there are some."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ablate.analysis.table import Table
from ablate.report import captions, drawing, figures
from ablate.report.against import against
from ablate.report.infos import AgainstInfo


def test_each_pair_is_a_dot_with_its_arm(table1: Table) -> None:
    info = against(table1)
    assert info is not None
    top1, top5 = info.series
    assert (top1.name, top1.paper, top1.ours) == ("top1", (0.66, 0.79, 0.63), (0.671, 0.742, 0.655))
    assert top1.agrees == (True, True, True)
    assert top5.agrees == (True, False, False)
    assert top5.hover[1] == "B, top5\n0.921 ±0.005 (sd, n=3)\nreported 0.95 differs (width 0.119)"
    assert info.limits[0] < 0.63 < 0.95 < info.limits[1]


def test_percent_columns_are_drawn_in_percent(table3: Table) -> None:
    info = against(replace(table3, comparable=True))
    assert info is not None
    assert info.title == "measured against reported (%)"
    assert info.series[0].paper[0] == pytest.approx(79.0)


def test_columns_of_another_unit_stay_out(table1: Table) -> None:
    loss = replace(table1.columns[1], better="lower", unit="nats")
    info = against(replace(table1, columns=(table1.columns[0], loss)))
    assert info is not None
    assert [one.name for one in info.series] == ["top1"]


def test_without_comparable_figures_there_is_none(table1: Table, table3: Table, single: Table) -> None:
    assert against(replace(table1, comparable=False)) is against(table3) is against(single) is None
    two = replace(table1, rows=table1.rows[:2], columns=table1.columns[:1])
    assert against(two) is None


def test_the_figure_has_one_scale_for_both_axes_and_a_diagonal(table1: Table) -> None:
    info = next(one for one in figures.figures(table1) if isinstance(one, AgainstInfo))
    (figure,) = drawing.draw(info, {})
    diagonal, top1, top5 = figure.data
    assert tuple(diagonal.x) == tuple(diagonal.y) == figure.layout.xaxis.range == figure.layout.yaxis.range
    assert (top1.x, top1.y) == ((0.66, 0.79, 0.63), (0.671, 0.742, 0.655))
    assert top5.marker.symbol == ("square", "square-open", "square-open")
    assert captions.captions(info)[0][0] == "measured against reported"
