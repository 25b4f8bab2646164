"""Digits: as many as the smallest spread takes to be seen, whatever the size of the numbers, and never a line of them."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from ablate.analysis import digits
from ablate.analysis.table import Cell, Column, Row, Table
from ablate.report import format as fmt
from ablate.report import render
from ablate.report.declare import StudyReport
from ablate.report.html import render_html
from ablate.report.terminal import print_table
from ablate.study.values.digits import brief

OWN = Column("mse", "mse", "lower", "", decimals=0)
FRACTION = Column("top1", "top1", "higher", "fraction", decimals=0)
PERCENT = replace(FRACTION, percent=True)
MEMORY = Column("peak_memory", "peak_memory", "lower", "bytes", decimals=0)


def table(column: Column, *cells: Cell) -> Table:
    rows = tuple(Row(f"r{i}", f"r{i}", {"f": f"r{i}"}, {column.key: cell}) for i, cell in enumerate(cells))
    return Table("s", None, "t", "arms", "", digits.fit([column], rows), rows)


def values(column: Column, *cells: Cell) -> list[str]:
    made = table(column, *cells)
    return [fmt.value(row.cells[column.key], made.columns[0], common_n=3) for row in made.rows]


@pytest.mark.parametrize(
    ("column", "cells", "texts"),
    [
        # the audit's: mean squared errors that read 0.000 ±0.000
        (OWN, [(1.2e-5, 3e-7), (9.8e-5, 4.04e-6)], ["1.200e-05 ±3.0e-07", "9.800e-05 ±4.04e-06"]),
        (OWN, [(3e-5, 1e-5)], ["0.000030 ±0.000010"]),
        # a diverged perplexity among others
        (OWN, [(45.312, 0.21), (1.23456e45, 3e44)], ["45.31 ±0.21", "1.235e+45 ±3.000e+44"]),
        # counts
        (OWN, [(5019.0, None), (4987.0, None)], ["5019", "4987"]),
        (OWN, [(5019.333, 12.5)], ["5019 ±12"]),
        (OWN, [(5019.333, 1.25)], ["5019.3 ±1.2"]),
        (OWN, [(0.9375, None)], ["0.938"]),
        (OWN, [(45.312, None)], ["45.31"]),
        (OWN, [(0.00031, None), (1e-7, None)], ["0.000310", "1.0e-07"]),
        (OWN, [(1.23e12, 3.4e10)], ["1.230e+12 ±3.4e+10"]),
        (OWN, [(1.23e12, 3.4)], ["1230000000000.0 ±3.4"]),
        # accuracies as before, but for a spread that would be lost
        (FRACTION, [(0.8416, 0.0123), (0.8, 0.05)], ["0.842 ±0.012", "0.800 ±0.050"]),
        (FRACTION, [(0.8416, 0.0023), (0.8, 0.05)], ["0.8416 ±0.0023", "0.8000 ±0.0500"]),
        (FRACTION, [(0.8416, 0.0996)], ["0.842 ±0.100"]),
        (FRACTION, [(0.5, 0.0), (0.7, 0.05)], ["0.500 ±0", "0.700 ±0.050"]),  # not a spread too small to be seen
        (FRACTION, [(0.5, 1e-17)], ["0.500 ±1.0e-17"]),  # the sum in another order
        (PERCENT, [(0.8416, 0.0123)], ["84.16 ±1.23"]),
        (PERCENT, [(0.8416, 0.0002)], ["84.160 ±0.020"]),
        (MEMORY, [(3.4e9, 2.1e7)], ["3400 ±21"]),
    ],
)
def test_cells(column: Column, cells: list[tuple[float, float | None]], texts: list[str]) -> None:
    assert values(column, *(Cell(mean, sd, 3) for mean, sd in cells)) == texts


def test_the_papers_decimals_are_the_least() -> None:
    assert values(replace(FRACTION, decimals=5), Cell(0.8, 0.05, 3)) == ["0.80000 ±0.05000"]


def test_an_effect_is_shown_to_two_digits_of_its_interval() -> None:
    made = table(OWN, Cell(delta=1.234e-6, delta_ci95=(1.1e-6, 1.368e-6)))
    assert fmt.difference(1.234e-6, (1.1e-6, 1.368e-6), made.columns[0]) == "+1.23e-06 [+1.10e-06, +1.37e-06]"


magnitudes = st.floats(min_value=-12, max_value=12).map(lambda power: 10.0**power)
spreads = st.floats(min_value=-6, max_value=0).map(lambda power: 10.0**power)
metrics = st.sampled_from([OWN, FRACTION, PERCENT, MEMORY])


@example(OWN, [(10.0**9.5, 0.001, False)])  # five digits before the spread's second
@given(metrics, st.lists(st.tuples(magnitudes, spreads, st.booleans()), min_size=1, max_size=4))
def test_every_spread_is_seen_at_every_magnitude(column: Column, drawn: list[tuple[float, float, bool]]) -> None:
    cells = [Cell(-mean if negative else mean, mean * share, 3) for mean, share, negative in drawn]
    finest = min(cell.sd for cell in cells if cell.sd is not None)
    for cell, text in zip(cells, values(column, *cells), strict=True):
        assert cell.mean is not None
        assert cell.sd is not None
        mean, sd = (float(part.replace(fmt.MINUS, "-")) / column.factor for part in text.split(" ±"))
        assert sd == pytest.approx(cell.sd, rel=0.06)  # two digits
        lost = max(finest * 0.06, max(abs(cell.mean), 1 / column.factor) * 10.0 ** (2 - fmt.LONGEST))
        shown_by_power = "e" in text.split(" ±")[0] and abs(cell.mean) >= 1
        assert abs(mean - cell.mean) <= (cell.sd * 0.06 if shown_by_power else lost) * 1.001
        assert all(len(re.sub(r"[^0-9]", "", part)) <= fmt.LONGEST + 2 for part in text.split(" ±"))


@given(st.floats(min_value=-1e308, max_value=1e308))
def test_a_single_number_is_short_and_true(value: float) -> None:
    text = brief(value)
    assert len(text) <= 12
    assert float(text) == pytest.approx(value, rel=6e-4, abs=1e-300)
    assert (float(text) == 0) == (value == 0) or math.fabs(value) < 1e-300


def test_a_single_number() -> None:
    shown = [brief(v) for v in (0.84213, 5019.0, 1234.56, 45.31234, 9.8e-5, 1.234e45, 0.0, -0.5, float("nan"))]
    assert shown == ["0.8421", "5019", "1234.6", "45.312", "9.800e-05", "1.234e+45", "0", "-0.5000", "nan"]


def test_every_format_for_people_has_them_and_data_is_exact() -> None:
    made = table(OWN, Cell(1.25e-5, 3.125e-7, 3), Cell(9.75e40, 1.5e39, 3))
    out = Console(file=io.StringIO(), width=100)
    print_table(made, out)
    page = render_html(StudyReport(tables=[made], title="t"), plotlyjs="shared")
    for text in (out.file.getvalue(), render(made, "md"), render(made, "latex"), page):  # type: ignore[attr-defined]
        assert "1.250e-05" in text
        assert "9.750e+40" in text
        assert not re.search(r"0\.000\b|[0-9]{20}", text.replace(page_ids(text), ""))
    assert "1.25e-05" in render(made, "csv")
    assert "9.75e+40" in render(made, "json")


def page_ids(text: str) -> str:
    """Digests that a page's policy holds; they are no numbers."""
    found = re.search(r"<meta[^>]*Content-Security-Policy[^>]*>", text)
    return found.group() if found else "\0"
