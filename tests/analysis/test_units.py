"""A paper's percentages and numbers in another unit: never 9375.00, and no verdict."""

from typing import Any

import pytest

from ablate.analysis import build_table
from ablate.report import render

SCRIPT = {"A": [93.75, 93.5, 94.0], "B": [95.0, 95.25, 94.75]}
FRACTIONS = {"A": [0.9375, 0.935, 0.94], "B": [0.95, 0.9525, 0.9475]}


def table(maker: Any, factor: Any, values: Any, figure: str, metric: str = "top1", better: str = "higher") -> Any:
    given = {arm: {metric: column} for arm, column in values.items()}
    own = {} if metric in ("top1", "loss") else {metric: better}
    made = maker([factor("f", "A", "B")], given, baseline={"f": "A"}, metrics=own)
    return build_table(made.study, made.spec(columns=(metric,), reported={"A": (figure,)}), made.results)


@pytest.mark.parametrize("metric", ["top1", "acc"])
def test_percent_of_a_paper_beside_percent_of_a_script(maker: Any, factor: Any, metric: str) -> None:
    built = table(maker, factor, SCRIPT, "93.8%", metric)
    cell = built.rows[0].cells[metric]
    assert (cell.agrees, cell.agreement_width, dict(built.mean_absolute_difference)) == (None, None, {})
    assert not built.columns[0].percent
    text = render(built, "md")
    assert "9375" not in text
    assert "differs" not in text
    assert "93.75 ±0.25" in text
    (note,) = (note for note in built.notes if note.startswith("Unit mismatch"))
    assert "up to 95" in note
    assert "`unit: percent`" in note
    assert built.rows[1].cells[metric].decided  # the arms are in one unit


@pytest.mark.parametrize("metric", ["top1", "acc"])
def test_percent_of_a_paper_beside_fractions(maker: Any, factor: Any, metric: str) -> None:
    built = table(maker, factor, FRACTIONS, "93.8%", metric)
    assert built.columns[0].percent
    assert built.rows[0].cells[metric].agrees is True
    assert "93.75 ±0.25" in render(built, "md")
    assert not any("Unit" in note for note in built.notes)


def test_small_percentages_are_found_by_their_ratio(maker: Any, factor: Any) -> None:
    """An error of 0.8 (percent) is no share above 2: what tells is that it is a hundred times the figure."""
    built = table(maker, factor, {"A": [0.8, 0.82, 0.81], "B": [0.7, 0.71, 0.72]}, "0.8%", "error", "lower")
    assert any(note.startswith("Unit mismatch: error") for note in built.notes)


def test_a_figure_without_its_sign_beside_fractions(maker: Any, factor: Any) -> None:
    built = table(maker, factor, FRACTIONS, "93.8", "acc")
    (note,) = (note for note in built.notes if note.startswith("Unit mismatch"))
    assert "with their sign" in note
    assert built.rows[0].cells["acc"].agrees is None


@pytest.mark.parametrize(
    ("values", "figure"), [({"A": [0.02, 0.021, 0.022], "B": [0.3, 0.31, 0.32]}, "2.30"), (SCRIPT, "93.8")]
)
def test_other_numbers_are_judged(maker: Any, factor: Any, values: Any, figure: str) -> None:
    built = table(maker, factor, values, figure, "own", "lower")
    assert not any("Unit" in note for note in built.notes)
    assert built.rows[0].cells["own"].agrees is not None
