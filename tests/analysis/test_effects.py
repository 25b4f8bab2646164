"""Effects by least squares: against means taken by hand, against statsmodels' formulas, and on grids with holes."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ablate.analysis import build_table, effects_table
from ablate.analysis.power import detectable_main_effect

NAMES = ("none", "c", "l", "m", "c+l", "c+m", "l+m", "c+l+m")


def scores(rng: np.random.Generator, spread: float = 0.1, n: int = 3, **of: float) -> dict[str, list[float]]:
    """A grid of subsets in which each named member, or pair `c_l`, adds its amount."""
    values = {}
    for name in NAMES:
        on = set(name.split("+"))
        mean = sum(amount for key, amount in of.items() if set(key.split("_")) <= on)
        values[name] = (mean + spread * rng.standard_normal(n)).tolist()
    return values


@pytest.fixture
def grid(maker: Any, subsets: Any) -> Any:
    def build(values: dict[str, list[float]], **fields: Any) -> Any:
        return maker([subsets("refinements", "c", "l", "m")], values, baseline={"refinements": "none"}, **fields)

    return build


def by_name(table: Any, column: str = "top1") -> dict[str, Any]:
    return {row.name: row.cells[column] for row in table.rows}


def test_members_are_factors_of_their_own(grid: Any) -> None:
    made = grid(scores(np.random.default_rng(0)))
    table = effects_table(made.study, made.results, "top1")
    assert [row.name for row in table.rows] == ["c", "l", "m", "c × l", "c × m", "l × m"]
    assert table.rows[3].levels == {"c": "with c", "l": "with l"}
    assert (table.kind, table.test, {row.arm for row in table.rows}) == ("effect", "holm", {None})


def test_effects_are_differences_of_means(grid: Any) -> None:
    values = scores(np.random.default_rng(0), c=0.5, l=0.2, c_l=0.3)
    table = effects_table((made := grid(values)).study, made.results, "top1")

    def mean(condition: Any) -> float:
        return float(np.mean([value for name in NAMES if condition(set(name.split("+"))) for value in values[name]]))

    effects = by_name(table)
    with_c = mean(lambda on: "c" in on) - mean(lambda on: "c" not in on)
    assert effects["c"].delta == pytest.approx(with_c)
    at_l = mean(lambda on: {"c", "l"} <= on) - mean(lambda on: "c" not in on and "l" in on)
    assert effects["c × l"].delta == pytest.approx(at_l - with_c)
    assert effects["c"].n == 24


def test_p_and_interval_are_those_of_a_formula(grid: Any) -> None:
    from statsmodels.formula.api import ols
    from statsmodels.stats.multitest import multipletests

    values = scores(np.random.default_rng(4), c=0.2, l=-0.1, c_m=0.15)
    rows = [
        {"y": y, "seed": seed, **{member: (1 if member in name.split("+") else -1) for member in "clm"}}
        for name, column in values.items()
        for seed, y in enumerate(column)
    ]
    theirs = ols("y ~ C(seed) + (c + l + m) ** 2", pd.DataFrame(rows)).fit()
    keys = {"c": "c", "l": "l", "m": "m", "c × l": "c:l", "c × m": "c:m", "l × m": "l:m"}
    adjusted = multipletests([theirs.pvalues[key] for key in keys.values()], method="holm")[1]
    made = grid(values)
    effects = by_name(effects_table(made.study, made.results, "top1"))
    intervals = theirs.conf_int(0.05 / 6)
    for p, (ours, key) in zip(adjusted, keys.items(), strict=True):
        assert effects[ours].delta == pytest.approx(2 * theirs.params[key])
        assert effects[ours].p_adjusted == pytest.approx(p)
        assert effects[ours].delta_ci95 == pytest.approx(tuple(2 * intervals.loc[key]))
        smallest = detectable_main_effect(3, 3, comparisons=6)
        assert effects[ours].detectable == pytest.approx(smallest * np.sqrt(theirs.scale), rel=1e-6)


def test_replicates_are_blocks(grid: Any) -> None:
    """What a seed does to every arm alike is taken out: the intervals stay as they were."""
    values = scores(np.random.default_rng(5), c=0.2)
    shifted = {name: [v + 10.0 * seed for seed, v in enumerate(column)] for name, column in values.items()}
    first, second = (by_name(effects_table((made := grid(v)).study, made.results, "top1")) for v in (values, shifted))
    assert second["c"].delta_ci95 == pytest.approx(first["c"].delta_ci95)


def test_larger_factors_are_held_against_their_mean(maker: Any, factor: Any) -> None:
    rng = np.random.default_rng(6)
    amount = {"A": 0.0, "B": 0.3, "C": -0.1, "off": 0.0, "on": 0.2}
    values = {
        f"{t}/{m}": (
            amount[t] + amount[m] + (0.4 if (t, m) == ("B", "on") else 0) + 0.01 * rng.standard_normal(3)
        ).tolist()
        for t, m in itertools.product("ABC", ("off", "on"))
    }
    made = maker(
        [factor("tweak", *"ABC"), factor("mixup", "off", "on")], values, baseline={"tweak": "A", "mixup": "off"}
    )
    effects = by_name(effects_table(made.study, made.results, "top1"))
    assert list(effects) == [
        *("tweak=A", "tweak=B", "tweak=C", "mixup=on"),
        *("tweak=A × mixup=on", "tweak=B × mixup=on", "tweak=C × mixup=on"),
    ]
    means = {t: np.mean([values[f"{t}/off"], values[f"{t}/on"]]) for t in "ABC"}
    gain = {t: np.mean(values[f"{t}/on"]) - np.mean(values[f"{t}/off"]) for t in "ABC"}
    for t in "ABC":
        assert effects[f"tweak={t}"].delta == pytest.approx(means[t] - np.mean(list(means.values())))
        assert effects[f"tweak={t} × mixup=on"].delta == pytest.approx(gain[t] - np.mean(list(gain.values())))
    assert effects["mixup=on"].delta == pytest.approx(np.mean(list(gain.values())))


def test_two_larger_factors(maker: Any, factor: Any) -> None:
    rng = np.random.default_rng(8)
    values = {f"{a}/{b}": rng.standard_normal(3).tolist() for a, b in itertools.product("ABC", "xyz")}
    made = maker([factor("f", *"ABC"), factor("g", *"xyz")], values)
    effects = by_name(effects_table(made.study, made.results, "top1"))
    cell = {name: np.mean(column) for name, column in values.items()}
    whole = np.mean(list(cell.values()))
    row, column = (np.mean([cell[f"C/{b}"] for b in "xyz"]), np.mean([cell[f"{a}/z"] for a in "ABC"]))
    assert len(effects) == 3 + 3 + 9
    assert effects["f=C × g=z"].delta == pytest.approx(cell["C/z"] - row - column + whole)


def test_the_baselines_level_is_the_low_one(maker: Any, factor: Any) -> None:
    values = {"A/off": [0.1, 0.2, 0.3], "B/off": [0.2, 0.3, 0.5], "A/on": [0.1, 0.3, 0.2], "B/on": [0.4, 0.5, 0.5]}
    made = maker([factor("tweak", "A", "B"), factor("mixup", "off", "on")], values, baseline={"tweak": "B"})
    table = effects_table(made.study, made.results, "top1")
    assert [row.name for row in table.rows] == ["tweak=A", "mixup=on", "tweak=A × mixup=on"]
    assert by_name(table)["tweak=A"].delta < 0


class TestHoles:
    def test_one_at_a_time_has_main_effects_only(self, grid: Any) -> None:
        values = {name: column for name, column in scores(np.random.default_rng(1)).items() if "+" not in name}
        made = grid(values)
        table = effects_table(made.study, made.results, "top1")
        effects = by_name(table)
        assert list(effects) == ["c", "l", "m"]
        assert effects["c"].delta == pytest.approx(np.mean(values["c"]) - np.mean(values["none"]))

    def test_a_half_fraction_names_the_confounded(self, maker: Any, factor: Any) -> None:
        """a b c with c = a b: each main effect is confounded with the other two's interaction, which is left out."""
        rng = np.random.default_rng(2)
        arms = ["0/0/1", "1/0/0", "0/1/0", "1/1/1"]
        made = maker([factor(f, "0", "1") for f in "abc"], {arm: rng.standard_normal(3).tolist() for arm in arms})
        table = effects_table(made.study, made.results, "top1")
        assert [row.name for row in table.rows] == ["a=1", "b=1", "c=1"]
        assert (
            "top1: left out and taken as zero: a × b (confounded with c); a × c (confounded with b); "
            "b × c (confounded with a)."
        ) in table.notes
        assert any("4 of 8 cells of the grid have no run: a=0 b=0 c=0," in note for note in table.notes)

    def test_factors_that_move_together_are_both_left_out(self, maker: Any, factor: Any) -> None:
        made = maker(
            [factor(f, "0", "1") for f in "abc"],
            {arm: np.random.default_rng(0).standard_normal(3).tolist() for arm in ("0/0/0", "1/1/0", "0/0/1", "1/1/1")},
        )
        table = effects_table(made.study, made.results, "top1")
        assert [row.name for row in table.rows] == ["c=1"]
        (note,) = [note for note in table.notes if "left out" in note]
        assert "a (confounded with b); b (confounded with a)" in note
        assert "a × c (confounded with b × c)" in note

    def test_lees_grid(self, maker: Any, factor: Any, subsets: Any) -> None:
        """C and D stand without refinements: tweak x refinement can't be told apart; on A and B it can."""
        rng = np.random.default_rng(9)
        arms = [f"{tweak}/{name}" for tweak in "AB" for name in NAMES] + ["C/none", "D/none"]
        factors = [factor("tweak", *"ABCD"), subsets("refinements", "c", "l", "m")]
        made = maker(
            factors,
            {arm: rng.standard_normal(3).tolist() for arm in arms},
            baseline={"tweak": "A", "refinements": "none"},
        )
        whole = effects_table(made.study, made.results, "top1")
        assert [row.name for row in whole.rows] == [
            *("tweak=A", "tweak=B", "tweak=C", "tweak=D", "c", "l", "m", "c × l", "c × m", "l × m"),
        ]
        assert any("tweak × c (confounded with" in note for note in whole.notes)
        assert any("14 of 32 cells of the grid have no run: tweak=C +c -l -m," in note for note in whole.notes)
        part = effects_table(made.study, made.results, "top1", where={"tweak": ("A", "B")})
        assert [row.name for row in part.rows][:4] == ["tweak=B", "c", "l", "m"]
        assert "tweak=B × c" in by_name(part)
        assert not any("no run" in note for note in part.notes)

    def test_members_that_never_meet(self, maker: Any, subsets: Any) -> None:
        rng = np.random.default_rng(3)
        made = maker([subsets("r", "c", "l")], {name: rng.standard_normal(3).tolist() for name in ("none", "c", "l")})
        table = effects_table(made.study, made.results, "top1")
        assert [row.name for row in table.rows] == ["c", "l"]
        assert any("left out" in note and "c × l" in note for note in table.notes)

    def test_a_level_still_to_come_does_not_stop_the_others(self, maker: Any, factor: Any) -> None:
        values = {"A": [0.1, 0.2, 0.3], "B": [0.5, 0.6, 0.5], "C": []}
        made = maker([factor("tweak", *"ABC")], values, baseline={"tweak": "A"})
        table = effects_table(made.study, made.results, "top1")
        assert by_name(table)["tweak=B"].delta == pytest.approx(1 / 3)
        assert "top1: 1 of 3 cells of the grid have no run: tweak=C." in table.notes

    def test_a_member_still_to_come_makes_no_cells_twice(self, maker: Any, subsets: Any) -> None:
        values = {"none": [0.1, 0.2, 0.3], "c": [0.5, 0.6, 0.5], "l": [0.4, 0.2, 0.3], "m": [], "c+l": [], "c+l+m": []}
        made = maker([subsets("r", "c", "l", "m")], values)
        table = effects_table(made.study, made.results, "top1")
        assert "top1: 1 of 4 cells of the grid have no run: +c +l." in table.notes

    def test_lost_runs_are_left_out_and_said(self, grid: Any) -> None:
        made = grid(scores(np.random.default_rng(1), c=1.0))
        made.lose("c+l", 2)
        made.change("m", 0, state="failed", error="diverged: the loss is not finite at step 7", metrics={})
        table = effects_table(made.study, made.results, "top1")
        assert by_name(table)["c"].n == 22
        assert by_name(table)["c"].decided
        said = "Missing runs are left out of the model. m: 2 of 3 runs (1 diverged), c+l: 2 of 3 runs (1 not run)."
        assert said in table.notes


class TestNoP:
    def test_nothing_left_over(self, maker: Any, factor: Any) -> None:
        made = maker(
            [factor("a", "0", "1"), factor("b", "0", "1")],
            {f"{i}/{j}": [0.1 * i + 0.3 * j] for i in (0, 1) for j in (0, 1)},
            seeds=(0,),
        )
        cell = by_name(effects_table(made.study, made.results, "top1"))["b=1"]
        assert cell.delta == pytest.approx(0.3)
        assert (cell.delta_ci95, cell.p_adjusted, cell.decided) == (None, None, False)
        assert cell.note == "no p: no runs are left over to judge by"

    def test_a_level_with_two_runs(self, maker: Any, factor: Any) -> None:
        made = maker([factor("a", "0", "1")], {"0": [0.1, 0.2], "1": [0.3, 0.5]}, seeds=(0, 1))
        cell = by_name(effects_table(made.study, made.results, "top1"))["a=1"]
        assert cell.delta_ci95 is not None
        assert (cell.p_adjusted, cell.note) == (None, "no p: a level of it has fewer than 3 runs")

    def test_no_residual(self, grid: Any) -> None:
        made = grid(scores(np.random.default_rng(1), spread=0.0, c=0.5))
        cell = by_name(effects_table(made.study, made.results, "top1"))["c"]
        assert (cell.delta, cell.p_adjusted) == (pytest.approx(0.5), None)

    def test_no_runs(self, grid: Any) -> None:
        made = grid({name: [] for name in NAMES})
        table = effects_table(made.study, made.results, "top1")
        assert table.rows == ()
        assert "top1: no run is done." in table.notes


def test_a_declared_table_has_a_column_a_metric(grid: Any) -> None:
    rng = np.random.default_rng(1)
    first, second = scores(rng, c=1.0), scores(rng, l=1.0)
    made = grid({name: {"top1": first[name], "loss": second[name]} for name in NAMES})
    spec = made.spec(kind="effect", factors=(), columns=("top1", "loss", "top5"), reported={"c": ("0.95", None, None)})
    table = build_table(made.study, spec, made.results)
    assert [column.key for column in table.columns] == ["top1", "loss", "top5"]
    assert by_name(table)["c"].decided
    assert not by_name(table, "loss")["c"].decided
    assert by_name(table, "loss")["l"].decided
    assert by_name(table, "top5")["c"].note == "no top5"
    assert (by_name(table)["c"].reported, by_name(table)["c"].reported_text) == (0.95, "0.95")


def test_row_factors_and_columns_of_levels_have_fits_of_their_own(maker: Any, factor: Any) -> None:
    rng = np.random.default_rng(1)
    grid = itertools.product(("r18", "r50"), "xy", "01")
    values = {f"{arch}/{size}/{b}": rng.standard_normal(3).tolist() for arch, size, b in grid}
    made = maker([factor("arch", "r18", "r50"), factor("size", *"xy"), factor("b", *"01")], values)
    rows = build_table(made.study, made.spec(kind="effect", factors=("arch",)), made.results).rows
    assert [row.name for row in rows] == [
        f"{arch}/{e}" for arch in ("r18", "r50") for e in ("size=y", "b=1", "size=y × b=1")
    ]
    assert rows[0].levels == {"arch": "r18", "size": "y"}
    alone = effects_table(made.study, made.results, "top1", where={"arch": ("r50",)})
    assert rows[4].cells["top1"] == by_name(alone)["b=1"]
    spec = made.spec(
        kind="effect",
        factors=("arch",),
        column_factor="size",
        columns=("x", "y"),
        metric="top1",
        reported={"r50/b=1": ("0.1", "0.2")},
    )
    table = build_table(made.study, spec, made.results)
    assert [row.name for row in table.rows] == ["r18/b=1", "r50/b=1"]
    cell = table.rows[1].cells["y"]
    assert cell.delta == pytest.approx(np.mean(values["r50/y/1"]) - np.mean(values["r50/y/0"]))
    assert (cell.reported, cell.n) == (0.2, 6)
    assert "r50, y, top1: 6 runs, 2 degrees of freedom left over." in table.notes


def test_reported_interactions_may_be_typed_plainly(grid: Any) -> None:
    made = grid(scores(np.random.default_rng(1)))
    for typed in ("c x l", "c:l", "c*l", "c × l"):
        spec = made.spec(kind="effect", factors=(), reported={typed: ("0.02",)})
        assert by_name(build_table(made.study, spec, made.results))["c × l"].reported == 0.02


def test_arms_that_are_the_same_run_count_once(maker: Any, factor: Any) -> None:
    values = {"A/0": [0.1, 0.2, 0.3], "A/1": [0.5, 0.6, 0.8], "B/0": [], "B/1": [0.2, 0.3, 0.2]}
    made = maker([factor("tweak", "A", "B"), factor("b", "0", "1")], values, merged={"B/0": "A/0"})
    table = effects_table(made.study, made.results, "top1")
    assert by_name(table)["b=1"].n == 9


def test_effects_raise_few_false_alarms(grid: Any) -> None:
    """Nothing has an effect: the share of tables with any decided row is 5% at most."""
    rng = np.random.default_rng(11)
    tables, alarms = 150, 0
    for _ in range(tables):
        made = grid(scores(rng))
        alarms += any(row.cells["top1"].decided for row in effects_table(made.study, made.results, "top1").rows)
    assert alarms <= stats.binom.ppf(0.999, tables, 0.05)
