"""The moderated variance: its fit against an independent one, by hand, and a whole table recomputed slowly."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats

from ablate.analysis import build_table
from ablate.analysis.compare import compare_steps, compare_with_baseline
from ablate.analysis.values import Sample
from ablate.analysis.variance import Moderated, Own, Pooled, fit, rule_of, standard_error, suspect


def sample(name: str, *values: float, planned: int | None = None, doubt: str = "") -> Sample:
    return Sample(name, name, values, len(values) if planned is None else planned, doubt=doubt)


def slow_prior(variances: Sequence[float], dfs: Sequence[int]) -> tuple[float, float]:
    """d0 and s0^2 from the definition: the mean and variance of log F, solved by bracketing, one family at a time.

    log(s^2) has mean log(s0^2) + digamma(d/2) - log(d/2) - digamma(d0/2) + log(d0/2) and variance trigamma(d/2) +
    trigamma(d0/2).
    """
    shifted = [math.log(v) - float(special.psi(d / 2)) + math.log(d / 2) for v, d in zip(variances, dfs, strict=True)]
    centre = sum(shifted) / len(shifted)
    spread = sum((z - centre) ** 2 for z in shifted) / (len(shifted) - 1)
    by_chance = sum(float(special.zeta(2, d / 2)) for d in dfs) / len(dfs)  # trigamma is Hurwitz's zeta(2, x)
    if spread <= by_chance:
        return math.inf, math.exp(centre)
    d0 = 2 * optimize.brentq(lambda x: float(special.zeta(2, x)) - (spread - by_chance), 1e-6, 1e12, xtol=1e-13)
    return d0, math.exp(centre + float(special.psi(d0 / 2)) - math.log(d0 / 2))


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.floats(-3, 3), st.integers(1, 12)), min_size=2, max_size=20),
    st.floats(-6, 6),
)
def test_the_fit_is_that_of_the_definition(drawn: list[tuple[float, int]], scale: float) -> None:
    variances, dfs = [math.exp(log + scale) for log, _ in drawn], [df for _, df in drawn]
    d0, s0_squared = fit(variances, dfs)
    slow_d0, slow_s0_squared = slow_prior(variances, dfs)
    if slow_d0 > 1e6:  # so near to equal spreads that rounding tells one side from the other
        assert d0 > 1e5
        return
    assert float(d0) == pytest.approx(slow_d0, rel=1e-5)
    assert float(s0_squared) == pytest.approx(slow_s0_squared, rel=1e-5)


def test_two_variances_by_hand() -> None:
    """s^2 = 1 and 16 at n = 3: log s^2 differ by 2.7726, so their variance is 3.8436; trigamma(1) = 1.6449 is chance's.

    trigamma(0.8237) = 1/0.8237^2 + trigamma(1.8237) = 1.4739 + 0.7249 by the series 1/x + 1/2x^2 + 1/6x^3 - 1/30x^5, the
    2.1987 that is left: d0 = 1.6474. digamma(0.8237) = digamma(1.8237) - 1/0.8237 = 0.3024 - 1.2140 by
    log(x) - 1/2x - 1/12x^2, so log s0^2 = 1.3863 + 0.5772 - 0.9116 + 0.1939 = 1.2458.
    """
    d0, s0_squared = fit([1.0, 16.0], 2)
    assert float(d0) == pytest.approx(1.6474, abs=2e-4)
    assert float(s0_squared) == pytest.approx(math.exp(1.2458), rel=1e-3)


def test_equal_variances_have_one() -> None:
    """Four variances of 1 at n = 3: log s^2 lies 0.5772 below log sigma^2 on average, so s0^2 = exp(0.5772)."""
    found = rule_of([sample(name, 0.0, 1.0, 2.0) for name in "abcd"], "moderated")
    assert isinstance(found, Moderated)
    assert (found.d0, found.pooled_df) == (math.inf, 8)
    assert found.of(sample("a", 0.0, 1.0, 2.0)) == (pytest.approx(math.exp(0.577216)), 8.0)


def test_a_verdict_does_not_jump_where_the_scatter_passes_that_of_chance() -> None:
    below, above = (fit([1.0, ratio], 2) for ratio in (6.13, 6.14))
    assert (math.isinf(below[0]), math.isinf(above[0])) == (True, False)
    assert float(above[1]) == pytest.approx(float(below[1]), rel=5e-3)


def test_the_prior_is_found_again() -> None:
    """Variances drawn as the model has them, d0 = 6 and s0^2 = 4: both come back."""
    rng = np.random.default_rng(3)
    true = 4 * 6 / rng.chisquare(6, 20_000)
    d0, s0_squared = fit(true * rng.chisquare(4, 20_000) / 4, 4)
    assert (float(d0), float(s0_squared)) == (pytest.approx(6, rel=0.05), pytest.approx(4, rel=0.03))


def test_many_families_are_fitted_at_once() -> None:
    variances = np.random.default_rng(4).chisquare(3, (50, 7))
    d0, s0_squared = fit(variances, 3)
    for row, one, other in zip(variances, d0, s0_squared, strict=True):
        assert (one, other) == pytest.approx(tuple(map(float, fit(row, 3))))


def test_nothing_is_taken_for_less_than_it_shows() -> None:
    arms = [sample("calm", 1.0, 1.1, 1.2), sample("usual", 0.0, 0.3, 0.5), sample("wild", 0.0, 5.0, 10.0)]
    rule = rule_of(arms, "moderated")
    assert isinstance(rule, Moderated)
    assert rule.of(arms[2])[0] == 25.0
    assert rule.of(arms[0])[0] > 0.01


def test_a_variance_next_to_nothing_does_not_set_the_prior() -> None:
    """Equal but for rounding: raised to a hundred thousandth of the median, as limma does, before its logarithm."""
    usual = [1.0, 1.2, 0.8, 1.1, 0.9]
    tiny, raised = fit([*usual, 1e-30], 4), fit([*usual, 1e-5 * 0.95], 4)
    assert (float(tiny[0]), float(tiny[1])) == pytest.approx((float(raised[0]), float(raised[1])))


def test_fewer_than_two_arms_that_vary_are_welchs() -> None:
    arms = [sample("a", 0.1, 0.2, 0.3), sample("flat", 0.5, 0.5, 0.5), sample("short", 0.1, 0.9, planned=3)]
    assert rule_of(arms, "moderated") == Own("welch")


@pytest.mark.parametrize("test", ["moderated", "dunnett"])
def test_what_is_not_sound_tells_nothing_of_the_spread(test: str) -> None:
    sound = [sample("a", 0.1, 0.2, 0.3), sample("b", 0.5, 0.7, 0.6), sample("c", 0.5, 0.7, 0.9)]
    others = [
        sample("flat", 0.5, 0.5, 0.5),
        sample("short", 0.1, 0.9, planned=3),
        sample("mixed", 0.0, 9.0, 4.0, doubt="two data sets"),
        Sample("a", "a again", (0.1, 0.2, 0.3), 3),
    ]
    assert rule_of([*sound, *others], test) == rule_of(sound, test)


def test_unequal_n_takes_the_fewest_degrees_of_freedom() -> None:
    rule = Moderated(2.0, 1.0, 30)
    few, many = sample("few", 0.0, 1.0, 2.0), sample("many", *map(float, range(12)))
    error, df = standard_error([(1.0, many, rule), (-1.0, few, rule)])
    assert df == 4.0
    own = np.var(many.values, ddof=1)
    assert error == pytest.approx(math.sqrt(max(own, (2 + 11 * own) / 13) / 12 + 1 / 3))
    assert standard_error([(1.0, many, Moderated(math.inf, 1.0, 30))])[1] == 30.0


def test_arms_of_two_families_keep_their_own() -> None:
    a, b = sample("a", 0.0, 1.0, 2.0), sample("b", 0.0, 2.0, 4.0)
    error, df = standard_error([(1.0, a, Moderated(4.0, 9.0, 20)), (-1.0, b, Moderated(2.0, 1.0, 20))])
    assert error == pytest.approx(math.sqrt((4 * 9 + 2 * 1) / 6 / 3 + 4 / 3))
    assert df == 4.0
    assert standard_error([(1.0, a, Pooled(4.0, 10)), (-1.0, b, Pooled(4.0, 10))]) == (math.sqrt(8 / 3), 10.0)


def slow_family(baseline: Sequence[float], arms: dict[str, Sequence[float]]) -> dict[str, tuple[float, float, float]]:
    """name -> (adjusted p, low, high): the rule of docs/statistics.md, written out with scipy's t."""
    everything = [baseline, *arms.values()]
    variances, dfs = [float(np.var(v, ddof=1)) for v in everything], [len(v) - 1 for v in everything]
    d0, s0_squared = slow_prior(variances, dfs)

    def q(values: Sequence[float]) -> float:
        own, df = float(np.var(values, ddof=1)), len(values) - 1
        return max(own, s0_squared if math.isinf(d0) else (d0 * s0_squared + df * own) / (d0 + df))

    found = {}
    for name, values in arms.items():
        delta = float(np.mean(values) - np.mean(baseline))
        error = math.sqrt(q(values) / len(values) + q(baseline) / len(baseline))
        t = stats.t(min(d0 + min(len(values), len(baseline)) - 1, sum(dfs)))
        half = t.isf(0.025 / len(arms)) * error
        found[name] = (min(1.0, 2 * t.sf(abs(delta) / error) * len(arms)), delta - half, delta + half)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_a_table_is_what_the_rule_says(maker: Any, factor: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arms = {name: (rng.normal(0.2 * i, 4.0 ** rng.uniform(-1, 1), 3)).tolist() for i, name in enumerate("ABCDEF")}
    made = maker([factor("tweak", *arms)], arms, baseline={"tweak": "A"})
    table = build_table(made.study, made.spec(), made.results)
    assert table.test == "moderated"
    slow = slow_family(arms.pop("A"), arms)
    for row in table.rows[1:]:
        cell = row.cells["top1"]
        assert cell.delta_ci95 is not None
        assert (cell.p_adjusted, *cell.delta_ci95) == pytest.approx(slow[row.name], rel=1e-7)
        assert cell.decided == (slow[row.name][0] < 0.05)
        assert cell.test == "moderated"


VALUES = st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=3, max_size=5)


@pytest.mark.slow
@settings(max_examples=150)
@given(st.lists(VALUES, min_size=2, max_size=6), st.booleans())
def test_decided_is_where_the_interval_leaves_out_zero(drawn: list[list[float]], path: bool) -> None:
    samples = [sample(str(i), *values) for i, values in enumerate(drawn)]
    if path:
        found = compare_steps(list(itertools.pairwise(samples)), "moderated")
    else:
        found = compare_with_baseline(samples[0], samples[1:], "moderated")
    for difference in found.values():
        if difference.p_adjusted is None:
            assert not difference.decided
        else:
            assert difference.ci95 is not None
            low, high = difference.ci95
            assert difference.decided == (not low <= 0 <= high)


@pytest.mark.parametrize("test", ["moderated", "dunnett", "welch-holm"])
@pytest.mark.parametrize("seed", range(8))
def test_effects_as_well(maker: Any, factor: Any, seed: int, test: str) -> None:
    rng = np.random.default_rng(seed)
    arms = ["/".join(levels) for levels in itertools.product("01", repeat=2)]
    factors = [factor("a", "0", "1"), factor("b", "0", "1")]
    for shift in (0.0, 1.0, 2.0, 3.0):
        made = maker(factors, {arm: (rng.standard_normal(3) + shift * (arm[0] == "1")).tolist() for arm in arms})
        for row in build_table(made.study, made.spec(kind="effect", factors=(), test=test), made.results).rows:
            cell = row.cells["top1"]
            assert cell.delta_ci95 is not None
            assert cell.decided == (not cell.delta_ci95[0] <= 0 <= cell.delta_ci95[1])


@pytest.mark.parametrize("kind", ["arms", "effect"])
def test_decided_and_the_interval_agree_whatever_went_wrong(maker: Any, factor: Any, kind: str) -> None:
    """Lost runs, arms that do not vary, runs of other data: a p with an interval of the same verdict, or none and a reason."""
    rng = np.random.default_rng(4)
    decided = 0
    for trial in range(60):
        arms, n = int(rng.integers(2, 6)), int(rng.integers(3, 5))
        values = {str(i): rng.normal(4.0 * rng.integers(2), 4.0 ** rng.uniform(-1, 1), n).tolist() for i in range(arms)}
        if trial % 4 == 1:
            values["1"] = [0.5] * n
        made = maker([factor("tweak", *values)], values, seeds=range(n), baseline={"tweak": "0"})
        if trial % 4 == 2:
            made.lose(str(arms - 1), 0)
        if trial % 4 == 3:
            for seed in range(n):
                made.change(str(arms - 1), seed, details={"data": {"digest": f"{min(seed, 1)}" * 64}})
        factors = ("tweak",) if kind == "arms" else ()
        table = build_table(made.study, made.spec(kind=kind, factors=factors), made.results)
        if trial % 4 > 1:
            assert table.rows[-1].cells["top1"].p_adjusted is None
        for row in table.rows:
            cell = row.cells["top1"]
            if cell.p_adjusted is None:
                assert not cell.decided
                assert cell.note or cell.delta is None
            else:
                assert cell.delta_ci95 is not None
                assert cell.decided == (not cell.delta_ci95[0] <= 0 <= cell.delta_ci95[1])
                decided += cell.decided
    assert decided > 0


def test_what_a_table_leaves_out_does_not_stop_it(maker: Any, factor: Any, claim: Any) -> None:
    """A run lost by an arm outside `where`: the effects of the others are decided, a claim about that arm is not."""
    rng = np.random.default_rng(0)
    values = {f"{a}/{b}": (rng.standard_normal(3) + 9 * (b == "1")).tolist() for a, b in itertools.product("012", "01")}
    made = maker([factor("a", *"012"), factor("b", *"01")], values)
    asked = claim(">", ("2/1", {"a": "2", "b": "1"}), ("0/0", {"a": "0", "b": "0"}))
    spec = made.spec(kind="effect", factors=(), where={"a": ("0", "1")}, claims=(asked,))
    whole = build_table(made.study, spec, made.results)
    made.lose("2/1", 1)
    table = build_table(made.study, spec, made.results)
    assert [row.cells for row in table.rows] == [row.cells for row in whole.rows]
    assert next(row for row in table.rows if row.name == "b=1").cells["top1"].decided
    assert (whole.claims[0].verdict, table.claims[0].verdict) == ("holds", "undecided")


def test_spreads_that_are_unsafe_to_pool() -> None:
    calm = [sample(str(i), *(0.01 * v for v in range(5))) for i in range(4)]
    assert suspect([calm]) == ""
    said = suspect([calm, [*calm, sample("wild", *(1.0 * v for v in range(5)))]])
    assert said.startswith("The spreads differ (largest sd 100.0 times the smallest, Bartlett's p < 0.001)")
    assert suspect([]) == ""
