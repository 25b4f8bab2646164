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
        ("{}", [": needs `rows`: one factor, several, or epoch, class or effect.", ": the factor tweak is in neither rows, columns nor where; nothing is averaged silently. Add it.", ": the factor refine is in neither rows, columns nor where; nothing is averaged silently. Add it."]),
        ("[tweak]", [": must be a mapping with rows and columns, not [tweak].", ": needs `rows`", ": the factor", ": the factor"]),
        ("{rows: tweak}", [": the factor refine is in neither rows, columns nor where; nothing is averaged silently. Add it."]),
        ("{rows: tweak, where: {refine: [none, c]}}", [".where.refine: must come to one level of refine, or refine must stand in rows or columns."]),
        ("{rows: twek, where: {tweak: A, refine: none}}", [".rows: there is no factor 'twek'. Did you mean 'tweak'? Allowed: tweak, refine, epoch, class, effect."]),
        ("{rows: [tweak, tweak], where: {refine: none}}", [".rows: a factor is there twice."]),
        ("{rows: [epoch, tweak], where: {refine: none}}", [".rows.0: epoch stands last in rows, and only one of epoch, class, effect does."]),
        ("{rows: {tweak: A}, where: {refine: none, tweak: A}}", [".rows: must be a factor, or a list of factors, not {tweak: A}."]),
        ("{rows: tweak, columns: refine, metric: top2}", [".metric: 'top2' is no metric here. Did you mean 'top5'? Metrics: "]),
        ("{rows: [tweak, refine], columns: refine}", [": the factor refine is in both rows and columns."]),
        (f"{{{ROWS}, columns: [top1, tpo5]}}", [".columns.1: 'tpo5' is no metric here. Did you mean 'top5'? Metrics: loss, top1, top5, "]),
        (f"{{{ROWS}, columns: [top1, top1]}}", [".columns: a column is there twice."]),
        (f"{{{ROWS}, columns: []}}", [".columns: names no column."]),
        (f"{{{ROWS}, columns: [top1, refine]}}", [".columns.1: 'refine' is no metric here. Did you mean 'refine'?"]),
        (f"{{{ROWS}, columns: {{a: b}}}}", [".columns: must be a metric, a list of metrics, or a factor, not {a: b}."]),
        (f"{{{ROWS}, metric: top1}}", [".metric: is only for tables whose columns are a factor."]),
        (f"{{{ROWS}, column: top1}}", [".column: unknown key. Did you mean 'columns'? Allowed here: rows, columns, metric, where, baseline, reported, claims, test, caption."]),
        (f"{{{ROWS}, test: t}}", [".test: must be one of moderated, dunnett, welch-holm, not 't'."]),
        (f"{{{ROWS}, caption: [a]}}", [".caption: must be a line of text, not a list."]),
        ("{rows: tweak, where: {refine: {not: [none, c, l, c+l]}}}", [".where.refine: leaves no level of refine."]),
        ("{rows: tweak, where: {refin: none}}", [".where.refin: there is no factor 'refin'. Did you mean 'refine'? Factors: tweak, refine.", ": the factor refine is in neither"]),
        ("{rows: tweak, where: {refine: non}}", [".where.refine: refine has no level 'non'. Did you mean 'none'? Levels: none, c, l, c+l."]),
        ("{rows: tweak, where: {refine: none, epoch: 3}}", [".where.epoch: picks rows only where `rows` ends in epoch."]),
        ("{rows: effect, where: {effect: 3}}", [".where.effect: picks rows only where `rows` ends in effect."]),
        ("{rows: [tweak, epoch], where: {refine: none, epoch: [0]}}", [".where.epoch: epochs are whole numbers from 1."]),
        ("{rows: [tweak, epoch], where: {refine: none, epoch: ['²']}}", [".where.epoch: epochs are whole numbers from 1."]),
        ("{rows: [tweak, epoch], where: {refine: none, epoch: []}}", [".where.epoch: picks no row."]),
        ("{rows: class, where: {refine: none, tweak: A}, columns: top1}", [".columns: 'top1' is no metric here. Metrics: precision, recall, f1, support."]),
        (f"{{{ROWS}, baseline: {{}}}}", [".baseline: names no factor; leave it out where the study's own is meant."]),
        (f"{{{ROWS}, baseline: {{twek: A}}}}", [".baseline.twek: there is no factor 'twek'. Did you mean 'tweak'? Factors: tweak, refine."]),
        (f"{{{ROWS}, baseline: {{tweak: X}}}}", [".baseline.tweak: tweak has no level 'X'. Levels: A, B, C."]),
        (f"{{{ROWS}, reported: [0.1]}}", [".reported: must be a mapping of rows to figures, not [0.1]."]),
        (f"{{{ROWS}, reported: {{X: 0.1}}}}", [".reported.X: 'X' names no row: 'X' is no level. Levels: A, B, C."]),
        (f"{{{ROWS}, reported: {{A: 0.1, tweak=A: 0.2}}}}", [".reported.tweak=A: names the row A, which is there already."]),
        (f"{{{ROWS}, reported: {{A: [0.1, 0.2]}}}}", [".reported.A: has 2 figures for 1 columns (top1); write null where the paper has none."]),
        (f"{{{ROWS}, columns: [top1, top5], reported: {{A: 0.1}}}}", [".reported.A: has 1 figure for 2 columns (top1, top5); write null where the paper has none."]),
        (f"{{{ROWS}, reported: {{A: high}}}}", [".reported.A: must be a figure such as 0.90 or 76.21%, or null; not 'high'."]),
        (f"{{{ROWS}, reported: {{A: {{top1: 0.1}}}}}}", [".reported.A: must be a figure such as 0.90 or 76.21%, or null; not a list or a mapping."]),
        (f"{{{ROWS}, reported: {{A: 76.21}}}}", [".reported.A: top1 is a fraction from 0 to 1, not 76.21. Write 76.21% for a percentage."]),
        (f"{{{ROWS}, reported: {{A: -0.1}}}}", [".reported.A: top1 is a fraction from 0 to 1, not -0.1."]),
        (f"{{{ROWS}, reported: {{A: 101%}}}}", [".reported.A: top1 is a fraction from 0 to 1, not 101%."]),
        ("{rows: tweak, where: {refine: none, tweak: [A, B]}, reported: {C: 0.1}}", [".reported.C: 'C' is no row of this table; its where leaves out tweak=C."]),
        ("{rows: [tweak, refine], where: {refine: {not: none}}, reported: {B: 0.1}}", [".reported.B: 'B' is no row of this table; its where leaves out refine=none."]),
        ("{rows: [tweak, epoch], where: {refine: none}, reported: {A/last: 0.1}}", [".reported.A/last: a row of epochs is named by a whole number from 1, not 'last'."]),
        ("{rows: [tweak, epoch], where: {refine: none}, reported: {A/0: 0.1}}", [".reported.A/0: a row of epochs is named by a whole number from 1, not '0'."]),
        ("{rows: epoch, where: {refine: none, tweak: A, epoch: [1, 11]}, reported: {2: 0.1}}", [".reported.2: '2' is no row of this table; where picks 1, 11."]),
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
    assert mistakes(text) == [
        "s.yaml:10: tables.t.reported.c: 'c' leaves tweak open, and the baseline does not name one; add one of A, B, C."
    ]


@pytest.mark.parametrize("name", ["a b", "a/b", "''", "..", "x" * 81, "ä"])
def test_names_of_tables_can_be_file_names(mistakes: Any, name: str) -> None:
    found = mistakes(HEAD.replace("  t: ", f"  ? {name}\n  : ") + "{rows: effect}")
    assert [line.rpartition(": ")[2] for line in found] == [
        "a table's name has only letters, digits, '.', '_' and '-', at most 80 of them."
    ]


def test_effects_need_no_place_for_the_other_factors_and_take_any_figure(read: Any) -> None:
    table = one(read, "{rows: effect, where: {tweak: [A, B]}, reported: {tweak: -3}}")
    assert dict(table.where) == {"tweak": ("A", "B")}
    assert table.reported["tweak"][0].value == -3
