from __future__ import annotations

from typing import Any

import pytest

from ablate.study.tables.reported import read_figure
from ablate.study.values.metrics import CLASS_METRICS

HEAD = """
study: s
seeds: 3
factors:
  tweak: {path: model.tweak, levels: [A, B, C]}
  refine: {subsets: {c: {schedule.name: cosine}, l: {loss.label_smoothing: 0.1}}}
baseline: {tweak: A, refine: none}
recipe: {model.arch: resnet50}
tables:
  t: """


def one(read: Any, table: str, head: str = HEAD) -> Any:
    return read(head + table).tables["t"]


def test_a_study_without_tables_shows_every_arm(read: Any, lee: str) -> None:
    study = read(lee[: lee.index("tables:")])
    (table,) = study.tables.values()
    assert (table.name, table.factors, table.kind, table.columns) == (
        "top1_top5",
        ("tweak", "refinements"),
        "arms",
        ("top1", "top5"),
    )


def test_rows_and_columns(read: Any) -> None:
    table = one(read, "{rows: [tweak, refine], columns: [top1, seconds], test: welch-holm, caption: 0.90 of all}")
    assert (table.factors, table.kind, table.columns, table.column_factor) == (
        ("tweak", "refine"),
        "arms",
        ("top1", "seconds"),
        None,
    )
    assert (table.test, table.caption, table.baseline, dict(table.where)) == ("welch-holm", "0.90 of all", None, {})
    table = one(read, "{rows: tweak, where: {refine: none}}")
    assert (table.factors, table.columns, table.test, dict(table.where)) == (
        ("tweak",),
        ("top1",),
        "moderated",
        {"refine": ("none",)},
    )


def test_a_factor_as_columns(read: Any) -> None:
    table = one(read, "{rows: tweak, columns: refine, metric: top5, reported: {A: [0.1, null, 0.3, 0.4]}}")
    assert (table.columns, table.column_factor, table.metric) == (("none", "c", "l", "c+l"), "refine", "top5")
    assert [figure and figure.value for figure in table.reported["A"]] == [0.1, None, 0.3, 0.4]
    assert one(read, "{rows: tweak, columns: [refine]}").metric == "top1"
    table = one(read, "{rows: tweak, columns: refine, where: {refine: [c+l, none]}}")
    assert table.columns == ("none", "c+l")


@pytest.mark.parametrize("kind", ["epoch", "class", "effect"])
def test_epochs_classes_and_effects_stand_alone_or_last(read: Any, kind: str) -> None:
    where = "" if kind == "effect" else ", where: {tweak: A, refine: none}"
    table = one(read, f"{{rows: {kind}{where}}}")
    assert (table.factors, table.kind) == ((), kind)
    assert table.columns == (CLASS_METRICS if kind == "class" else ("top1",))
    where = "" if kind == "effect" else ", where: {refine: none}"
    assert one(read, f"{{rows: [tweak, {kind}]{where}}}").factors == ("tweak",)


def test_where_takes_levels_lists_and_not(read: Any) -> None:
    table = one(read, "{rows: [tweak, refine], where: {tweak: {not: A}, refine: [none, c]}}")
    assert dict(table.where) == {"tweak": ("B", "C"), "refine": ("none", "c")}


def test_where_picks_rows_of_epochs_and_classes(read: Any) -> None:
    table = one(read, "{rows: epoch, where: {tweak: A, refine: none, epoch: [1, 11, 21]}, reported: {11: 0.5}}")
    assert (table.row_where, list(table.reported)) == (("1", "11", "21"), ["11"])
    assert one(read, "{rows: [tweak, class], where: {refine: none, class: [cat, macro]}}").row_where == ("cat", "macro")


def test_a_table_s_own_baseline(read: Any) -> None:
    table = one(read, "{rows: refine, where: {tweak: B}, baseline: {refine: c}, reported: {l: 0.5, baseline: 0.4}}")
    assert table.baseline == {"refine": "c"}
    assert list(table.reported) == ["l", "c"]


def test_reported_rows_may_leave_levels_out(read: Any) -> None:
    table = one(
        read,
        "{rows: [tweak, refine], columns: top1, reported: {B: 0.1, c: 0.2, baseline: 0.3, B/l+c: 0.4, tweak=C: 0.5}}",
    )
    assert {name: row[0].value for name, row in table.reported.items() if row[0]} == {
        "B/none": 0.1, "A/c": 0.2, "A/none": 0.3, "B/c+l": 0.4, "C/none": 0.5,
    }  # fmt: skip


def test_reported_rows_of_epochs_and_classes(read: Any) -> None:
    table = one(read, "{rows: [tweak, epoch], where: {refine: none}, reported: {B/3: 0.1, 4: 0.2, A/5: 0.3}}")
    assert list(table.reported) == ["B/3", "A/4", "A/5"]
    table = one(
        read,
        "{rows: class, where: {tweak: A, refine: none}, reported: {0: [0.86, 0.84, 0.85, 1000], macro: [0.8, 0.8, 0.8, 10000]}}",
    )
    assert list(table.reported) == ["0", "macro"]
    assert table.reported["0"][3].value == 1000


@pytest.mark.parametrize(
    ("text", "value", "decimals", "percent", "half"),
    [
        ("0.90", 0.9, 2, False, 0.005), ("76.21%", 0.7621, 2, True, 0.00005), ("1", 1.0, 0, False, 0.5),
        (".5", 0.5, 1, False, 0.05), ("-0.3", -0.3, 1, False, 0.05), ("+2.", 2.0, 0, False, 0.5), ("5 %", 0.05, 0, True, 0.005),
        ("1.50e-3", 0.0015, 5, False, 0.000005), ("1e3", 1000.0, -3, False, 500.0),
    ],
)  # fmt: skip
def test_figures_keep_their_printed_precision(
    text: str, value: float, decimals: int, percent: bool, half: float
) -> None:
    figure = read_figure(text)
    assert figure is not None
    assert (figure.text, figure.value, figure.decimals, figure.percent) == (
        text,
        pytest.approx(value),
        decimals,
        percent,
    )
    assert figure.half_unit == pytest.approx(half)


@pytest.mark.parametrize(
    "text",
    ["", "x", "0.9 +- 0.1", "> 0.9", "1e999", "1e-999999999", "nan", ".inf", "0x10", "1_0", ".", "%", "1" * 31, "٣"],
)
def test_what_is_no_figure(text: str) -> None:
    assert read_figure(text) is None


def test_figures_in_a_file_keep_their_text(read: Any) -> None:
    table = one(
        read,
        "{rows: tweak, where: {refine: none}, columns: [top1, top5], reported: {A: [0.90, '0.90'], B: [76.21%, null], C: [~, 1]}}",
    )
    assert [(f.text, f.decimals) if f else None for row in table.reported.values() for f in row] == [
        ("0.90", 2), ("0.90", 2), ("76.21%", 2), None, None, ("1", 0),
    ]  # fmt: skip


ROWS = "rows: tweak, where: {refine: none}"


@pytest.mark.parametrize(
    ("table", "lines"),
    [
        ("{}", [': missing', ': ambiguous', ': ambiguous']),
        ("[tweak]", [': wrong-type', ': missing', ": ambiguous", ": ambiguous"]),
        ("{rows: tweak}", [': ambiguous']),
        ("{rows: tweak, where: {refine: [none, c]}}", ['.where.refine: ambiguous']),
        ("{rows: twek, where: {tweak: A, refine: none}}", ['.rows: unknown-name']),
        ("{rows: [tweak, tweak], where: {refine: none}}", ['.rows: duplicate']),
        ("{rows: [epoch, tweak], where: {refine: none}}", ['.rows.0: conflict']),
        ("{rows: {tweak: A}, where: {refine: none, tweak: A}}", ['.rows: wrong-type']),
        ("{rows: tweak, columns: refine, metric: top2}", ['.metric: unknown-metric']),
        ("{rows: [tweak, refine], columns: refine}", [': conflict']),
        (f"{{{ROWS}, columns: [top1, tpo5]}}", ['.columns.1: unknown-metric']),
        (f"{{{ROWS}, columns: [top1, top1]}}", ['.columns: duplicate']),
        (f"{{{ROWS}, columns: []}}", ['.columns: empty']),
        (f"{{{ROWS}, columns: [top1, refine]}}", ['.columns.1: unknown-metric']),
        (f"{{{ROWS}, columns: {{a: b}}}}", ['.columns: wrong-type']),
        (f"{{{ROWS}, metric: top1}}", ['.metric: unsupported']),
        (f"{{{ROWS}, column: top1}}", ['.column: unknown-key']),
        (f"{{{ROWS}, test: t}}", ['.test: wrong-value']),
        (f"{{{ROWS}, caption: [a]}}", ['.caption: wrong-type']),
        ("{rows: tweak, where: {refine: {not: [none, c, l, c+l]}}}", ['.where.refine: empty']),
        ("{rows: tweak, where: {refin: none}}", ['.where.refin: unknown-name', ': ambiguous']),
        ("{rows: tweak, where: {refine: non}}", ['.where.refine: unknown-name']),
        ("{rows: tweak, where: {refine: none, epoch: 3}}", ['.where.epoch: unsupported']),
        ("{rows: effect, where: {effect: 3}}", ['.where.effect: wrong-value']),
        ("{rows: [tweak, epoch], where: {refine: none, epoch: [0]}}", ['.where.epoch: out-of-range']),
        ("{rows: [tweak, epoch], where: {refine: none, epoch: ['²']}}", ['.where.epoch: out-of-range']),
        ("{rows: [tweak, epoch], where: {refine: none, epoch: []}}", ['.where.epoch: empty']),
        ("{rows: class, where: {refine: none, tweak: A}, columns: top1}", ['.columns: unknown-metric']),
        (f"{{{ROWS}, baseline: {{}}}}", ['.baseline: empty']),
        (f"{{{ROWS}, baseline: {{twek: A}}}}", ['.baseline.twek: unknown-name']),
        (f"{{{ROWS}, baseline: {{tweak: X}}}}", ['.baseline.tweak: unknown-name']),
        (f"{{{ROWS}, reported: [0.1]}}", ['.reported: wrong-type']),
        (f"{{{ROWS}, reported: {{X: 0.1}}}}", ['.reported.X: unknown-name']),
        (f"{{{ROWS}, reported: {{A: 0.1, tweak=A: 0.2}}}}", ['.reported.tweak=A: duplicate']),
        (f"{{{ROWS}, reported: {{A: [0.1, 0.2]}}}}", ['.reported.A: wrong-count']),
        (f"{{{ROWS}, columns: [top1, top5], reported: {{A: 0.1}}}}", ['.reported.A: wrong-count']),
        (f"{{{ROWS}, reported: {{A: high}}}}", ['.reported.A: bad-format']),
        (f"{{{ROWS}, reported: {{A: {{top1: 0.1}}}}}}", ['.reported.A: wrong-type']),
        (f"{{{ROWS}, reported: {{A: 76.21}}}}", ['.reported.A: out-of-range']),
        (f"{{{ROWS}, reported: {{A: -0.1}}}}", ['.reported.A: out-of-range']),
        (f"{{{ROWS}, reported: {{A: 101%}}}}", ['.reported.A: out-of-range']),
        ("{rows: tweak, where: {refine: none, tweak: [A, B]}, reported: {C: 0.1}}", ['.reported.C: unknown-name']),
        ("{rows: [tweak, refine], where: {refine: {not: none}}, reported: {B: 0.1}}", ['.reported.B: unknown-name']),
        ("{rows: [tweak, epoch], where: {refine: none}, reported: {A/last: 0.1}}", ['.reported.A/last: bad-format']),
        ("{rows: [tweak, epoch], where: {refine: none}, reported: {A/0: 0.1}}", ['.reported.A/0: bad-format']),
        ("{rows: epoch, where: {refine: none, tweak: A, epoch: [1, 11]}, reported: {2: 0.1}}", ['.reported.2: unknown-name']),
    ],
)  # fmt: skip
def test_mistakes_in_tables(mistakes: Any, table: str, lines: list[str]) -> None:
    found = mistakes(HEAD + table)
    assert len(found) == len(lines), found
    for told, line in zip(found, lines, strict=True):
        assert told.startswith(f"s.yaml:10: tables.t{line}")


def test_a_matched_factor_must_be_named_in_rows(mistakes: Any) -> None:
    text = (
        HEAD.replace("{tweak: A, refine: none}", "{refine: none}")
        + "{rows: [tweak, refine], reported: {c: 0.1, B: 0.2}}"
    )
    assert mistakes(text) == ["s.yaml:10: tables.t.reported.c: ambiguous"]


@pytest.mark.parametrize("name", ["a b", "a/b", "''", "..", "x" * 81, "ä"])
def test_names_of_tables_can_be_file_names(mistakes: Any, name: str) -> None:
    found = mistakes(HEAD.replace("  t: ", f"  ? {name}\n  : ") + "{rows: effect}")
    assert [line.rpartition(": ")[2] for line in found] == ["bad-name"]


def test_effects_need_no_place_for_the_other_factors_and_take_any_figure(read: Any) -> None:
    table = one(read, "{rows: effect, where: {tweak: [A, B]}, reported: {tweak: -3}}")
    assert dict(table.where) == {"tweak": ("A", "B")}
    assert table.reported["tweak"][0].value == -3
