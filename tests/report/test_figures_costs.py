"""Cost against what it brings: the numbers, the front, and when there is no figure."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from ablate.analysis.table import Cell, Column, Row, Table
from ablate.report import drawing
from ablate.report.costs import cost, front
from ablate.report.infos import CostInfo
from ablate.study.records import RunResult
from ablate.study.values.run import Run

TOP1 = Column("top1", "top1", "higher", "fraction", percent=True)


def study(values: dict[str, tuple[float, float]], device: str = "H200") -> tuple[Table, list[RunResult]]:
    """Arms with their mean and the mean of their seconds, two runs each."""
    rows, runs = [], []
    for arm, (mean, seconds) in values.items():
        ids = tuple(f"{arm}{seed}" for seed in (0, 1))
        rows.append(Row(arm, arm, {"tweak": arm}, {"top1": Cell(mean=mean, n=2, run_ids=ids)}))
        runs += [
            RunResult(Run(name, "a", seed, {}), "done", seconds=seconds + 2 * seed - 1, device=device)
            for seed, name in enumerate(ids)
        ]
    return Table("s", None, "t", "arms", "", (TOP1,), tuple(rows), factors=("tweak",)), runs


VALUES = {"A": (0.5, 10.0), "B": (0.6, 20.0), "C": (0.55, 30.0), "D": (0.7, 40.0)}


def test_an_arm_is_a_point_and_the_front_is_what_none_beats_in_both() -> None:
    info, why_not = cost(*study(VALUES))
    assert info is not None
    assert why_not == ""
    assert info.seconds == (10.0, 20.0, 30.0, 40.0)
    assert info.value == (50.0, 60.0, 55.0, 70.0)
    assert [info.labels[place] for place in info.front] == ["A", "B", "D"]
    assert info.hover[1].splitlines()[1:] == ["top1 (%) 60.000 (n=2)", "20 s a run, n=2"]


def test_of_a_loss_less_is_better() -> None:
    table, runs = study(VALUES)
    info, _ = cost(replace(table, columns=(replace(TOP1, better="lower"),)), runs)
    assert info is not None
    assert [info.labels[place] for place in info.front] == ["A"]


def test_seconds_of_two_devices_are_not_held_against_each_other() -> None:
    table, runs = study(VALUES)
    mixed = [replace(runs[0], device="A100"), *runs[1:]]
    assert cost(table, mixed) == (None, "Cost against top1 (%) is not drawn: its runs ran on A100 and H200.")


def test_without_times_or_with_two_arms_there_is_nothing_to_draw() -> None:
    table, runs = study(VALUES)
    assert cost(table, [replace(run, seconds=None) for run in runs]) == (None, "")
    assert cost(table, ()) == (None, "")
    assert cost(*study({"A": (0.5, 10.0), "B": (0.6, 20.0)})) == (None, "")
    assert cost(replace(table, kind="class"), runs) == (None, "")


@pytest.mark.parametrize(
    ("points", "places"),
    [([(1.0, 1.0), (1.0, 2.0), (2.0, 2.0)], (1,)), ([(3.0, 3.0), (1.0, 1.0), (2.0, 2.0)], (1, 2, 0)), ([], ())],
)
def test_the_front(points: list[tuple[float, float]], places: tuple[int, ...]) -> None:
    assert front(points) == places


def test_the_drawing_has_a_dot_an_arm_a_line_and_labels_apart() -> None:
    close = {f"t{place}": (0.5 + place * 0.001, 10.0 + place) for place in range(6)} | {"low": (0.1, 50.0)}
    info, _ = cost(*study(close))
    assert isinstance(info, CostInfo)
    (figure,) = drawing.draw(info, {})
    line, dots = figure.data
    assert (len(line.x), len(dots.x)) == (6, 7)
    low, high = info.limits
    places = sorted((note.y - low) / (high - low) * 300 + note.yshift for note in figure.layout.annotations)
    assert min(b - a for a, b in itertools.pairwise(places)) >= 13.8
