"""Whole tables: rows, columns, deltas, the paper's figures, what is missing, and the sentences below."""

import statistics
from dataclasses import replace
from typing import Any

import pytest
from golden_texts import raising, worded

from ablate.analysis import build_table
from ablate.analysis.compare import compare_with_baseline
from ablate.analysis.values import Sample
from ablate.errors import StudyError

LEE = {
    "A/none": [0.60, 0.62, 0.64],
    "A/c": [0.80, 0.81, 0.83],
    "B/none": [0.70, 0.72, 0.71],
    "B/c": [0.90, 0.91, 0.92],
    "C/none": [0.61, 0.66, 0.63],
}


@pytest.fixture
def lee(maker: Any, factor: Any, subsets: Any) -> Any:
    def build(values: Any = LEE, **fields: Any) -> Any:
        given = {"baseline": {"tweak": "A", "refinements": "none"}} | fields
        return maker([factor("tweak", *"ABC"), subsets("refinements", "c")], values, **given)

    return build


def cells(table: Any, key: str = "top1") -> dict[str, Any]:
    return {row.name: row.cells[key] for row in table.rows}


class TestRows:
    def test_rows_are_the_levels_that_where_keeps(self, lee: Any) -> None:
        made = lee()
        table = build_table(made.study, made.spec(factors=("tweak",), where={"refinements": ("none",)}), made.results)
        assert [row.name for row in table.rows] == ["A", "B", "C"]
        assert [row.arm for row in table.rows] == ["A/none", "B/none", "C/none"]
        assert [row.is_baseline for row in table.rows] == [True, False, False]
        assert table.rows[1].levels == {"tweak": "B", "refinements": "none"}
        assert table.baseline == "A/none"

    def test_two_row_factors_in_the_order_of_the_table(self, lee: Any) -> None:
        made = lee()
        table = build_table(made.study, made.spec(factors=("refinements", "tweak")), made.results)
        assert [row.name for row in table.rows] == ["none/A", "none/B", "none/C", "c/A", "c/B"]

    def test_levels_as_columns(self, lee: Any) -> None:
        made = lee()
        spec = made.spec(
            factors=("tweak",),
            column_factor="refinements",
            columns=("none", "c"),
            metric="top1",
            baseline={"tweak": "A"},
            reported={"B": ("0.71", "0.95"), "C": (None, None)},
        )
        table = build_table(made.study, spec, made.results)
        assert [(c.key, c.metric, c.better) for c in table.columns] == [
            ("none", "top1", "higher"),
            ("c", "top1", "higher"),
        ]
        assert [row.name for row in table.rows] == ["A", "B", "C"]
        b = table.rows[1].cells
        assert (b["none"].mean, b["c"].mean) == (pytest.approx(0.71), pytest.approx(0.91))
        assert (b["none"].delta, b["c"].delta) == (pytest.approx(0.09), pytest.approx(0.91 - 2.44 / 3))
        assert (table.rows[1].arm, table.rows[1].levels) == (None, {"tweak": "B"})
        worded(table.rows[2].cells["c"].note, "design")
        worded(table.baseline, "tweak=A")
        assert table.rows[0].is_baseline
        assert table.mean_absolute_difference == pytest.approx({"none": 0.0, "c": 0.04})

    def test_rows_are_in_the_order_of_the_levels(self, maker: Any, factor: Any) -> None:
        made = maker([factor("tweak", "B", "A")], {"A": [0.5], "B": [0.5]})
        assert [row.name for row in build_table(made.study, made.spec(), made.results).rows] == ["B", "A"]

    def test_a_where_without_arms(self, lee: Any) -> None:
        made = lee()
        with raising(StudyError):
            build_table(made.study, made.spec(where={"tweak": ("C",), "refinements": ("c",)}), made.results)

    def test_two_arms_in_one_cell(self, lee: Any) -> None:
        made = lee()
        with raising(StudyError):
            build_table(made.study, made.spec(factors=("tweak",)), made.results)


class TestCells:
    def test_a_cell_says_all(self, lee: Any) -> None:
        made = lee()
        cell = cells(build_table(made.study, made.spec(), made.results))["B/none"]
        assert cell.mean == pytest.approx(0.71)
        assert cell.sd == pytest.approx(statistics.stdev(LEE["B/none"]))
        assert cell.n == 3
        assert cell.run_ids == tuple(made.of("B/none"))
        samples = {name: Sample(name, name, tuple(values), 3) for name, values in LEE.items()}
        family = compare_with_baseline(samples.pop("A/none"), list(samples.values()), "moderated")["B/none"]
        assert (cell.delta, cell.delta_ci95, cell.p_adjusted) == (family.delta, family.ci95, family.p_adjusted)
        assert (cell.decided, cell.detectable, cell.note) == (True, family.detectable, "")

    def test_the_baseline_has_no_delta(self, lee: Any) -> None:
        cell = cells(build_table((made := lee()).study, made.spec(), made.results))["A/none"]
        assert (cell.delta, cell.delta_ci95, cell.p_adjusted, cell.decided) == (None, None, None, False)

    def test_a_matched_baseline_makes_a_family_of_its_own(self, lee: Any) -> None:
        made = lee()
        found = cells(build_table(made.study, made.spec(baseline={"refinements": "none"}), made.results))
        assert found["A/c"].delta == pytest.approx(2.44 / 3 - 0.62)
        assert found["B/c"].delta == pytest.approx(0.20)
        assert found["B/none"].delta is None
        pair = [Sample(n, n, tuple(LEE[n]), 3) for n in ("B/none", "B/c")]
        assert found["B/c"].p_adjusted == compare_with_baseline(pair[0], pair[1:], "moderated")["B/c"].p_adjusted

    def test_a_baseline_outside_the_table_counts(self, lee: Any) -> None:
        made = lee()
        table = build_table(made.study, made.spec(where={"tweak": ("B",)}), made.results)
        assert [row.name for row in table.rows] == ["B/none", "B/c"]
        assert cells(table)["B/c"].delta == pytest.approx(0.91 - 0.62)
        assert table.baseline == "A/none"

    def test_a_study_without_baseline_has_no_deltas(self, lee: Any) -> None:
        made = lee(baseline={})
        table = build_table(made.study, made.spec(), made.results)
        assert all(cell.delta is None for cell in cells(table).values())
        assert not any(row.is_baseline for row in table.rows)
        assert table.baseline == ""
        assert not any("Differences" in note for note in table.notes)

    def test_welch_where_the_table_says_so(self, lee: Any) -> None:
        made = lee()
        table = build_table(made.study, made.spec(test="welch-holm"), made.results)
        samples = {name: Sample(name, name, tuple(values), 3) for name, values in LEE.items()}
        family = compare_with_baseline(samples.pop("A/none"), list(samples.values()), "welch-holm")
        assert cells(table)["A/c"].p_adjusted == family["A/c"].p_adjusted
        worded(table.notes[0], "Welch", "Holm", "95% intervals", "Bonferroni", "p < 0.05")

    def test_costs_stand_beside_the_metrics(self, lee: Any) -> None:
        made = lee()
        spec = made.spec(columns=("seconds", "epochs_trained", "test_top1", "val_top1"))
        found = build_table(made.study, spec, made.results).rows[0].cells
        assert found["seconds"].mean == 1.0
        assert found["test_top1"].mean == pytest.approx(0.62)  # test is the reported split
        assert found["val_top1"].note == "no val_top1"
        assert found["epochs_trained"].note == "no epochs_trained"


class TestPaths:
    def test_each_step_from_the_one_before(self, maker: Any, factor: Any) -> None:
        values = {"base": [0.5, 0.51, 0.52], "wide": [0.6, 0.61, 0.62], "deep": [0.59, 0.6, 0.62]}
        made = maker([factor("step", *values)], values, baseline={"step": "base"}, design="path")
        found = cells(build_table(made.study, made.spec(), made.results))
        assert (found["base"].delta, found["base"].total) == (None, None)
        assert (found["wide"].delta, found["wide"].total) == (pytest.approx(0.1), pytest.approx(0.1))
        assert (found["deep"].delta, found["deep"].total) == (pytest.approx(-0.02 / 3), pytest.approx(0.28 / 3))
        assert (found["wide"].decided, found["deep"].decided) == (True, False)

    def test_rows_are_in_the_order_of_the_walk(self, maker: Any, factor: Any) -> None:
        made = maker(
            [factor("step", "base", "deep", "wide")], {s: [0.5] for s in ("base", "wide", "deep")}, design="path"
        )
        table = build_table(made.study, made.spec(), made.results)
        assert [row.name for row in table.rows] == ["base", "wide", "deep"]

    def test_each_matched_walk_is_a_family(self, maker: Any, factor: Any) -> None:
        """A second network's walk neither widens the first one's intervals nor raises its p."""
        values = {
            "r18/base": [0.5, 0.51, 0.52],
            "r18/wide": [0.6, 0.61, 0.62],
            "r50/base": [0.2, 0.5, 0.8],
            "r50/wide": [0.3, 0.5, 0.9],
        }
        factors = [factor("arch", "r18", "r50"), factor("step", "base", "wide")]

        def first_walk(values: Any) -> Any:
            from dataclasses import replace

            made = maker(factors, values, baseline={"step": "base"}, design="path")
            starts = {"r18/base": None, "r18/wide": "r18/base", "r50/base": None, "r50/wide": "r50/base"}
            arms = tuple(replace(arm, previous=starts[arm.name]) for arm in made.study.arms)
            study = replace(made.study, arms=arms)
            return cells(
                build_table(study, made.spec(where={"arch": tuple({a.levels["arch"] for a in arms})}), made.results)
            )

        alone = first_walk({name: column for name, column in values.items() if name.startswith("r18")})
        both = first_walk(values)
        assert both["r18/wide"] == alone["r18/wide"]
        assert both["r50/wide"].delta == pytest.approx(0.2 / 3)
        assert both["r50/base"].delta is None

    def test_the_note_names_the_steps(self, maker: Any, factor: Any) -> None:
        values = {"base": [0.5, 0.51, 0.52], "wide": [0.6, 0.61, 0.62]}
        made = maker([factor("step", *values)], values, baseline={"step": "base"}, design="path")
        first = build_table(made.study, made.spec(test="dunnett"), made.results).notes[0]
        worded(first, "variance pooled over the steps", "Holm", "95% intervals", "Bonferroni", "p < 0.05")


class TestReported:
    def test_figures_stand_beside_ours(self, lee: Any) -> None:
        made = lee()
        spec = made.spec(reported={"A/none": ("0.66",), "B/none": ("0.79",), "C/none": (None,)})
        table = build_table(made.study, spec, made.results)
        found = cells(table)
        assert (found["A/none"].reported, found["A/none"].reported_text, found["A/none"].agrees) == (0.66, "0.66", True)
        assert found["A/none"].agreement_width == pytest.approx(2 * 4.302653 * 0.02 * (4 / 3) ** 0.5, rel=1e-6)
        assert found["B/none"].agrees is False
        assert (found["C/none"].reported, found["C/none"].agrees) == (None, None)
        assert table.mean_absolute_difference == pytest.approx({"top1": (0.04 + 0.08) / 2})
        assert (table.comparable, table.not_comparable) == (True, "")

    def test_percent_prints_in_percent(self, lee: Any) -> None:
        made = lee()
        spec = made.spec(reported={"A/none": ("62.013%",)})
        (column,) = build_table(made.study, spec, made.results).columns
        assert (column.percent, column.decimals, column.unit) == (True, 3, "fraction")
        (plain,) = build_table(made.study, made.spec(reported={"A/none": ("0.62",)}), made.results).columns
        assert (plain.percent, plain.decimals) == (False, 3)

    def test_a_profile_is_not_comparable(self, lee: Any) -> None:
        made = lee(profile="cpu")
        table = build_table(made.study, made.spec(reported={"A/none": ("0.66",)}), made.results)
        cell = cells(table)["A/none"]
        assert (cell.reported, cell.agrees, cell.agreement_width) == (0.66, None, None)
        assert not table.comparable
        worded(table.not_comparable, "profile cpu")
        assert cells(table)["B/none"].decided  # our verdicts stand

    def test_one_run_agrees_with_nothing(self, lee: Any) -> None:
        made = lee({name: values[:1] for name, values in LEE.items()}, seeds=(0,))
        cell = cells(build_table(made.study, made.spec(reported={"A/none": ("0.60",)}), made.results))["A/none"]
        assert (cell.n, cell.sd, cell.agrees) == (1, None, None)


class TestMissing:
    def test_two_of_three(self, lee: Any) -> None:
        made = lee()
        made.change("B/none", 1, state="failed", error="Diverged: the loss was not finite", metrics={})
        table = build_table(made.study, made.spec(), made.results)
        cell = cells(table)["B/none"]
        assert (cell.n, cell.p_adjusted, cell.decided) == (2, None, False)
        assert cell.note == "2 of 3 runs (1 diverged)"
        assert cell.delta == pytest.approx(0.085)
        worded(table.notes, "B/none: 2 of 3 runs (1 diverged)")
        assert cells(table)["B/c"].decided

    @pytest.mark.parametrize(
        ("state", "error", "note"),
        [
            ("queued", None, "not run"),
            ("queued", "no weights\nat all", "not run: no weights"),
            ("blocked", "no weights", "not run: no weights"),
            ("running", None, "running"),
            ("lost", None, "lost"),
            ("pruned", None, "pruned"),
            ("failed", "KeyError: 'x'", "failed"),
            ("failed", "the loss is not finite", "diverged"),
        ],
    )
    def test_why_a_cell_is_empty(self, lee: Any, state: str, error: str | None, note: str) -> None:
        made = lee()
        for seed in (0, 1, 2):
            made.change("B/c", seed, state=state, error=error, metrics={})
        cell = cells(build_table(made.study, made.spec(), made.results))["B/c"]
        assert (cell.n, cell.mean, cell.note) == (0, None, note)

    def test_several_reasons(self, lee: Any) -> None:
        made = lee()
        made.lose("B/c", 0)
        made.change("B/c", 1, state="failed", error="KeyError", metrics={})
        made.change("B/c", 2, state="failed", error="KeyError", metrics={})
        cell = cells(build_table(made.study, made.spec(), made.results))["B/c"]
        assert cell.note == "0 of 3 runs (1 not run, 2 failed)"

    def test_a_metric_that_a_run_lacks(self, lee: Any) -> None:
        made = lee()
        made.change("B/c", 0, metrics={"loss": 1.0})
        assert cells(build_table(made.study, made.spec(), made.results))["B/c"].note == "2 of 3 runs (1 no top1)"

    def test_nothing_has_run(self, lee: Any) -> None:
        made = lee()
        table = build_table(made.study, made.spec(reported={"A/none": ("0.66",)}), {})
        assert {cell.note for cell in cells(table).values()} == {"not run"}
        assert cells(table)["A/none"].reported == 0.66
        assert table.mean_absolute_difference == {}
        worded(table.notes[0])

    def test_a_baseline_that_has_not_run(self, lee: Any) -> None:
        made = lee(LEE | {"A/none": []})
        table = build_table(made.study, made.spec(where={"tweak": ("B",)}), made.results)
        assert {(cell.delta, cell.note) for cell in cells(table).values()} == {(None, "A/none has 0 of 3 runs")}
        worded(table.notes, "A/none: not run")

    def test_a_baseline_without_weights_says_so_at_every_row(self, lee: Any) -> None:
        made = lee()
        for seed in (0, 1, 2):
            made.change("A/none", seed, state="blocked", error="no weights", metrics={})
        table = build_table(made.study, made.spec(where={"tweak": ("B",)}), made.results)
        told = "A/none has 0 of 3 runs (not run: no weights)"
        assert {(cell.delta, cell.note) for cell in cells(table).values()} == {(None, told)}

    def test_a_failed_parent(self, lee: Any) -> None:
        from dataclasses import replace

        made = lee(LEE | {"B/c": []})
        parent = next(iter(made.results.values()))
        made.results["p"] = replace(parent, state="failed", metrics={})
        runs = tuple(replace(run, parent="p") if run.run_id in made.of("B/c") else run for run in made.study.runs)
        study = replace(made.study, runs=runs)
        worded(cells(build_table(study, made.spec(), made.results))["B/c"].note, "not run: ", "parent")


class TestNotes:
    def test_the_usual_table_says_its_test_and_n(self, lee: Any) -> None:
        table = build_table((made := lee()).study, made.spec(), made.results)
        assert table.notes == (
            "Differences from the baseline: t-tests with moderated variances (Smyth 2004; an arm's own where that is "
            "larger), p times the number of comparisons; 95% intervals simultaneous by the same rule; one family a "
            "column; not paired by seed. Decided: adjusted p < 0.05.",
            "n = 3 runs a cell, of 3 planned.",
        )

    def test_few_runs(self, lee: Any) -> None:
        made = lee({**LEE, "B/c": [0.5]}, seeds=(0, 1, 2, 3))
        said = "n = 1 to 3 runs a cell, of 4 planned; below n = 3 nothing is decided."
        assert said in build_table(made.study, made.spec(), made.results).notes
        one = lee({name: values[:1] for name, values in LEE.items()}, seeds=(0,))
        said = "n = 1 run a cell, of 1 planned; below n = 3 nothing is decided."
        assert said in build_table(one.study, one.spec(), one.results).notes

    def test_merged_arms(self, lee: Any) -> None:
        made = lee({**LEE, "B/none": []}, merged={"B/none": "A/none"})
        table = build_table(made.study, made.spec(), made.results)
        worded(table.notes, "B/none", "A/none")
        cell = cells(table)["B/none"]
        assert (cell.mean, cell.delta, cell.p_adjusted) == (pytest.approx(0.62), 0.0, None)
        worded(cell.note, "A/none", "B/none")
        assert cell.run_ids == cells(table)["A/none"].run_ids

    def test_bit_equal_arms(self, lee: Any) -> None:
        said = "A/none, B/c came out bit-equal: perhaps what tells them apart did not reach the training."
        made = lee({**LEE, "B/c": LEE["A/none"]})
        assert said in build_table(made.study, made.spec(), made.results).notes
        made = lee()
        assert not any("bit-equal" in note for note in build_table(made.study, made.spec(), made.results).notes)

    def test_bit_equal_replicates(self, lee: Any) -> None:
        made = lee({**LEE, "B/c": [0.9, 0.9, 0.9]})
        table = build_table(made.study, made.spec(), made.results)
        worded(table.notes, "B/c: seeds 0, 1 and 2", "bit-equal")
        made.change("B/c", 2, metrics={"top1": 0.9, "loss": 1.5})
        assert not any("bit-equal" in note for note in build_table(made.study, made.spec(), made.results).notes)
        for seed in (0, 1, 2):
            made.change("B/c", seed, metrics={"top1": 0.9, "loss": 1.0, "examples_per_second": 10.0 + seed})
        assert any("bit-equal" in note for note in build_table(made.study, made.spec(), made.results).notes)

    def test_a_coarse_metric_on_which_some_seeds_agree_accuses_nobody(self, lee: Any) -> None:
        made = lee({**LEE, "B/c": [0.82, 0.84, 0.86, 0.82, 0.84]}, seeds=(0, 1, 2, 3, 4))  # accuracy on 50 items
        assert not any("bit-equal" in note for note in build_table(made.study, made.spec(), made.results).notes)

    def test_other_numerics_are_told_with_their_runs(self, lee: Any) -> None:
        from dataclasses import replace

        made = lee()
        first = next(iter(made.results.values())).attempts[0]
        for name, seed in (("A/none", 0), ("B/c", 2)):
            made.change(name, seed, attempts=(replace(first, fingerprint="cpu, AVX2, 2 threads"),))
        for key, result in made.results.items():
            if result.attempts[0].fingerprint == "cpu-fp32":
                made.results[key] = replace(result, attempts=(replace(first, fingerprint="cpu, AVX2, 1 threads"),))
        table = build_table(made.study, made.spec(), made.results)
        worded(table.notes, "2 numerics", "13", "2 runs", "1 threads", "2 threads", "A/none seed 0", "B/c seed 2")
        assert cells(table)["B/c"].decided  # told, not held against them

    def test_stale(self, lee: Any) -> None:
        made = lee()
        made.change("A/none", 1, stale=True)
        notes = build_table(made.study, made.spec(), made.results).notes
        assert any(note.startswith("Stale: 1 of 15 runs were trained by other code of the trainer") for note in notes)

    def test_looks(self, lee: Any) -> None:
        made = lee()

        def said(**looks: Any) -> tuple[str, ...]:
            return tuple(
                n for n in build_table(made.study, made.spec(), made.results, **looks).notes if "eeds were" in n
            )

        assert said() == ()
        worded(said(looks=1)[0], "1 time")
        worded(said(looks=2, looks_known=False)[0], "2 times")
        worded(said(looks_known=False)[0], "No seeds")

    def test_selection_on_the_reported_split(self, lee: Any) -> None:
        made = lee(recipe={"select": "val_top1", "early_stopping": {"metric": "val_loss", "patience": 3}})
        for arm in LEE:
            for seed in (0, 1, 2):
                made.change(arm, seed, reported_split="val")
        notes = build_table(made.study, made.spec(), made.results).notes
        worded(notes, "(by val_top1)", "val set")
        worded(notes, "(by val_loss)", "val set")
        fair = lee(recipe={"select": "val_top1"})  # these report on test
        assert not any("optimistic" in note for note in build_table(fair.study, fair.spec(), fair.results).notes)

    def test_random_splits(self, lee: Any) -> None:
        made = lee(recipe={"data": {"name": "caltech101", "split": {"train": 0.8, "val": 0.2}}})
        (note,) = (n for n in build_table(made.study, made.spec(), made.results).notes if "re-splits" in n)
        worded(note, "split")
        assert "too narrow" not in note  # it is the paired interval that would be, and none is printed
        fixed = lee(recipe={"data": {"name": "cifar10", "split": {"val": 0.1, "test": "official"}}})
        assert not any("re-splits" in note for note in build_table(fixed.study, fixed.spec(), fixed.results).notes)

    def test_scale(self, lee: Any) -> None:
        made = lee()
        worded(build_table(made.study, made.spec(), made.results).scale, "8 px", "3 epochs")
        data = {"name": "caltech101", "image_size": 32, "fraction": 0.5, "limit": 200, "split": "official"}
        small = lee(recipe={"data": data, "epochs": 1}, profile="cpu")
        small.change("A/none", 0, device="NVIDIA H200")
        worded(
            build_table(small.study, small.spec(), small.results).scale,
            "profile cpu",
            "caltech101",
            "32 px",
            "0.5",
            "200 training",
            "1 epoch",
            "NVIDIA H200",
        )

    def test_scale_counts_the_images_that_the_runs_saw(self, lee: Any) -> None:
        made = lee()
        made.change("A/none", 0, details={"data": {"images": {"train": 2493, "test": 9968}}})
        made.change("A/none", 1, details={"data": {"images": {"train": 2490, "test": 9968}}})
        worded(
            build_table(made.study, made.spec(), made.results).scale,
            "8 px",
            "2,490",
            "2,493 train",
            "9,968 test",
            "3 epochs",
        )

    def test_first_weights_of_ours_are_named_and_not_comparable(self, lee: Any) -> None:
        made = lee()
        first, child = made.study.arm("A/none"), made.study.arm("B/none")
        init = {"arm": first.arm_id, "seed": "same", "weights": "last"}
        starts = replace(child, recipe={**child.recipe, "model": {"arch": "resnet18", "init": init}})
        study = replace(made.study, arms=tuple(starts if arm == child else arm for arm in made.study.arms))
        runs = [replace(run, recipe={**run.recipe, "model": {"arch": "resnet50"}}) for run in study.runs]
        study = replace(study, runs=tuple(runs))
        held = build_table(study, made.spec(reported={"B/none": ("0.7",)}), made.results)
        worded(held.scale, "resnet50")
        assert not held.comparable
        worded(held.not_comparable)
        assert build_table(study, made.spec(reported={"A/none": ("0.7",)}), made.results).comparable

    def test_other_data_than_the_papers_is_not_comparable(self, lee: Any) -> None:
        made = lee()
        spec = made.spec(reported={"A/none": ("0.7",)})
        same, other = (replace(made.study, cite={"data": data}) for data in ("digits", "his own"))
        assert build_table(same, spec, made.results).comparable
        table = build_table(other, spec, made.results)
        assert not table.comparable
        worded(table.not_comparable)

    def test_a_foreign_trainer_has_a_free_recipe(self, lee: Any) -> None:
        made = lee(recipe={"data": "shakespeare", "early_stopping": None, "epochs": None}, metrics={"val_bpc": "lower"})
        made.change("A/none", 0, metrics={"val_bpc": 1.5})
        table = build_table(made.study, made.spec(columns=("val_bpc",)), made.results)
        worded(table.scale, "full scale", "cpu")
        assert (table.columns[0].better, table.columns[0].unit) == ("lower", "")
        assert table.rows[0].cells["val_bpc"].mean == 1.5

    def test_a_script_that_selects_on_what_is_reported(self, lee: Any) -> None:
        made = lee(recipe={"data": "own"}, metrics={"val_bpc": "lower"})
        study, spec = made.study, made.spec(columns=("val_bpc",))

        def selecting(metric: str) -> Any:
            trainer = {"command": ["x"], "select": {"metric": metric, "better": "lower"}}
            return replace(study, trainer={"command": "x"}, arms=[replace(arm, trainer=trainer) for arm in study.arms])

        for arm in LEE:
            made.change(arm, 0, metrics={"val_bpc": 1.5}, reported_split="val")
        table = build_table(selecting("val_bpc"), spec, made.results)
        assert "best epoch by val_bpc" in table.scale
        worded([note for note in table.notes if "optimistic" in note], "val set")
        assert any("optimistic" in note for note in build_table(selecting("bpc"), spec, made.results).notes)
        assert not any("optimistic" in note for note in build_table(selecting("train_bpc"), spec, made.results).notes)
        result = made.results[made.of("B/none")[0]]
        made.change("B/none", 0, details={"counted_by": {"train_bpc": "match"}}, attempts=(*result.attempts,) * 2)
        worded(
            [note for note in build_table(selecting("train_bpc"), spec, made.results).notes if "selects" in note],
            "1 runs",
        )


def test_claims_are_judged_in_the_table(lee: Any, claim: Any) -> None:
    made = lee()
    b, a = ("B", {"tweak": "B", "refinements": "none"}), ("A", {"tweak": "A", "refinements": "none"})
    table = build_table(made.study, made.spec(claims=(claim(">", b, a), claim("prose"))), made.results)
    assert [found.verdict for found in table.claims] == ["holds", "not testable"]
