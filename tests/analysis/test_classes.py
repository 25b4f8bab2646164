"""Class reports against scikit-learn, and which matrix a run is judged by."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import classification_report

from ablate.analysis import build_table
from ablate.analysis.classes import MACRO, WEIGHTED, class_report, reported_confusion


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_the_report_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    """On the classes that occur: scikit-learn, too, leaves the others out."""
    true, guessed = np.asarray(pairs).T
    counts = np.zeros((4, 4), dtype=int)
    np.add.at(counts, (true, guessed), 1)
    theirs = classification_report(true, guessed, labels=sorted(set(true)), output_dict=True, zero_division=0)
    ours = class_report("0123", counts.tolist())
    keys = {"precision": "precision", "recall": "recall", "f1": "f1-score", "support": "support"}
    for name, row in [*((str(c), str(c)) for c in set(true)), (MACRO, "macro avg"), (WEIGHTED, "weighted avg")]:
        for mine, other in keys.items():
            assert ours[name][mine] == pytest.approx(theirs[row][other]), (name, mine)


def test_a_hand_worked_matrix() -> None:
    report = class_report(("cat", "dog"), ((8, 2), (1, 9)))
    assert report["cat"] == pytest.approx({"precision": 8 / 9, "recall": 0.8, "f1": 16 / 19, "support": 10})
    assert report[MACRO]["recall"] == pytest.approx(0.85)
    assert report[WEIGHTED]["support"] == 20


def test_a_class_never_guessed_counts_as_zero() -> None:
    report = class_report(("cat", "dog"), ((3, 0), (2, 0)))
    assert report["dog"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 2.0}
    assert class_report(("cat",), ((0,),))[MACRO] == {"support": 0}


def test_the_matrix_is_that_of_the_reported_split_and_epoch(maker: Any, factor: Any, matrix: Any) -> None:
    made = maker([factor("arch", "a")], {"a": [0.5]}, seeds=(0,))
    last, selected, val = matrix([[1]]), matrix([[2]], at="selected"), matrix([[3]], split="val")
    made.change("a", 0, confusions=(val, selected, last))
    (result,) = made.results.values()
    assert reported_confusion(result) == last
    selecting = maker([factor("arch", "a")], {"a": [0.5]}, seeds=(0,), recipe={"select": "val_top1"})
    selecting.change("a", 0, confusions=(val, selected, last))
    (result,) = selecting.results.values()
    assert reported_confusion(result) == selected
    selecting.change("a", 0, confusions=(val,))
    assert reported_confusion(next(iter(selecting.results.values()))) is None


def test_a_class_called_like_an_average_keeps_its_own_numbers(maker: Any, factor: Any, matrix: Any) -> None:
    made = maker([factor("arch", "a")], {"a": [0.8]}, baseline={"arch": "a"})
    names, counts = ("macro", "weighted", "accuracy"), ((8, 2, 0), (1, 3, 0), (0, 3, 3))
    made.change("a", 0, confusions=(replace(matrix(counts), classes=names),))
    spec = made.spec(kind="class", columns=("recall", "support"), reported={"a/macro": ("0.80", "10")})
    rows = {row.name: row for row in build_table(made.study, spec, made.results).rows}
    means = {name: row.cells["recall"].mean for name, row in rows.items()}
    assert means == {
        "a/macro": 0.8,
        "a/weighted": 0.75,
        "a/accuracy": 0.5,
        "a/macro average": pytest.approx((0.8 + 0.75 + 0.5) / 3),
        "a/weighted average": pytest.approx(14 / 20),
    }
    assert rows["a/macro average"].class_ == "macro average"
    picked = made.spec(kind="class", row_where=("macro", "macro average"), columns=("recall",))
    table = build_table(made.study, picked, made.results)
    assert [row.cells["recall"].mean for row in table.rows] == [0.8, means["a/macro average"]]
