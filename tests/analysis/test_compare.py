"""Families against scipy and statsmodels called directly, textbook examples, and the rate of false alarms."""

import numpy as np
import pytest
from golden_texts import raising
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ablate.analysis.compare import compare_steps, compare_with_baseline, holm
from ablate.analysis.values import Sample
from ablate.analysis.variance import Own, Pooled, rule_of, standard_error

CONTROL = (7.40, 8.50, 7.20, 8.24, 9.84, 8.32)
DRUG_A = (9.76, 8.80, 7.68, 9.36)
DRUG_B = (12.80, 9.68, 12.16, 9.20, 10.55)
"""Blood counts of Dunnett 1955, JASA 50:1096, table 1: two drugs against a control."""


def sample(name: str, *values: float, planned: int | None = None, note: str = "") -> Sample:
    return Sample(name, name, values, len(values) if planned is None else planned, note=note)


def test_dunnetts_own_example() -> None:
    """Pooled variance 1.3805 on 12 degrees of freedom; only drug B is decided."""
    found = compare_with_baseline(sample("c", *CONTROL), [sample("a", *DRUG_A), sample("b", *DRUG_B)], "dunnett")
    assert found["a"].delta == pytest.approx(0.65)
    assert found["b"].delta == pytest.approx(2.628)
    assert found["a"].p_adjusted == pytest.approx(0.62, abs=0.005)
    assert found["b"].p_adjusted == pytest.approx(0.0058, abs=0.0001)
    assert (found["a"].decided, found["b"].decided) == (False, True)


def test_dunnett_is_scipys() -> None:
    found = compare_with_baseline(sample("c", *CONTROL), [sample("a", *DRUG_A), sample("b", *DRUG_B)], "dunnett")
    theirs = stats.dunnett(DRUG_A, DRUG_B, control=CONTROL, rng=np.random.default_rng(0))
    interval = theirs.confidence_interval()
    for i, key in enumerate("ab"):
        assert found[key].p_adjusted == pytest.approx(theirs.pvalue[i], abs=3e-4)
        assert found[key].ci95 == pytest.approx((interval.low[i], interval.high[i]), abs=0.02)


def test_one_arm_is_a_pooled_t_test() -> None:
    found = compare_with_baseline(sample("c", *CONTROL), [sample("b", *DRUG_B)], "dunnett")["b"]
    theirs = stats.ttest_ind(DRUG_B, CONTROL)
    assert found.p_adjusted == pytest.approx(theirs.pvalue, abs=1e-9)
    assert found.ci95 == pytest.approx(tuple(theirs.confidence_interval()), abs=1e-6)


@pytest.mark.slow
def test_welch_holm_is_scipy_with_statsmodels() -> None:
    found = compare_with_baseline(sample("c", *CONTROL), [sample("a", *DRUG_A), sample("b", *DRUG_B)], "welch-holm")
    theirs = [stats.ttest_ind(drug, CONTROL, equal_var=False) for drug in (DRUG_A, DRUG_B)]
    adjusted = multipletests([t.pvalue for t in theirs], method="holm")[1]
    for i, key in enumerate("ab"):
        assert found[key].p_adjusted == pytest.approx(adjusted[i], rel=1e-9)
        assert found[key].ci95 == pytest.approx(tuple(theirs[i].confidence_interval(0.975)), rel=1e-9)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    theirs = multipletests(p_values, method="holm")[1] if p_values else []
    assert holm(p_values) == pytest.approx(list(theirs))


def test_the_variance_rule_decides_what_is_seen() -> None:
    """One wild arm widens everybody's interval under a pooled variance, and only its own under Welch's."""
    calm, wild = sample("calm", 1.0, 1.1, 1.2), sample("wild", 0.0, 5.0, 10.0)
    baseline = sample("base", 0.0, 0.1, 0.2)
    pooled = compare_with_baseline(baseline, [calm, wild], "dunnett")["calm"]
    welch = compare_with_baseline(baseline, [calm, wild], "welch-holm")["calm"]
    assert (pooled.decided, welch.decided) == (False, True)


@pytest.mark.parametrize("test", ["moderated", "dunnett", "welch-holm"])
class TestWhatIsNotDecided:
    def test_no_p_below_three(self, test: str) -> None:
        found = compare_with_baseline(sample("c", 0.1, 0.2), [sample("a", 0.8, 0.9)], test)["a"]
        assert found.delta == pytest.approx(0.7)
        assert found.ci95 is not None
        assert (found.p_adjusted, found.decided, found.detectable) == (None, False, None)
        assert found.note == "no p below n = 3"

    def test_one_run_has_a_delta_only(self, test: str) -> None:
        found = compare_with_baseline(sample("c", 0.1), [sample("a", 0.8)], test)["a"]
        assert found.delta == pytest.approx(0.7)
        assert (found.ci95, found.p_adjusted) == (None, None)

    def test_no_p_without_spread(self, test: str) -> None:
        arms = [sample("flat", 0.9, 0.9, 0.9), sample("a", 0.8, 0.85, 0.9)]
        found = compare_with_baseline(sample("c", 0.1, 0.2, 0.3), arms, test)
        assert (found["flat"].p_adjusted, found["flat"].ci95) == (None, None)
        assert found["flat"].note == "no p: all 3 values of flat are equal"
        assert found["a"].p_adjusted is not None

    def test_a_lost_run_leaves_its_arm_undecided(self, test: str) -> None:
        arms = [sample("short", 9.0, 9.1, planned=3), sample("a", 0.8, 0.85, 0.9)]
        found = compare_with_baseline(sample("c", 0.1, 0.2, 0.3), arms, test)
        assert found["short"].delta == pytest.approx(8.85)
        assert (found["short"].ci95, found["short"].p_adjusted) == (None, None)
        assert found["short"].note == "short has 2 of 3 runs"
        assert found["a"].decided

    def test_a_baseline_that_lost_a_run_decides_nothing(self, test: str) -> None:
        found = compare_with_baseline(sample("c", 0.1, 0.2, planned=3), [sample("a", 0.8, 0.85, 0.9)], test)["a"]
        assert (found.p_adjusted, found.note) == (None, "c has 2 of 3 runs")

    def test_no_values_no_delta(self, test: str) -> None:
        found = compare_with_baseline(sample("c", 0.1, 0.2, 0.3), [sample("a", planned=3)], test)["a"]
        assert (found.delta, found.p_adjusted) == (None, None)

    def test_a_missing_arm_still_counts(self, test: str) -> None:
        """Nothing becomes decided because a run went missing: the adjustment is for all arms of the table."""
        baseline, arm = sample("c", 0.1, 0.2, 0.3), sample("a", 0.5, 0.55, 0.7)
        alone = compare_with_baseline(baseline, [arm], test)["a"].p_adjusted
        beside = compare_with_baseline(baseline, [arm, sample("b", planned=3)], test)["a"].p_adjusted
        assert alone is not None
        assert beside is not None
        assert beside > alone

    def test_the_same_run_twice_counts_once(self, test: str) -> None:
        baseline, arm = sample("c", 0.1, 0.2, 0.3), sample("a", 0.5, 0.55, 0.7)
        assert compare_with_baseline(baseline, [baseline, arm], test) == compare_with_baseline(baseline, [arm], test)
        assert compare_with_baseline(baseline, [arm, arm], test) == compare_with_baseline(baseline, [arm], test)


def test_a_flat_arm_does_not_shrink_the_pool() -> None:
    arms = [sample("a", 0.1, 0.2, 0.3), sample("b", 0.5, 0.5, 0.5)]
    found = rule_of(arms, "dunnett")
    assert isinstance(found, Pooled)
    assert (found.variance, found.df) == (pytest.approx(0.01), 2)
    assert rule_of(arms[1:], "dunnett") is None


def test_detectable_is_power_times_the_standard_error() -> None:
    """Equal spreads of exactly 1: the cell's figure is the planner's, where a study knows its variance only by pooling."""
    from ablate.analysis import power

    arms = [sample(str(i), i - 1.0, i + 0.0, i + 1.0) for i in range(4)]
    found = compare_with_baseline(arms[0], arms[1:], "dunnett")
    assert found["1"].detectable == pytest.approx(power.detectable(3, 3, "dunnett"))


def test_steps_share_a_variance_and_holm() -> None:
    a, b, c = sample("a", 1.0, 2.0, 3.0), sample("b", 3.0, 4.0, 5.0), sample("c", 3.5, 4.5, 5.5)
    found = compare_steps([(a, b), (b, c)], "dunnett")
    # variance 1 on 6 degrees of freedom; errors sqrt(2/3); t = 2.4495 and 0.61237
    p = [2 * stats.t.sf(t, 6) for t in (2.0 / np.sqrt(2 / 3), 0.5 / np.sqrt(2 / 3))]
    assert found["b"].p_adjusted == pytest.approx(2 * p[0])
    assert found["c"].p_adjusted == pytest.approx(max(2 * p[0], p[1]))
    half = stats.t.ppf(1 - 0.05 / 4, 6) * np.sqrt(2 / 3)
    assert found["b"].ci95 == pytest.approx((2 - half, 2 + half))
    welch = compare_steps([(a, b), (b, c)], "welch-holm")
    assert welch["b"].p_adjusted == pytest.approx(2 * stats.ttest_ind(a.values, b.values, equal_var=False).pvalue)


def test_satterthwaite_by_hand() -> None:
    # variances 1 and 4, n = 3 each: se^2 = 5/3; df = (5/3)^2 / ((1/3)^2/2 + (4/3)^2/2) = 2.9412
    rule = Own()
    error, df = standard_error([(1.0, sample("a", 0.0, 1.0, 2.0), rule), (-1.0, sample("b", 0.0, 2.0, 4.0), rule)])
    assert (error, df) == (pytest.approx(np.sqrt(5 / 3)), pytest.approx(2.941176, abs=1e-6))


def test_an_unknown_test_is_refused() -> None:
    for call in (compare_with_baseline, compare_steps):
        with raising(ValueError):
            call(sample("c", 1.0), [], "tukey") if call is compare_with_baseline else call([], "tukey")


@pytest.mark.slow
@pytest.mark.parametrize("test", ["moderated", "dunnett", "welch-holm"])
def test_one_family_of_twenty_raises_a_false_alarm(test: str) -> None:
    """No arm differs: the share of families with any decided difference is 5%, or less for Welch with Holm."""
    rng = np.random.default_rng(7)
    families, alarms = 1000, 0
    for _ in range(families):
        arms = [Sample(str(i), str(i), tuple(row), 4) for i, row in enumerate(rng.standard_normal((4, 4)).tolist())]
        alarms += any(d.decided for d in compare_with_baseline(arms[0], arms[1:], test).values())
    error = np.sqrt(0.05 * 0.95 / families)
    assert alarms / families <= 0.05 + 3 * error
    if test == "dunnett":
        assert alarms / families >= 0.05 - 3 * error
