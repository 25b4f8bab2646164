"""Numbers before drawing: what each figure shows, then that the drawing shows just that."""

from __future__ import annotations

import itertools
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ablate.analysis.table import Cell, ConfusionTable, Row, Table
from ablate.report import drawing, figures, theme
from ablate.report.infos import BarsInfo, ConfusionInfo, EffectsInfo, GroupsInfo


def kinds(table: Table) -> list[str]:
    return [type(info).__name__ for info in figures.figures(table)]


def test_each_kind_of_table_has_its_figures(
    table1: Table, epochs: Table, classes: Table, effects: Table, ranks: Table, empty: Table
) -> None:
    assert kinds(table1) == ["BarsInfo", "BarsInfo", "AgainstInfo"]
    assert kinds(epochs) == ["CurvesInfo", "CurvesInfo", "AgainstInfo"]
    assert kinds(classes) == ["BarsInfo", "AgainstInfo", "ConfusionInfo"]
    assert kinds(effects) == ["EffectsInfo"]
    assert kinds(ranks) == ["GroupsInfo"]
    assert kinds(empty) == []


def test_bars_hold_means_intervals_and_the_papers_figures(table1: Table) -> None:
    info = figures.bars(table1, table1.columns[0])
    assert (info.title, info.axis, info.labels) == ("top1 by tweak", "top1", ("A", "B", "C", "D"))
    assert info.mean == (0.671, 0.742, 0.655, None)
    assert info.low[:2] == pytest.approx((0.671 - 2.484 * 0.012, 0.742 - 2.484 * 0.009))
    assert info.high[3] is None
    assert info.reported == (0.66, 0.79, 0.63, 0.63)
    assert info.notes == ("", "", "", "not run: no weights")
    assert info.baseline == 0.671
    assert "Δ +0.071 [+0.045, +0.097], p<.001" in info.hover[1]
    assert "reported 0.79 agrees (width 0.119)" in info.hover[1]
    assert "smallest difference that this n shows (80% power): 0.040" in info.hover[1]
    assert "runs 2ec2665a3183, f8f02c2fa52c, f204bf764fa4" in info.hover[1]


def test_percent_columns_are_drawn_in_percent(table3: Table) -> None:
    info = figures.bars(table3, table3.columns[0])
    assert (info.axis, info.mean[0], info.reported[4]) == ("top1 (%)", 74.2, 93.0)
    assert "79.00 not comparable" in info.hover[0]


def test_bars_begin_at_zero_unless_that_would_hide_all(table1: Table, classes: Table, single: Table) -> None:
    assert not figures.bars(table1, table1.columns[1]).from_zero  # 0.83 to 0.95
    assert figures.bars(classes, classes.columns[2]).from_zero  # 0.64 to 0.92
    assert not figures.bars(single, single.columns[0]).from_zero
    rows = tuple(replace(row, cells={"top1": replace(row.cells["top1"], mean=-0.1)}) for row in single.rows)
    assert figures.bars(replace(single, rows=rows), single.columns[0]).from_zero


def test_two_baselines_have_no_common_line(table1: Table) -> None:
    rows = tuple(replace(row, is_baseline=row.name in "AB") for row in table1.rows)
    assert figures.bars(replace(table1, rows=rows), table1.columns[0]).baseline is None


def test_confusion_rows_are_normalised_and_the_worst_are_named(classes: Table) -> None:
    info = figures.confusion(classes.confusions[0])
    assert info.shares[0] == (0.69, 0.28, 0.03)
    assert [sum(row) for row in info.shares] == pytest.approx([1, 1, 1])  # type: ignore[arg-type]
    first = info.worst[0]
    assert (first.true, first.predicted, first.count, first.share) == ("cat", "dog", 280, 0.28)
    assert len(info.worst) == 6


def test_a_class_without_examples_has_no_shares() -> None:
    info = figures.confusion(ConfusionTable("A", "val", ("a", "b"), ((0, 0), (1, 3)), 1))
    assert info.shares == ((None, None), (0.25, 0.75))


def test_effects(effects: Table) -> None:
    (info,) = figures.figures(effects)
    assert isinstance(info, EffectsInfo)
    assert info.labels == ("c", "l", "m", "c × l")
    assert info.effect == (0.098, 0.012, -0.004, 0.009)
    assert info.low[2] == pytest.approx(-0.015)
    assert info.decided == (True, True, False, False)
    assert info.hover[0].splitlines()[:2] == ["c, top1", "effect +0.098 [+0.087, +0.109], p<.001"]


def test_a_factor_as_columns_is_one_figure(ranks: Table) -> None:
    (info,) = figures.figures(ranks)
    assert isinstance(info, GroupsInfo)
    assert (info.levels, info.axis) == (("1", "2", "4", "8", "64"), "val_loss")
    assert [series.title for series in info.series] == ["q", "q,v", "q,k,v,o"]
    assert info.series[0].mean == pytest.approx((3.6, 3.59, 3.58, 3.57, 3.56))


def crossed(effects: Table, factors: dict[str, str]) -> Table:
    """The table of effects with the arms of all combinations of levels behind it, but the last."""
    combinations = [dict(zip(factors, levels, strict=True)) for levels in itertools.product(*factors.values())]
    rows = []
    for place, levels in enumerate(combinations[:-1]):
        name, mean = "/".join(levels.values()), 0.5 + 0.01 * place
        rows.append(Row(name, name, levels, {"top1": Cell(mean, 0.012, 3, 3, (mean - 0.03, mean + 0.03))}))
    return replace(effects, behind=tuple(rows))


def test_two_factors_have_a_figure_of_their_interaction(effects: Table) -> None:
    table = crossed(effects, {"tweak": "AB", "cosine": "xyz", "width": "1"})
    _, info = figures.figures(table)
    assert isinstance(info, GroupsInfo)
    assert (info.across, info.levels, info.title) == ("cosine", ("x", "y", "z"), "top1 by cosine and tweak")
    assert [series.title for series in info.series] == ["A", "B"]
    assert info.series[0].mean == pytest.approx((0.5, 0.51, 0.52))
    assert info.series[1].mean == (0.53, 0.54, None)  # no such arm: a gap, not a guess
    assert info.series[0].low[0] == pytest.approx(0.47)
    (figure,) = drawing.draw(info, {})
    assert {trace.mode for trace in figure.data} == {"lines+markers"}
    assert figure.layout.xaxis.title.text == "cosine"


@pytest.mark.parametrize("factors", [{"a": "xy"}, {"a": "xy", "b": "xy", "c": "xy"}, {"a": "abcdefg", "b": "abcdefg"}])
def test_other_numbers_of_factors_have_no_such_figure(effects: Table, factors: dict[str, str]) -> None:
    assert kinds(crossed(effects, factors)) == ["EffectsInfo"]


def test_an_arm_has_one_colour_in_all_figures(table1: Table, table3: Table, epochs: Table) -> None:
    slots = figures.colour_slots([table1, table3, epochs])
    assert slots["A"] == 0  # the first table's baseline is grey
    assert len(set(slots.values())) == len(slots)
    assert theme.colour(slots["A"]) == theme.LIGHT[0]
    assert {theme.colour(slot) for slot in range(8, 40)} == set(theme.LIGHT[1:])
    assert figures.colour_slots([epochs])["resnet18"] == 1  # nobody's baseline: no grey


def test_drawn_bars_show_the_info(table1: Table) -> None:
    info = figures.bars(table1, table1.columns[0])
    (figure,) = drawing.draw(info, figures.colour_slots([table1]))
    measured, reported = figure.data
    assert (measured.type, reported.name) == ("scatter", "reported by the paper")
    assert tuple(measured.x) == info.mean
    assert measured.error_x.arrayminus[1] == pytest.approx(2.484 * 0.009)
    assert tuple(reported.x) == (0.66, 0.79, 0.63, 0.63)
    assert [note.text for note in figure.layout.annotations] == ["not run: no weights"]
    assert figure.layout.yaxis.ticktext == ("A", "B", "C", "D")


def test_single_runs_are_dots_beside_their_mean(table1: Table) -> None:
    rows = tuple(
        replace(row, cells={"top1": replace(row.cells["top1"], values=values)})
        for row, values in zip(table1.rows, [(0.66, 0.67, 0.683), (0.74, 0.744), (0.655,), ()], strict=True)
    )
    info = figures.bars(replace(table1, rows=rows), table1.columns[0])
    assert info.singles == ((0.66, 0.67, 0.683), (0.74, 0.744), (0.655,), ())
    (figure,) = drawing.draw(info, {})
    assert [trace.name for trace in figure.data] == ["single runs", "measured", "reported by the paper"]
    dots = figure.data[0]
    assert tuple(dots.x) == (0.66, 0.67, 0.683, 0.74, 0.744)  # not of a row of one run: its mean is the run
    assert tuple(map(round, dots.y)) == (0, 0, 0, 1, 1)


def test_bars_from_zero_are_bars(classes: Table) -> None:
    info = figures.figures(classes)[0]
    assert isinstance(info, BarsInfo)
    (figure,) = drawing.draw(info, {})
    assert (figure.data[0].type, figure.layout.xaxis.rangemode) == ("bar", "tozero")


def test_confusion_is_drawn_as_counts_and_as_shares(classes: Table) -> None:
    info = figures.figures(classes)[-1]
    assert isinstance(info, ConfusionInfo)
    counts, shares = drawing.draw(info, {})
    assert [list(row) for row in counts.data[0].z] == [[690, 280, 30], [250, 710, 40], [70, 20, 910]]
    assert shares.data[0].z[2][2] == 0.91
    assert counts.data[0].texttemplate == "%{z}"
    big = ConfusionTable("A", "val", tuple(f"c{i % 50}" for i in range(101)), ((1,) * 101,) * 101, 3)
    (large, _) = drawing.draw(figures.confusion(big), {})
    assert large.data[0].texttemplate is None
    assert len(set(large.data[0].x)) == 101  # equal names stay apart


def test_drawn_effects_tell_decided_from_undecided(effects: Table) -> None:
    (figure,) = drawing.draw(figures.figures(effects)[0], {})
    assert [(trace.name, tuple(trace.y)) for trace in figure.data] == [("decided", (0, 1)), ("undecided", (2, 3))]


@pytest.mark.parametrize("name", ["table1", "table3", "epochs", "classes", "effects", "path", "ranks", "single"])
def test_no_figure_holds_a_number_that_json_does_not_know(name: str, request: pytest.FixtureRequest) -> None:
    table = request.getfixturevalue(name)
    for info in figures.figures(table):
        for figure in drawing.draw(info, figures.colour_slots([table])):
            json.loads(figure.to_json(), parse_constant=pytest.fail)


def test_names_are_text_to_plotly(hostile: Table) -> None:
    for info in figures.figures(hostile):
        for figure in drawing.draw(info, figures.colour_slots([hostile])):
            drawn = figure.to_plotly_json()
            drawn["layout"].pop("template")
            assert not any("<img" in text or "</script" in text for text in strings(drawn))


def strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for inner in value.values() for text in strings(inner)]
    return [text for inner in value for text in strings(inner)] if isinstance(value, list | tuple) else []


def linear(colour: str) -> np.ndarray:
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    )
    xyz = to_xyz @ rgb / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira and Fernandes 2009, severity 1
SIGHTS = {
    "usual": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
}


def test_fifty_six_arms_and_the_baseline_never_look_alike() -> None:
    looks = [(theme.colour(slot), theme.symbol(slot)) for slot in range(57)]
    assert len(set(looks)) == 57
    assert [colour for colour, _ in looks].count(theme.LIGHT[0]) == 1  # nothing else is grey
    assert (theme.symbol(1), theme.symbol(7), theme.symbol(8), theme.symbol(15)) == (
        *theme.SYMBOLS[:1] * 2,
        *theme.SYMBOLS[1:3],
    )
    dark = theme.swaps()
    assert len({(dark[colour], symbol) for colour, symbol in looks}) == 57


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("palette", [theme.LIGHT, theme.DARK])
def test_colours_stay_apart_for_everyone(palette: tuple[str, ...], sight: str) -> None:
    seen = {colour: lab(np.clip(SIGHTS[sight] @ linear(colour), 0, 1)) for colour in palette}
    assert min(np.linalg.norm(seen[a] - seen[b]) for a, b in itertools.combinations(palette, 2)) >= 24


@pytest.mark.parametrize(("palette", "page"), [(theme.LIGHT, "light"), (theme.DARK, "dark")])
def test_colours_stand_out_from_their_page(palette: tuple[str, ...], page: str) -> None:
    weights = np.array([0.2126, 0.7152, 0.0722])
    ground = linear(theme.PAGE[page]) @ weights
    for colour in palette:
        low, high = sorted([linear(colour) @ weights, ground])
        assert (high + 0.05) / (low + 0.05) >= 3.0


def _written(tables: list[Table], folder: Path, kind: str) -> list[Path]:
    """The files; skips where they cannot be drawn."""
    from ablate.report.figure_files import CannotDraw, write_figures

    try:
        return write_figures(tables, folder, "lee2024", kind)
    except CannotDraw as why:
        pytest.skip(f"figures are not written: {why}")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pdf", "svg"])
def test_figures_are_written_as_files_each_once(kind: str, tmp_path: Path, table1: Table, classes: Table) -> None:
    files = _written([table1, replace(table1, name="again"), classes], tmp_path / "new", kind)
    names = ["table1-top1-by-tweak", "table1-top5-by-tweak", "table1-measured-against-reported", "report-f1-by-class"]
    names += ["report-measured-against-reported", "report-resnet18-test-counts", "report-resnet18-test-shares"]
    assert [file.name for file in files] == [f"lee2024-{name}.{kind}" for name in names]
    assert sorted(files) == sorted((tmp_path / "new").iterdir())
    for file in files:
        data = file.read_bytes()
        assert data.startswith(b"%PDF-" if kind == "pdf" else b"<svg")
        assert b"http://127.0.0.1" not in data
        assert not re.search(rb"https?://(?!www\.w3\.org)", data) or kind == "pdf"


def test_without_kaleido_or_a_browser_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, table1: Table
) -> None:
    from ablate.report.figure_files import CannotDraw, write_figures

    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(CannotDraw, match=r"^kaleido is not installed: pip install 'ablate-studies\[export\]'$"):
        write_figures([table1], tmp_path, "lee2024", "pdf")
    monkeypatch.undo()
    kaleido = pytest.importorskip("kaleido")
    from choreographer.errors import ChromeNotFoundError

    def none(**_: object) -> None:
        raise ChromeNotFoundError("nowhere")

    monkeypatch.setattr(kaleido, "Kaleido", none)
    with pytest.raises(
        CannotDraw, match=r"^neither Chromium nor Chrome was found: install one, or say in BROWSER_PATH"
    ):
        write_figures([table1], tmp_path, "lee2024", "pdf")
    assert list(tmp_path.iterdir()) == []
