"""Numbers and words as people read them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ablate.analysis.table import Cell, Column, Row, Table
from ablate.report import format as fmt

TOP1 = Column("top1", "top1", "higher", "fraction")
PERCENT = Column("top1", "top1", "higher", "fraction", percent=True, decimals=2)
MEMORY = Column("peak_memory", "peak_memory", "lower", "bytes", decimals=0)


@pytest.mark.parametrize(
    ("value", "column", "signed", "text"),
    [
        (0.8416, TOP1, False, "0.842"),
        (0.8416, PERCENT, False, "84.16"),
        (0.0134, TOP1, True, "+0.013"),
        (-0.0134, TOP1, True, "−0.013"),
        (-0.0134, TOP1, False, "−0.013"),
        (-0.0001, TOP1, True, "−0.000"),
        (-0.0001, TOP1, False, "0.000"),
        (0.0, TOP1, True, "+0.000"),
        (3.4e9, MEMORY, False, "3400"),
        (None, TOP1, False, "—"),
        (float("nan"), TOP1, True, "—"),
        (float("inf"), TOP1, False, "—"),
    ],
)
def test_numbers_have_the_columns_decimals_and_a_real_minus(
    value: float | None, column: Column, signed: bool, text: str
) -> None:
    assert fmt.number(value, column, signed=signed) == text


def test_headings_name_the_unit_only_where_the_number_is_scaled() -> None:
    assert [fmt.heading(c) for c in (TOP1, PERCENT, MEMORY)] == ["top1", "top1 (%)", "peak_memory (MB)"]


@pytest.mark.parametrize(
    ("cell", "full", "compact"),
    [
        (Cell(0.8416, 0.0123, 3), "0.842 ±0.012 (sd, n=3)", "0.842 ±0.012"),
        (Cell(0.8416, 0.0123, 2), "0.842 ±0.012 (sd, n=2)", "0.842 ±0.012 (n=2)"),
        (Cell(0.8416, None, 1), "0.842 (n=1)", "0.842 (n=1)"),
        (Cell(0.8416, 0.0123, 2, note="2 of 3 runs"), "0.842 ±0.012 (sd, n=2; 2 of 3 runs)", "0.842 ±0.012 (n=2) †"),
        (Cell(note="not run: no weights"), "— (not run: no weights)", "— †"),
        (Cell(), "—", "—"),
        (Cell(mean=float("nan"), n=3), "—", "—"),
    ],
)
def test_a_cell_says_its_spread_and_its_n(cell: Cell, full: str, compact: str) -> None:
    assert fmt.value(cell, TOP1) == full
    assert fmt.value(cell, TOP1, common_n=3) == compact


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.03, "p=.03"),
        (0.0004, "p<.001"),
        (0.001, "p=.001"),
        (0.0042, "p=.004"),
        (0.2149, "p=.21"),
        (0.0496, "p=.0496"),
        (0.0504, "p=.0504"),
        (0.04999, "p=.04999"),
        (0.05, "p=.05"),
        (0.999, "p>.99"),
        (1.0, "p>.99"),
        (0.0, "p<.001"),
        (None, "—"),
        (float("nan"), "—"),
    ],
)
def test_a_p_never_rounds_across_the_line(p: float | None, text: str) -> None:
    assert fmt.p_value(p) == text


def test_a_difference_has_its_sign_and_interval() -> None:
    assert fmt.difference(0.13, (0.08, 0.18), TOP1) == "+0.130 [+0.080, +0.180]"
    assert fmt.difference(-0.01, (-0.03, 0.01), PERCENT) == "−1.00 [−3.00, +1.00]"
    assert fmt.difference(0.13, None, TOP1) == "+0.130"
    assert fmt.difference(0.13, (float("-inf"), float("inf")), TOP1) == "+0.130"
    assert fmt.difference(None, None, TOP1) == "—"


@pytest.mark.parametrize(
    ("cell", "word", "text"),
    [
        (Cell(delta=0.1, p_adjusted=0.01, decided=True), "decided", "p=.01"),
        (Cell(delta=0.1, p_adjusted=0.3), "undecided", "p=.30, undecided"),
        (Cell(delta=0.1), "undecided", "undecided"),
        (Cell(note="diverged"), "undecided", "undecided"),
        (Cell(mean=0.5, n=3), "", "—"),
    ],
)
def test_what_is_not_decided_is_undecided(cell: Cell, word: str, text: str) -> None:
    assert fmt.verdict(cell) == word
    assert fmt.p_and_verdict(cell) == text


@pytest.mark.parametrize(
    ("agrees", "comparable", "text"),
    [
        (True, True, "0.79 agrees (width 0.064)"),
        (False, True, "0.79 differs (width 0.064)"),
        (None, True, "0.79"),
        (None, False, "0.79 not comparable"),
        (True, False, "0.79 not comparable"),
    ],
)
def test_reported_beside_measured(agrees: bool | None, comparable: bool, text: str) -> None:
    cell = Cell(mean=0.78, n=3, reported=0.79, reported_text="0.79", agrees=agrees, agreement_width=0.064)
    assert fmt.reported_and_agreement(cell, TOP1, comparable) == text


def test_a_reported_figure_keeps_its_own_text_and_has_no_word_without_a_measurement() -> None:
    assert fmt.reported(Cell(reported=0.9, reported_text="0.90"), TOP1) == "0.90"
    assert fmt.reported(Cell(reported=0.9), TOP1) == "0.900"
    assert fmt.reported_and_agreement(Cell(reported=0.9, reported_text="0.90"), TOP1, True) == "0.90"
    assert fmt.reported_and_agreement(Cell(mean=0.9), TOP1, True) == "—"


def test_names_cannot_steer_a_terminal() -> None:
    assert fmt.plain("a\x1b[31mb\x07\u202ec\nd\t e") == "a[31mbc d e"


def test_row_labels_split_epochs_and_classes_from_their_arm(epochs: Table, classes: Table, table1: Table) -> None:
    assert fmt.row_headings(epochs) == ("arch", "epoch")
    assert fmt.row_labels(epochs, epochs.rows[4]) == ("resnet50", "11")
    assert fmt.row_headings(classes) == ("class",)
    assert fmt.row_labels(classes, classes.rows[2]) == ("ship",)
    assert fmt.row_headings(table1) == ("tweak",)
    bare = replace(epochs, rows=tuple(replace(row, name=str(row.epoch), levels={}) for row in epochs.rows[:3]))
    assert fmt.row_headings(bare) == ("epoch",)
    assert [fmt.row_labels(bare, row) for row in bare.rows] == [("1",), ("11",), ("21",)]


def test_rows_of_several_factors_are_arms() -> None:
    rows = (Row("r18/A", "r18/A", {"arch": "r18", "tweak": "A"}, {}), Row("r50/A", "r50/A", {"arch": "r50"}, {}))
    assert fmt.row_headings(Table("s", None, "t", "arms", "", (), rows)) == ("arm",)
    assert fmt.row_headings(Table("s", None, "t", "arms", "", (), ())) == ("arm",)


def test_the_scale_line_says_whether_the_paper_compares(table1: Table, table3: Table, single: Table) -> None:
    scale = "caltech101, 224 px, 10 epochs, 6,907 training images, one GPU"
    assert fmt.scale_line(table1) == f"full scale: {scale}"
    assert fmt.scale_line(table3) == (
        "profile cpu, caltech101, 32 px, 10 epochs, 2 CPU threads; "
        "not comparable with the paper (32 px instead of 224, half of the data)"
    )
    assert fmt.scale_line(single) == "profile cpu; not comparable with the paper"
    assert fmt.scale_line(replace(single, has_paper=False)) == "profile cpu"


def test_notes_are_said_once_with_their_places(table1: Table, single: Table, table3: Table) -> None:
    assert fmt.notes_of_cells(table1) == ("C: 2 of 3 runs", "D: not run: no weights")
    assert fmt.notes_of_cells(single) == ("B: n=1: no test",)
    rows = tuple(replace(table1.rows[3], name=f"D{place}", cells={"top1": Cell(note="no")}) for place in range(8))
    assert fmt.notes_of_cells(replace(table1, rows=rows), most=2) == ("D0 top1, D1 top1 and 6 more rows: no",)
    assert fmt.notes_of_cells(table3) == ()


def test_the_legend_explains_only_what_is_printed(table1: Table, path: Table, ranks: Table) -> None:
    assert fmt.legend(table1) == (
        "Mean ±sd over 3 runs unless n is given.",
        "Δ: difference from A, with 95% intervals. Bold: decided; everything else is undecided.",
        "A reported figure agrees where it lies in the 95% interval for one new run, of the width given.",
    )
    assert fmt.legend(table1, {"value"}) == ()
    assert "from the step before (the total from plain)," in fmt.legend(path)[1]
    assert "Each column shows val_loss." in fmt.legend(ranks)


def test_durations() -> None:
    given = (None, float("nan"), 0.42, 9.96, 59.4, 59.6, 725, 3599.6, 11220)
    texts = ["—", "—", "0.4 s", "10 s", "59 s", "1 min 00 s", "12 min 05 s", "1 h 00 min", "3 h 07 min"]
    assert [fmt.duration(seconds) for seconds in given] == texts
