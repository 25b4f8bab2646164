"""Tables over epochs and over classes, their curves and their confusion matrices."""

from typing import Any

import pytest
from golden_texts import worded

from ablate.analysis import build_table

MATRICES = {"a": ([[8, 2], [1, 9]], [[6, 4], [1, 9]], [[7, 3], [3, 7]]), "b": ([[9, 1], [1, 9]],) * 3}


@pytest.fixture
def made(maker: Any, factor: Any, matrix: Any) -> Any:
    """Two arms of three seeds: losses fall with the epoch, `b` is trained one epoch less, each with a matrix."""
    made = maker([factor("arch", "a", "b")], {"a": [0.8, 0.7, 0.7], "b": [0.9, 0.9, 0.9]}, baseline={"arch": "a"})
    for arm, last in (("a", 3), ("b", 2)):
        for seed in (0, 1, 2):
            epochs = {
                epoch: {"train_loss": 2.0 / epoch + 0.1 * seed + (0.5 if arm == "b" else 0), "top1": 0.1 * epoch}
                for epoch in range(1, last + 1)
            }
            made.change(arm, seed, epochs=epochs, confusions=(matrix(MATRICES[arm][seed]),))
    return made


class TestEpochs:
    def test_one_row_an_epoch(self, made: Any) -> None:
        spec = made.spec(kind="epoch", factors=(), where={"arch": ("a",)}, columns=("train_loss", "top1"))
        table = build_table(made.study, spec, made.results)
        assert [(row.name, row.epoch, row.arm) for row in table.rows] == [("1", 1, "a"), ("2", 2, "a"), ("3", 3, "a")]
        cell = table.rows[1].cells["train_loss"]
        assert (cell.mean, cell.sd, cell.n) == (pytest.approx(1.1), pytest.approx(0.1), 3)

    def test_one_arm_by_itself_has_no_delta(self, made: Any) -> None:
        spec = made.spec(kind="epoch", factors=(), where={"arch": ("b",)}, columns=("train_loss",))
        table = build_table(made.study, spec, made.results)
        assert {row.cells["train_loss"].delta for row in table.rows} == {None}
        assert not any("Differences" in note for note in table.notes)

    def test_the_reported_split_by_its_full_name(self, made: Any) -> None:
        spec = made.spec(kind="epoch", factors=(), where={"arch": ("b",)}, columns=("test_top1", "val_top1"))
        cells = build_table(made.study, spec, made.results).rows[1].cells
        assert (cells["test_top1"].mean, cells["val_top1"].mean) == (pytest.approx(0.2), None)

    def test_where_picks_epochs_and_reported_is_by_row(self, made: Any) -> None:
        spec = made.spec(
            kind="epoch",
            row_where=("1", "3", "9"),
            columns=("train_loss",),
            reported={"a/3": ("0.77",), "b/3": ("0.9",)},
        )
        table = build_table(made.study, spec, made.results)
        assert [row.name for row in table.rows] == ["a/1", "a/3", "a/9", "b/1", "b/3", "b/9"]
        assert table.rows[1].cells["train_loss"].reported == 0.77
        assert table.rows[1].cells["train_loss"].agrees is True
        worded(table.rows[2].cells["train_loss"].note, "train_loss", "epoch 9")
        worded(table.rows[4].cells["train_loss"].note, "train_loss", "epoch 3")
        assert table.mean_absolute_difference == pytest.approx({"train_loss": abs(2 / 3 + 0.1 - 0.77)})

    def test_an_arm_that_never_ran_has_no_row_but_a_note(self, made: Any) -> None:
        for seed in (0, 1, 2):
            made.change("b", seed, state="blocked", error="no weights", metrics={}, epochs={})
        table = build_table(made.study, made.spec(kind="epoch", columns=("top1",)), made.results)
        assert {row.arm for row in table.rows} == {"a"}
        worded(table.notes, "b: not run: no weights")

    def test_arms_as_columns(self, made: Any) -> None:
        spec = made.spec(
            kind="epoch",
            factors=(),
            column_factor="arch",
            columns=("a", "b"),
            metric="train_loss",
            reported={"1": ("2.1", "2.7")},
        )
        table = build_table(made.study, spec, made.results)
        assert [row.name for row in table.rows] == ["1", "2", "3"]
        first = table.rows[0].cells
        assert (first["a"].mean, first["b"].mean) == (pytest.approx(2.1), pytest.approx(2.6))
        assert first["b"].delta == pytest.approx(0.5)
        assert first["b"].decided
        assert (first["b"].reported, first["b"].agrees) == (2.7, True)
        assert [(curve.arm, curve.metric, curve.epochs) for curve in table.curves] == [
            ("a", "train_loss", (1, 2, 3)),
            ("b", "train_loss", (1, 2)),
        ]
        assert table.curves[1].reported == (2.7, None)
        worded(table.notes[0], "epoch")

    def test_curves_have_a_band(self, made: Any) -> None:
        spec = made.spec(kind="epoch", factors=(), where={"arch": ("a",)}, columns=("train_loss",), row_where=("2",))
        (curve,) = build_table(made.study, spec, made.results).curves
        assert curve.epochs == (1, 2, 3)  # the whole curve, whatever rows are printed
        assert curve.mean == pytest.approx((2.1, 1.1, 2 / 3 + 0.1))
        half = 4.302653 * 0.1 / 3**0.5
        assert curve.low == pytest.approx([mean - half for mean in curve.mean])
        assert curve.high == pytest.approx([mean + half for mean in curve.mean])
        assert (curve.n, curve.reported) == (3, ())

    def test_no_band_where_one_run_is_left(self, made: Any) -> None:
        for seed in (1, 2):
            made.change("a", seed, epochs={1: {"train_loss": 1.0 + seed}})
        spec = made.spec(kind="epoch", factors=(), where={"arch": ("a",)}, columns=("train_loss",))
        (curve,) = build_table(made.study, spec, made.results).curves
        assert (curve.low[0] is None, curve.low[1], curve.high[2]) == (False, None, None)

    def test_reported_epochs_are_rows_before_anything_ran(self, made: Any) -> None:
        spec = made.spec(kind="epoch", factors=(), where={"arch": ("a",)}, reported={"1": ("0.3",), "11": ("0.7",)})
        table = build_table(made.study, spec, {})
        assert [(row.name, row.cells["top1"].reported) for row in table.rows] == [("1", 0.3), ("11", 0.7)]
        assert table.curves == ()

    def test_rows_are_the_epochs_of_the_tables_own_metrics(self, made: Any) -> None:
        for seed in (0, 1, 2):
            batches = {step: {"train_loss": 1 / step} for step in range(1, 9)}
            epochs = {**batches, 1: {"train_loss": 1.0, "top1": 0.1}, 2: {"train_loss": 0.5, "top1": 0.2}}
            made.change("a", seed, epochs=epochs, details={"counted_by": {"train_loss": "step"}})
        one = {"kind": "epoch", "factors": (), "where": {"arch": ("a",)}}
        for columns, rows in (
            (("top1",), 2),
            (("train_loss",), 8),
            (("top1", "train_loss"), 2),
            (("train_loss", "top1"), 8),
        ):
            table = build_table(made.study, made.spec(columns=columns, **one), made.results)
            assert len(table.rows) == rows
            assert all(row.cells[columns[0]].n == 3 for row in table.rows)
            for other in columns[1:]:
                assert {row.cells[other].n for row in table.rows} == {0}
                said = f"its epochs are not those of {columns[0]}; give it a table of its own"
                assert {row.cells[other].note for row in table.rows} == {said}

    def test_counted_metrics_share_rows_where_there_are_as_many_of_both(self, made: Any) -> None:
        spec = made.spec(kind="epoch", factors=(), where={"arch": ("a",)}, columns=("train_loss", "top1"))
        for seed in (0, 1, 2):
            made.change("a", seed, details={"counted_by": {"train_loss": "match", "test_top1": "match"}})
        table = build_table(made.study, spec, made.results)
        assert {cell.n for row in table.rows for cell in row.cells.values()} == {3}
        worded(table.notes, "top1")
        short = {epoch: {"train_loss": 1.0, **({"top1": 0.5} if epoch < 3 else {})} for epoch in (1, 2, 3)}
        made.change("a", 0, epochs=short)
        table = build_table(made.study, spec, made.results)
        assert {row.cells["top1"].n for row in table.rows} == {0}

    def test_a_resumed_curve_without_epochs_is_told(self, made: Any) -> None:
        result = made.results[made.of("a")[0]]
        made.change(
            "a",
            0,
            attempts=(*result.attempts, *result.attempts)[:1] * 2,
            details={"counted_by": {"test_top1": "match"}},
        )
        spec = made.spec(kind="epoch", factors=(), where={"arch": ("a",)}, columns=("top1",))
        notes = build_table(made.study, spec, made.results).notes
        anew = "1 of 1 runs took several attempts, and each counts from 1."
        worded(notes, "top1", f"{anew}")


class TestClasses:
    def test_rows_are_classes_and_their_means(self, made: Any) -> None:
        spec = made.spec(
            kind="class", factors=(), where={"arch": ("a",)}, columns=("precision", "recall", "f1", "support")
        )
        table = build_table(made.study, spec, made.results)
        assert [(row.name, row.class_) for row in table.rows] == [(n, n) for n in ("cat", "dog", "macro", "weighted")]
        cat = table.rows[0].cells
        assert cat["recall"].mean == pytest.approx((0.8 + 0.6 + 0.7) / 3)  # averaged over runs, not of the sum
        assert cat["precision"].mean == pytest.approx((8 / 9 + 6 / 7 + 0.7) / 3)
        assert (cat["recall"].n, cat["recall"].sd) == (3, pytest.approx(0.1))
        assert [row.cells["support"].mean for row in table.rows] == [10, 10, 20, 20]
        assert [column.decimals for column in table.columns] == [3, 3, 3, 0]
        (matrix,) = table.confusions
        assert (matrix.arm, matrix.split, matrix.classes, matrix.n) == ("a", "test", ("cat", "dog"), 3)
        assert matrix.counts == ((21, 9), (5, 25))

    def test_reported_by_name_or_number(self, made: Any) -> None:
        for reported in ({"0": ("0.70",), "macro": ("0.77",)}, {"cat": ("0.70",), "macro": ("0.77",)}):
            spec = made.spec(kind="class", factors=(), where={"arch": ("a",)}, columns=("recall",), reported=reported)
            rows = build_table(made.study, spec, made.results).rows
            assert [row.cells["recall"].reported for row in rows] == [0.70, None, 0.77, None]
            assert rows[0].cells["recall"].agrees is True

    def test_where_picks_classes(self, made: Any) -> None:
        spec = made.spec(kind="class", row_where=("1", "weighted"), columns=("recall",))
        table = build_table(made.study, spec, made.results)
        assert [row.name for row in table.rows] == ["a/dog", "a/weighted", "b/dog", "b/weighted"]
        assert table.rows[2].cells["recall"].delta == pytest.approx(0.9 - (0.9 + 0.9 + 0.7) / 3)
        worded(table.rows[2].cells["recall"].note, "no p: ", "3 values of b")

    def test_only_matrices_of_the_same_classes_are_summed(self, made: Any) -> None:
        from dataclasses import replace

        other = replace(made.results[made.of("a")[1]].confusions[0], classes=("cat", "fox"))
        made.change("a", 1, confusions=(other,))
        (matrix,) = build_table(made.study, made.spec(where={"arch": ("a",)}), made.results).confusions
        assert (matrix.classes, matrix.n, matrix.counts) == (("cat", "dog"), 2, ((15, 5), (4, 16)))

    def test_runs_without_a_matrix(self, made: Any) -> None:
        for seed in (0, 1, 2):
            made.change("a", seed, confusions=())
        spec = made.spec(
            kind="class", factors=(), where={"arch": ("a",)}, columns=("recall",), reported={"0": ("0.7",)}
        )
        table = build_table(made.study, spec, made.results)
        assert [row.name for row in table.rows] == ["0", "macro", "weighted"]
        worded(table.rows[0].cells["recall"].note, "class 0")
        assert table.confusions == ()


def test_a_table_over_arms_has_curves_and_matrices_too(made: Any) -> None:
    table = build_table(made.study, made.spec(), made.results)
    assert [(curve.arm, curve.metric) for curve in table.curves] == [
        *(("a", "train_loss"), ("a", "top1")),
        *(("b", "train_loss"), ("b", "top1")),
    ]
    assert [(matrix.arm, matrix.n) for matrix in table.confusions] == [("a", 3), ("b", 3)]
    assert table.confusions[1].counts == ((27, 3), (3, 27))
