"""Curves: what is shared out among panels, what is seen at first, and that the drawing shows just that."""

from __future__ import annotations

import base64
import itertools
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ablate.analysis.table import Column, Curve, Row, Table
from ablate.report import drawing, figures, theme
from ablate.report.curves import curves
from ablate.report.curves_drawing import LINE_OF_TEXT, draw_curves
from ablate.report.infos import CurvesInfo
from ablate.report.packing import LEVELS
from ablate.report.plotly_text import shortened, spread

TOP1 = Column("top1", "top1", "higher", "fraction")


def factorial(
    factors: Mapping[str, Sequence[str]],
    *,
    metrics: Sequence[str] = ("top1", "train_top1"),
    baseline: str = "",
    end: Mapping[str, float] | None = None,
) -> Table:
    """All combinations of levels, each with curves of three epochs that end between 0.5 and 0.6."""
    levels: list[dict[str, str]] = [{}]
    for factor, values in factors.items():
        levels = [{**one, factor: value} for one in levels for value in values]
    names = {"/".join(one.values()): one for one in levels}
    rows = tuple(Row(name, name, one, {}, is_baseline=name == baseline) for name, one in names.items())
    made = []
    for place, arm in enumerate(names):
        last = (end or {}).get(arm, 0.5 + 0.1 * place / len(names))
        points = (last - 0.02, last - 0.01, last)
        low, high = tuple(point - 0.3 for point in points), tuple(point + 0.5 for point in points)
        made += [Curve(arm, metric, (1, 2, 3), points, low, high, 3) for metric in metrics]
    return Table("s", None, "t", "arms", "", (TOP1,), rows, curves=tuple(made))


def only(table: Table) -> CurvesInfo:
    (info,) = curves(table)
    return info


def shown(info: CurvesInfo) -> list[list[str]]:
    return [[info.lines[place].arm for place in panel.shown] for panel in info.panels]


def test_curves_of_one_metric_share_a_figure(epochs: Table) -> None:
    loss, top1 = figures.curves(epochs)
    assert (loss.title, top1.title) == ("loss by epoch", "top1 by epoch")
    assert [line.name for line in top1.lines] == [
        "resnet18, top1",
        "resnet18, train_top1",
        "resnet50, top1",
        "resnet50, train_top1",
    ]
    assert [line.split for line in top1.lines] == ["", "train", "", "train"]
    assert top1.lines[0].reported == ((1, 0.3311), (11, 0.7497), (21, 0.8123))
    assert top1.lines[0].low == pytest.approx((0.301, 0.72, 0.782))


def test_a_single_run_has_no_band() -> None:
    curve = Curve("A", "top1", (1, 2), (0.1, 0.2), (None, None), (None, None), 1)
    (info,) = figures.curves(Table("s", None, "t", "epoch", "", (), (), curves=(curve,)))
    assert (info.lines[0].low, info.lines[0].name) == ((), "top1")


def test_the_first_factor_makes_the_panels_and_each_has_the_baseline() -> None:
    info = only(factorial({"arch": "abc", "tweak": ["w", "x", "y"]}, metrics=["top1"], baseline="a/w"))
    assert [panel.title for panel in info.panels] == ["a", "b", "c"]
    assert [panel.baseline for panel in info.panels] == ["a/w"] * 3
    assert shown(info)[1] == ["a/w", "b/w", "b/x", "b/y"]
    assert info.panels[1].ends == ("baseline", "w", "x", "y")


def test_a_matched_baseline_is_its_own_panels() -> None:
    table = factorial({"arch": "ab", "tweak": ["w", "x"]}, metrics=["top1"])
    rows = tuple(replace(row, is_baseline=row.name.endswith("w")) for row in table.rows)
    table = replace(table, rows=rows, curves=table.curves * 1)
    more = factorial({"arch": "ab", "tweak": ["w", "x", "y", "z"]}, metrics=["top1"])
    more = replace(more, rows=tuple(replace(row, is_baseline=row.name.endswith("w")) for row in more.rows))
    assert [panel.baseline for panel in only(more).panels] == ["a/w", "b/w"]
    assert [set(arms) for arms in shown(only(table))] == [{"a/w", "a/x"}, {"b/w", "b/x"}]


@pytest.mark.parametrize(
    ("factors", "panels"),
    [
        ({"arch": "a", "tweak": "uvwxyz"}, 1),  # one level
        ({"arch": "abcdefghij", "tweak": "xy"}, 1),  # ten levels
        ({"arch": "abcdefghi", "tweak": "xy"}, 9),
        ({"tweak": "uvwx"}, 1),  # an arm each, and six lines are to be read
        ({"tweak": "uvwxyza"}, 7),
    ],
)
def test_panels_are_two_to_nine(factors: dict[str, str], panels: int) -> None:
    assert len(only(factorial(factors)).panels) == panels


def test_the_baselines_own_level_is_no_panel_of_its_own() -> None:
    info = only(factorial({"tweak": "uvwxyza"}, metrics=["top1"], baseline="u"))
    assert [panel.title for panel in info.panels] == list("vwxyza")


def test_a_panel_shows_six_lines_and_loses_none() -> None:
    info = only(factorial({"arch": "ab", "tweak": "rstuvwxyz"}, baseline="a/r"))
    for panel in info.panels:
        assert len(panel.shown) == 6
        own = {*panel.shown, *panel.second, *panel.others}
        arms = {info.lines[place].arm for place in own}
        assert len(own) == 18 + (1 if panel.title == "b" else 0)
        assert len(arms) == 9 + (1 if panel.title == "b" else 0)
    assert shown(info)[0] == ["a/r", "a/z", "a/y", "a/x", "a/t", "a/s"]  # baseline, best three, worst two
    assert info.second == "training"


@pytest.mark.parametrize(("better", "first"), [("higher", "z"), ("lower", "a")])
def test_best_is_by_the_metrics_direction(better: str, first: str) -> None:
    table = factorial({"tweak": "abcdefghijklz"}, metrics=["top1"])
    table = replace(table, columns=(replace(TOP1, better=better),))
    assert shown(only(table))[0][0] == first


def test_above_forty_arms_best_worst_and_baseline_are_shown() -> None:
    arms = [f"t{place:02}" for place in range(50)]
    info = only(factorial({"tweak": arms}, baseline="t07"))
    assert shown(info) == [["t07", "t49", "t00"]]
    assert info.packed
    assert len(info.panels[0].others) == 2 * 47


def test_training_lines_are_what_is_shown_where_they_alone_have_a_course() -> None:
    table = factorial({"tweak": "abcd"})
    short = tuple(
        c if c.metric.startswith("train") else replace(c, epochs=(3,), mean=c.mean[2:], low=c.low[2:], high=c.high[2:])
        for c in table.curves
    )
    info = only(replace(table, curves=short))
    assert {info.lines[place].split for place in info.panels[0].shown} == {"train"}
    assert info.second == "evaluation"


def test_the_axis_fits_the_means_and_no_share_leaves_its_range() -> None:
    info = only(factorial({"tweak": "abcd"}))
    assert info.limits == pytest.approx((0.48 - 0.05 * 0.095, 0.575 + 0.05 * 0.095))  # not the bands' -0.2 to 1.1
    high = only(factorial({"tweak": "ab"}, end={"a": 0.9999, "b": 0.9}))
    assert high.limits is not None
    assert high.limits[1] == 1.0
    assert (only(factorial({"tweak": "a"}, metrics=["top1"])).bands, info.bands) == (True, False)


def test_the_second_lines_bring_their_own_axis() -> None:
    table = factorial({"arch": "a", "tweak": "rstuvwxyz"})
    high = tuple(replace(c, mean=(0.9, 0.9, 0.95)) if c.metric == "train_top1" else c for c in table.curves)
    info = only(replace(table, curves=high))
    assert info.limits is not None
    assert info.wider is not None
    assert info.limits[1] < 0.7 < 0.95 < info.wider[1]
    on, off = buttons(draw_curves(info, {}))["training"][1], figure_button(info, "training").args2[1]
    assert on["yaxis.range"] == pytest.approx(info.wider)
    assert off["yaxis.range"] == pytest.approx(info.limits)
    assert "annotations[5].yshift" in on


def figure_button(info: CurvesInfo, name: str) -> Any:
    menus = draw_curves(info, {}).layout.updatemenus
    return next(button for menu in menus for button in menu.buttons if button.label == name)


def test_a_figure_shows_the_epochs_of_its_own_metric(epochs: Table) -> None:
    late = tuple(
        replace(c, epochs=tuple(epoch + 100 for epoch in c.epochs)) if "loss" in c.metric else c for c in epochs.curves
    )
    figure = draw_curves(curves(replace(epochs, curves=late))[1], {})
    assert figure.layout.xaxis.range[0] > 0
    assert figure.layout.xaxis.range[1] < 22


def test_labels_leave_out_what_all_lines_or_the_panel_say() -> None:
    one = only(factorial({"arch": "a", "tweak": "xyz"}, metrics=["top1"]))
    assert one.panels[0].ends == ("x", "y", "z")
    table = factorial({"tweak": "xyz"}, metrics=["top1"])
    same = replace(table, rows=tuple(replace(row, levels={"tweak": "x"}) for row in table.rows))
    assert only(same).panels[0].ends == ("x", "y", "z")  # arms, where levels do not tell them apart


def test_places_are_spread_and_stay_inside() -> None:
    placed = spread([50.0, 51.0, 52.0, 200.0, 209.0, 210.0, 0.0], 14, 210)
    ordered = sorted(placed)
    assert all(b - a >= 14 - 1e-9 for a, b in itertools.pairwise(ordered))
    assert (ordered[0], ordered[-1]) == (0.0, 210.0)
    assert placed[0] < placed[1] < placed[2]
    assert spread([10.0, 100.0], 14, 210) == [10.0, 100.0]


def drawn_labels(figure: Any, axis: str) -> list[float]:
    """Where the labels of a panel stand, in pixels."""
    layout = figure.layout[f"yaxis{axis[1:]}"]
    low, high = layout.range
    pixels = (layout.domain[1] - layout.domain[0]) * (
        figure.layout.height - figure.layout.margin.t - figure.layout.margin.b
    )
    labels = [note for note in figure.layout.annotations if note.yref == axis]
    return sorted((note.y - low) / (high - low) * pixels + note.yshift for note in labels)


def test_drawn_labels_do_not_overlap() -> None:
    info = only(factorial({"arch": "abc", "tweak": "rstuvwxyz"}, baseline="a/r"))
    figure = draw_curves(info, {})
    for axis in ("y", "y2", "y3"):
        places = drawn_labels(figure, axis)
        assert len(places) == 6
        assert min(b - a for a, b in itertools.pairwise(places)) >= LINE_OF_TEXT - 0.5


def test_the_baseline_is_grey_in_each_panel() -> None:
    info = only(factorial({"arch": "ab", "tweak": "wxyz"}, metrics=["top1"], baseline="a/w"))
    figure = draw_curves(info, {"a/w": 0, "b/w": 3})
    grey = [trace.yaxis for trace in figure.data if trace.mode != "lines" and trace.line.color == theme.LIGHT[0]]
    assert grey == ["y", "y2"]
    assert [note.text for note in figure.layout.annotations].count("baseline") == 2
    assert figure.layout.yaxis2.matches == "y"


def test_what_panels_share_looks_alike_in_all_of_them() -> None:
    info = only(factorial({"arch": "ab", "tweak": "wxyz"}, metrics=["top1"], baseline="a/w"))
    figure = draw_curves(info, {f"{arch}/{tweak}": 9 for arch in "ab" for tweak in "wxyz"})
    hues = [trace.line.color for trace in figure.data if (trace.name or "").startswith(("a/x", "b/x"))]
    assert len(set(hues)) == 1
    assert len({trace.line.color for trace in figure.data if trace.name and trace.yaxis == "y2"}) == 5


def buttons(figure: Any) -> dict[str, list[Any]]:
    return {button.label: list(button.args) for menu in figure.layout.updatemenus for button in menu.buttons}


def test_bands_training_and_other_arms_come_by_a_click() -> None:
    info = only(factorial({"tweak": [f"t{place}" for place in range(12)]}, baseline="t3"))
    figure = draw_curves(info, {})
    found = buttons(figure)
    assert list(found)[:3] == ["95% bands", "training", "other arms"]
    bands, training = found["95% bands"][2], found["training"][2]
    assert len(bands) == len(training) == 6
    assert all(figure.data[place].fill == "toself" and figure.data[place].visible is False for place in bands)
    assert {figure.data[place].line.dash for place in training} == {"dot"}
    assert {figure.data[place].name for place in found["t4"][1]} == {"t4, top1", "t4, train_top1"}
    seen = [trace for trace in figure.data if trace.visible is None]
    assert len(seen) == 6
    assert figure.layout.updatemenus[0].buttons[0].args2 == ({"visible": False}, {}, bands)


def test_packed_arms_are_data_of_the_picker_and_no_traces() -> None:
    arms = [f"t{place:03}" for place in range(200)]
    info = only(factorial({"tweak": arms}, baseline="t007"))
    figure = draw_curves(info, {})
    assert len(figure.data) <= 12
    picker = figure.layout.meta["picker"]
    told = {arm: (first, lines) for arm, first, lines in picker["arms"]}
    first, lines = told["t100"]
    assert [line[0] for line in lines] == ["top1", "train_top1"]
    assert [figure.data[place].x for place in (first, first + 1)] == [(), ()]
    assert picker["traces"] == [first, first + 1]
    _, _, n, place, low, high, packed = lines[0]
    codes = struct.unpack("<6H", base64.b64decode(packed))
    own = next(line for line in info.lines if line.name == "t100, top1")
    read = [low + (high - low) * code / LEVELS for code in codes]
    assert read == pytest.approx([*own.mean, *own.high], abs=1e-4)
    assert (n, picker["epochs"][place]) == (3, (1, 2, 3))
    assert len(told) == 197
    assert len(figure.to_json()) < 200 * 200


def test_on_a_narrow_page_panels_stand_below_each_other() -> None:
    figure = draw_curves(only(factorial({"arch": "abc", "tweak": "wx"})), {})
    narrow = figure.layout.meta["narrow"]
    assert figure.layout.xaxis2.domain[0] > figure.layout.xaxis.domain[1]
    assert narrow["xaxis2.domain"] == [0, 1]
    assert narrow["yaxis2.domain"][1] < narrow["yaxis.domain"][0]
    assert narrow["yaxis2.showticklabels"] is True
    assert narrow["height"] > figure.layout.height


def test_drawn_curves_have_band_line_and_diamonds(epochs: Table) -> None:
    info = figures.figures(epochs)[1]
    assert isinstance(info, CurvesInfo)
    (figure,) = drawing.draw(info, figures.colour_slots([epochs]))
    modes = [(trace.mode, trace.line.dash) for trace in figure.data[:3]]
    assert modes == [("lines", None), ("lines+markers", "solid"), ("markers", None)]
    assert {trace.line.dash for trace in figure.data if trace.mode == "lines+markers"} == {"solid", "dot"}
    assert not figure.layout.showlegend


def test_an_epoch_that_exploded_leaves_the_others_to_be_seen() -> None:
    """One loss of a thousand beside others of four: the axis is logarithmic, and no band reaches below it."""

    def drawn(first: float) -> Any:
        curve = Curve("A", "loss", (1, 2, 3), (first, 4.0, 3.5), (-900.0, 3.0, 3.0), (2000.0, 5.0, 4.0), 3)
        return draw_curves(only(Table("s", None, "t", "epoch", "", (), (), curves=(curve,))), {"A": 1})

    wide, narrow = drawn(1000.0), drawn(5.0)
    assert wide.layout.yaxis.type == "log"
    assert wide.layout.yaxis.title.text == "loss (log)"
    assert min(wide.data[0].y) == 1.75
    assert narrow.layout.yaxis.type is None
    assert narrow.layout.yaxis.range == pytest.approx((3.425, 5.075))


def test_names_are_no_placeholders_of_a_hover(hostile: Table) -> None:
    (figure,) = (draw_curves(info, {}) for info in curves(hostile))
    for trace in json.loads(figure.to_json())["data"]:
        assert "[red]" not in trace.get("hovertemplate", "")


def test_long_names_keep_their_ends_apart() -> None:
    names = ["batch+warmup+gamma+bias", "batch+warmup+gamma+bias+fp16", "batch+warmup+gamma"]
    short = [shortened(name, 18) for name in names]
    assert len(set(short)) == 3
    assert all(len(name) <= 18 for name in short)
