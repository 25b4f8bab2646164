"""Dunnett's probability by quadrature, against scipy's draws and Dunnett's printed tables."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ablate.analysis import distributions


@pytest.mark.parametrize(
    ("arms", "df", "printed"),
    [  # Dunnett 1964, Biometrics 20:482, table for two-sided 5% and equal n, as printed in textbooks
        (1, 10, 2.23),
        (2, 10, 2.57),
        (3, 10, 2.76),
        (6, 10, 3.07),
        (9, 10, 3.24),
        (2, 20, 2.38),
        (3, 20, 2.54),
        (5, 20, 2.73),
    ],
)
def test_critical_values_are_the_printed_ones(arms: int, df: int, printed: float) -> None:
    assert distributions.dunnett_critical(df, 5, (5,) * arms) == pytest.approx(printed, abs=0.0101)


@pytest.mark.parametrize("df", [2, 4, 14, 60])
@pytest.mark.parametrize("t", [0.3, 2.1, 5.0])
def test_one_arm_is_students_t(df: int, t: float) -> None:
    assert distributions.dunnett_p(t, df, 3, (3,)) == pytest.approx(2 * stats.t.sf(t, df), abs=1e-9)


@pytest.mark.parametrize(("df", "baseline_n", "ns"), [(14, 3, (3,) * 6), (9, 5, (4, 3)), (40, 30, (3, 5, 8))])
def test_p_is_that_of_scipys_multivariate_t(df: int, baseline_n: int, ns: tuple[int, ...]) -> None:
    loading = np.sqrt(np.asarray(ns) / (np.asarray(ns) + baseline_n))
    shape = np.outer(loading, loading)
    np.fill_diagonal(shape, 1.0)
    for t in (0.5, 2.0, 3.0):
        edge = np.full(len(ns), t)
        inside = stats.multivariate_t(shape=shape, df=df, seed=np.random.default_rng(0)).cdf(edge, lower_limit=-edge)
        assert distributions.dunnett_p(t, df, baseline_n, ns) == pytest.approx(1 - inside, abs=3e-4)


@settings(max_examples=40)
@given(st.floats(0, 8), st.integers(2, 200), st.integers(2, 12), st.lists(st.integers(2, 12), min_size=1, max_size=9))
def test_p_lies_between_one_test_and_bonferroni(t: float, df: int, baseline_n: int, ns: list[int]) -> None:
    one = distributions.two_sided_p(t, df)
    adjusted = distributions.dunnett_p(t, df, baseline_n, tuple(ns))
    assert one - 1e-9 <= adjusted <= min(1.0, len(ns) * one) + 1e-9


@settings(max_examples=20)
@given(st.integers(4, 60), st.lists(st.integers(3, 8), min_size=1, max_size=7))
def test_the_critical_value_has_p_005(df: int, ns: list[int]) -> None:
    critical = distributions.dunnett_critical(df, 3, tuple(sorted(ns)))
    assert distributions.dunnett_p(critical, df, 3, tuple(ns)) == pytest.approx(0.05, abs=1e-8)


@pytest.mark.parametrize(("critical", "df"), [(2.9, 14), (2.1, 15), (5.0, 4), (4.3, 3.7)])
def test_noncentrality_gives_the_power_of_scipys_noncentral_t(critical: float, df: float) -> None:
    shift = distributions.noncentrality(critical, df)
    power = stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift)
    assert power == pytest.approx(0.8, abs=1e-6)


def test_noncentrality_far_out_by_simulation() -> None:
    shift = distributions.noncentrality(10.886, 2)  # where scipy's noncentral t has no left tail
    rng = np.random.default_rng(0)
    t = (rng.standard_normal(400_000) + shift) / np.sqrt(rng.chisquare(2, 400_000) / 2)
    assert np.mean(np.abs(t) > 10.886) == pytest.approx(0.8, abs=0.003)
