"""Effects by least squares: against means taken by hand, against statsmodels' formulas, and on grids with holes."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from golden_texts import worded
from scipy import stats

from ablate.analysis import build_table, digits
from ablate.analysis.effects import effects_of_table
from ablate.analysis.power import detectable_effect
from ablate.analysis.table import Table
from ablate.analysis.values import Replicates
from ablate.study.values.study import Study, TableSpec

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


def effects_table(study: Study, results: Any, metric: str, *, where: Any = (), test: str = "moderated") -> Table:
    """Main effects and two-way interactions on one metric, over all arms or those that `where` keeps."""
    kept = {f.name: tuple(level.name for level in f.levels) for f in study.factors} | dict(where)
    spec = TableSpec(name=f"effects_{metric}", factors=(), kind="effect", where=kept, columns=(metric,), test=test)
    table = effects_of_table(study, spec, Replicates(study, results))
    return replace(table, columns=digits.fit(table.columns, table.rows))


def by_name(table: Any, column: str = "top1") -> dict[str, Any]:
    return {row.name: row.cells[column] for row in table.rows}


def test_members_are_factors_of_their_own(grid: Any) -> None:
    made = grid(scores(np.random.default_rng(0)))
    table = effects_table(made.study, made.results, "top1")
    assert [row.name for row in table.rows] == ["c", "l", "m", "c × l", "c × m", "l × m"]
    assert table.rows[3].levels == {"c": "with c", "l": "with l"}
    assert (table.kind, table.test, {row.arm for row in table.rows}) == ("effect", "moderated", {None})


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
    """Under `dunnett`: the residual of the model, p and interval adjusted by the number of effects."""
    from statsmodels.formula.api import ols

    values = scores(np.random.default_rng(4), c=0.2, l=-0.1, c_m=0.15)
    rows = [
        {"y": y, "seed": seed, **{member: (1 if member in name.split("+") else -1) for member in "clm"}}
        for name, column in values.items()
        for seed, y in enumerate(column)
    ]
    theirs = ols("y ~ C(seed) + (c + l + m) ** 2", pd.DataFrame(rows)).fit()
    keys = {"c": "c", "l": "l", "m": "m", "c × l": "c:l", "c × m": "c:m", "l × m": "l:m"}
    made = grid(values)
    effects = by_name(effects_table(made.study, made.results, "top1", test="dunnett"))
    intervals = theirs.conf_int(0.05 / 6)
    for ours, key in keys.items():
        assert effects[ours].delta == pytest.approx(2 * theirs.params[key])
        assert effects[ours].p_adjusted == pytest.approx(min(1.0, 6 * theirs.pvalues[key]))
        assert effects[ours].delta_ci95 == pytest.approx(tuple(2 * intervals.loc[key]))
        assert effects[ours].test == "residual"
        smallest = detectable_effect([1 / 4, -1 / 4] * 4, 3, 6, "dunnett", rank=7)
        assert effects[ours].detectable == pytest.approx(smallest * np.sqrt(theirs.scale), rel=1e-6)


def test_an_effect_is_judged_by_its_arms_variances(grid: Any) -> None:
    """Under `welch-holm` by hand: c is the mean of four arms less that of four, its variance the sum of s^2 / 3 / 16."""
    values = scores(np.random.default_rng(4), c=0.2)
    made = grid(values)
    found = by_name(effects_table(made.study, made.results, "top1", test="welch-holm"))["c"]
    shares = [np.var(column, ddof=1) / 3 / 16 for column in values.values()]
    error, df = np.sqrt(sum(shares)), sum(shares) ** 2 / sum(share**2 / 2 for share in shares)
    assert found.p_adjusted == pytest.approx(min(1.0, 6 * 2 * stats.t.sf(found.delta / error, df)))
    half = stats.t.isf(0.05 / 12, df) * error
    assert found.delta_ci95 == pytest.approx((found.delta - half, found.delta + half))


def test_replicates_are_blocks(grid: Any) -> None:
    """What a seed does to every arm alike is taken out of the model's residual: the intervals stay as they were."""
    values = scores(np.random.default_rng(5), c=0.2)
    shifted = {name: [v + 10.0 * seed for seed, v in enumerate(column)] for name, column in values.items()}
    first, second = (
        by_name(effects_table((made := grid(v)).study, made.results, "top1", test="dunnett")) for v in (values, shifted)
    )
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
    def test_one_at_a_time_has_sums_only(self, grid: Any) -> None:
        """What is seen of c is its effect where l and m are off: the main effect less both interactions."""
        values = {name: column for name, column in scores(np.random.default_rng(1)).items() if "+" not in name}
        made = grid(values)
        table = effects_table(made.study, made.results, "top1")
        effects = by_name(table)
        assert list(effects) == ["c - c × l - c × m", "l - c × l - l × m", "m - c × m - l × m"]
        assert effects["c - c × l - c × m"].delta == pytest.approx(np.mean(values["c"]) - np.mean(values["none"]))

    def test_a_half_fraction_names_the_confounded(self, maker: Any, factor: Any) -> None:
        """a b c with c = a b: each main effect can't be told from the other two's interaction, and is named so."""
        rng = np.random.default_rng(2)
        arms = ["0/0/1", "1/0/0", "0/1/0", "1/1/1"]
        made = maker([factor(f, "0", "1") for f in "abc"], {arm: rng.standard_normal(3).tolist() for arm in arms})
        table = effects_table(made.study, made.results, "top1")
        assert [row.name for row in table.rows] == ["a=1 + b=1 × c=1", "b=1 + a=1 × c=1", "c=1 + a=1 × b=1"]
        worded(
            table.notes, "top1", "a × b (confounded with c)", "a × c (confounded with b)", "b × c (confounded with a)"
        )
        worded(table.notes, "top1: ", "a=1 + b=1 × c=1; b=1 + a=1 × c=1; c=1 + a=1 × b=1")
        assert not any("taken as zero" in note for note in table.notes)
        assert any("4 of 8 cells of the grid have no run: a=0 b=0 c=0," in note for note in table.notes)

    def test_factors_that_move_together_are_both_left_out(self, maker: Any, factor: Any) -> None:
        made = maker(
            [factor(f, "0", "1") for f in "abc"],
            {arm: np.random.default_rng(0).standard_normal(3).tolist() for arm in ("0/0/0", "1/1/0", "0/0/1", "1/1/1")},
        )
        table = effects_table(made.study, made.results, "top1")
        assert [row.name for row in table.rows] == ["c=1"]
        (note,) = [note for note in table.notes if "left out" in note]
        worded(note, "a (confounded with b)", "b (confounded with a)")
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
        with_all = " + part of tweak × c + part of tweak × l + part of tweak × m"
        assert [row.name for row in whole.rows] == [
            *(f"tweak={tweak}{with_all}" for tweak in "ABCD"),
            *(f"{member} + part of tweak × {member}" for member in "clm"),
            *("c × l", "c × m", "l × m"),
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
        assert [row.name for row in table.rows] == ["c - c × l", "l - c × l"]
        assert any("left out" in note and "c × l" in note for note in table.notes)

    def test_a_level_still_to_come_does_not_stop_the_others(self, maker: Any, factor: Any) -> None:
        values = {"A": [0.1, 0.2, 0.3], "B": [0.5, 0.6, 0.5], "C": []}
        made = maker([factor("tweak", *"ABC")], values, baseline={"tweak": "A"})
        table = effects_table(made.study, made.results, "top1")
        assert by_name(table)["tweak=B"].delta == pytest.approx(1 / 3)
        worded(table.notes, "top1: 1 of 3 cells", "tweak=C")

    def test_a_member_still_to_come_makes_no_cells_twice(self, maker: Any, subsets: Any) -> None:
        values = {"none": [0.1, 0.2, 0.3], "c": [0.5, 0.6, 0.5], "l": [0.4, 0.2, 0.3], "m": [], "c+l": [], "c+l+m": []}
        made = maker([subsets("r", "c", "l", "m")], values)
        table = effects_table(made.study, made.results, "top1")
        worded(table.notes, "top1: 1 of 4 cells", "+c +l")

    def test_lost_runs_are_left_out_and_nothing_is_decided(self, grid: Any) -> None:
        made = grid(scores(np.random.default_rng(1), c=1.0))
        made.lose("c+l", 2)
        made.change("m", 0, state="failed", error="diverged: the loss is not finite at step 7", metrics={})
        table = effects_table(made.study, made.results, "top1")
        assert by_name(table)["c"].n == 22
        assert by_name(table)["c"].planned == 24
        assert by_name(table)["c"].delta == pytest.approx(1.0, abs=0.15)
        said = {(c.delta_ci95, c.p_adjusted, c.decided, c.detectable, c.note) for c in by_name(table).values()}
        assert said == {(None, None, False, None, "m has 2 of 3 runs; 1 other arm missing runs or in doubt")}
        said = (
            "Missing runs are left out of the model, and while there are any no effect is decided. "
            "m: 2 of 3 runs (1 diverged), c+l: 2 of 3 runs (1 not run)."
        )
        assert said in table.notes
        assert not any("Effects: " in note or "residual" in note for note in table.notes), (
            "by no rule was anything tested"
        )

    @pytest.mark.parametrize("test", ["moderated", "dunnett", "welch-holm"])
    @pytest.mark.parametrize("state", ["failed", "blocked", "queued", "lost", "gone"])
    def test_one_run_missing_in_any_way(self, grid: Any, test: str, state: str) -> None:
        made = grid(scores(np.random.default_rng(1), c=1.0))
        assert by_name(effects_table(made.study, made.results, "top1", test=test))["c"].decided
        if state == "gone":
            made.lose("l+m", 1)
        else:
            made.change("l+m", 1, state=state, metrics={})
        cells = by_name(effects_table(made.study, made.results, "top1", test=test)).values()
        assert {(c.delta_ci95, c.p_adjusted, c.decided) for c in cells} == {(None, None, False)}
        assert all(c.delta is not None and "l+m has 2 of 3 runs" in c.note for c in cells)

    def test_an_arm_in_doubt_decides_nothing(self, grid: Any) -> None:
        made = grid(scores(np.random.default_rng(1), c=1.0))
        for seed in (0, 1):
            made.change("l", seed, details={"data": {"digest": str(seed) * 64}})
        found = by_name(effects_table(made.study, made.results, "top1"))["c"]
        assert (found.p_adjusted, found.decided) == (None, False)
        worded(found.note, "l: mixed: data 00000000 (seed 0) and 11111111 (seed 1)")

    def test_an_arm_of_the_design_without_any_run(self, maker: Any, factor: Any) -> None:
        values = {f"{a}/{b}": [0.1 + (a == "1"), 0.2 + (a == "1"), 0.15 + (a == "1")] for a in "01" for b in "01"}
        values["2/0"] = []
        made = maker([factor("a", *"012"), factor("b", "0", "1")], values)
        cells = by_name(effects_table(made.study, made.results, "top1")).values()
        assert {(cell.p_adjusted, cell.note) for cell in cells} == {(None, "2/0 has 0 of 3 runs")}
        kept = by_name(effects_table(made.study, made.results, "top1", where={"a": ("0", "1")}))
        assert kept["a=1"].decided

    def test_a_clear_main_effect_beside_confounded_pairs_is_itself(self, maker: Any, factor: Any) -> None:
        """Resolution IV, d = abc: main effects stand by themselves, pairs are confounded with pairs."""
        rng = np.random.default_rng(2)
        arms = [f"{a}/{b}/{c}/{a ^ b ^ c}" for a, b, c in itertools.product((0, 1), repeat=3)]
        made = maker([factor(f, "0", "1") for f in "abcd"], {arm: rng.standard_normal(3).tolist() for arm in arms})
        table = effects_table(made.study, made.results, "top1")
        assert [row.name for row in table.rows] == ["a=1", "b=1", "c=1", "d=1"]
        assert any("a × b (confounded with c × d)" in note for note in table.notes)


class TestNoP:
    def test_an_effect_of_equal_values_is_zero(self, grid: Any) -> None:
        """What the pseudo-inverse leaves of it is rounding, and was printed as -3.33e-16."""
        made = grid({arm: [1 / 3, 1 / 3, 1 / 3] for arm in scores(np.random.default_rng(1))})
        cells = by_name(effects_table(made.study, made.results, "top1")).values()
        assert {(cell.delta, cell.p_adjusted) for cell in cells} == {(0.0, None)}

    def test_nothing_left_over(self, maker: Any, factor: Any) -> None:
        made = maker(
            [factor("a", "0", "1"), factor("b", "0", "1")],
            {f"{i}/{j}": [0.1 * i + 0.3 * j] for i in (0, 1) for j in (0, 1)},
            seeds=(0,),
        )
        cell = by_name(effects_table(made.study, made.results, "top1"))["b=1"]
        assert cell.delta == pytest.approx(0.3)
        assert (cell.delta_ci95, cell.p_adjusted, cell.decided) == (None, None, False)
        worded(cell.note, "no p: ", "degrees of freedom")

    def test_one_run_an_arm_is_judged_by_the_residual(self, maker: Any, factor: Any) -> None:
        rng = np.random.default_rng(2)
        arms = ["/".join(levels) for levels in itertools.product("01", repeat=4)]
        values = {arm: [float(arm[0]) + 0.1 * rng.standard_normal()] for arm in arms}
        made = maker([factor(f, "0", "1") for f in "abcd"], values, seeds=(0,))
        table = effects_table(made.study, made.results, "top1")
        cell = by_name(table)["a=1"]
        assert (cell.decided, cell.test) == (True, "residual")
        assert any("residual variance (one run an arm, so no arm has a variance of its own)" in n for n in table.notes)

    def test_a_level_with_two_runs(self, maker: Any, factor: Any) -> None:
        made = maker([factor("a", "0", "1")], {"0": [0.1, 0.2], "1": [0.3, 0.5]}, seeds=(0, 1))
        cell = by_name(effects_table(made.study, made.results, "top1"))["a=1"]
        assert cell.delta_ci95 is not None
        assert cell.p_adjusted is None
        worded(cell.note, "no p: ", "3 runs")

    def test_no_residual(self, grid: Any) -> None:
        made = grid(scores(np.random.default_rng(1), spread=0.0, c=0.5))
        cell = by_name(effects_table(made.study, made.results, "top1"))["c"]
        assert (cell.delta, cell.p_adjusted) == (pytest.approx(0.5), None)

    def test_an_arm_that_does_not_vary(self, grid: Any) -> None:
        made = grid(scores(np.random.default_rng(1), c=5.0) | {"l+m": [0.5, 0.5, 0.5]})
        for test in ("moderated", "dunnett", "welch-holm"):
            cell = by_name(effects_table(made.study, made.results, "top1", test=test))["c"]
            assert (cell.p_adjusted, cell.delta_ci95) == (None, None)
            worded(cell.note, "no p: ", "3 values of l+m")

    def test_no_runs(self, grid: Any) -> None:
        made = grid({name: [] for name in NAMES})
        table = effects_table(made.study, made.results, "top1")
        assert table.rows == ()
        worded(table.notes, "top1: ")


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


def test_the_arms_stand_behind_their_effects(grid: Any) -> None:
    values = scores(np.random.default_rng(3))
    made = grid(values)
    table = effects_table(made.study, made.results, "top1")
    assert [row.name for row in table.behind] == list(NAMES)
    for row in table.behind:
        assert row.cells["top1"].mean == pytest.approx(np.mean(values[row.name]))
        assert row.levels == {"refinements": row.name}
    by_column = TableSpec("t", (), "effect", {}, NAMES[:2], column_factor="refinements", metric="top1")
    assert build_table(made.study, by_column, made.results).behind == ()


def test_interactions_that_are_not_shown_stay_in_the_model_and_in_the_family(grid: Any) -> None:
    made = grid(scores(np.random.default_rng(1), spread=0.05, c=0.1, c_l=0.05))
    kept = {"refinements": NAMES}
    both, main = (
        build_table(
            made.study,
            TableSpec("t", (), kind="effect", where=kept, columns=("top1",), row_where=shown),
            made.results,
        )
        for shown in ((), ("main",))
    )
    assert [row.name for row in main.rows] == ["c", "l", "m"]
    assert by_name(main) == {name: cell for name, cell in by_name(both).items() if " × " not in name}


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
    worded(table.notes, "r50, y, top1: 6 runs, 2 degrees")


def test_reported_interactions_may_be_typed_plainly(grid: Any) -> None:
    made = grid(scores(np.random.default_rng(1)))
    for typed in ("c x l", "c:l", "c*l", "c × l"):
        spec = made.spec(kind="effect", factors=(), reported={typed: ("0.02",)})
        assert by_name(build_table(made.study, spec, made.results))["c × l"].reported == 0.02


def test_arms_that_are_the_same_run_count_once(maker: Any, factor: Any) -> None:
    values = {"A/0": [0.1, 0.2, 0.3], "A/1": [0.5, 0.6, 0.8], "B/0": [], "B/1": [0.2, 0.3, 0.2]}
    made = maker([factor("tweak", "A", "B"), factor("b", "0", "1")], values, merged={"B/0": "A/0"})
    table = effects_table(made.study, made.results, "top1")
    assert [row.name for row in table.rows] == ["tweak=B + tweak=B × b=1", "b=1 - tweak=B × b=1"]
    assert by_name(table)["b=1 - tweak=B × b=1"].n == 9


@pytest.mark.slow
@pytest.mark.parametrize("test", ["moderated", "dunnett", "welch-holm"])
def test_effects_raise_few_false_alarms(grid: Any, test: str) -> None:
    """Nothing has an effect: the share of tables with any decided row is 5% at most."""
    rng = np.random.default_rng(11)
    tables, alarms = 150, 0
    for _ in range(tables):
        made = grid(scores(rng))
        alarms += any(
            row.cells["top1"].decided for row in effects_table(made.study, made.results, "top1", test=test).rows
        )
    assert alarms <= stats.binom.ppf(0.999, tables, 0.05)
