"""Mean, spread and intervals against numbers worked by hand and scipy's own."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ablate.analysis.aggregate import aggregate, aggregate_quickly, agreement, prediction_interval
from ablate.study.values.study import Reported

ACCURACIES = st.lists(st.floats(0, 1, allow_nan=False), min_size=2, max_size=8)


def test_three_values_by_hand() -> None:
    # sd of 0.90, 0.92, 0.94 is 0.02; t(2, 97.5%) is 4.3027; half width 4.3027 * 0.02 / sqrt(3) = 0.049683
    found = aggregate([0.90, 0.92, 0.94])
    assert (found.mean, found.n) == (pytest.approx(0.92), 3)
    assert found.sd == pytest.approx(0.02)
    assert found.ci95 == pytest.approx((0.870317, 0.969683), abs=1e-6)


def test_no_spread_below_two() -> None:
    assert aggregate([]) == type(aggregate([]))(None, None, 0, None)
    one = aggregate([0.5])
    assert (one.mean, one.sd, one.n, one.ci95) == (0.5, None, 1, None)
    assert prediction_interval([0.5]) is None


def test_a_new_run_is_wider_by_hand() -> None:
    # 4.3027 * 0.02 * sqrt(1 + 1/3) = 0.099366
    assert prediction_interval([0.90, 0.92, 0.94]) == pytest.approx((0.820634, 1.019366), abs=1e-6)


@given(ACCURACIES)
def test_intervals_are_those_of_scipy(values: list[float]) -> None:
    found = aggregate(values)
    assert found.ci95 is not None
    assert found.mean is not None
    error = stats.sem(values)
    if error == 0:
        assert found.ci95 == pytest.approx((found.mean, found.mean))
        return
    low, high = stats.t.interval(0.95, len(values) - 1, loc=found.mean, scale=error)
    assert found.ci95 == pytest.approx((low, high), rel=1e-9, abs=1e-12)


@given(ACCURACIES, st.floats(-3, 3), st.floats(0.1, 10))
def test_intervals_move_with_their_values(values: list[float], shift: float, scale: float) -> None:
    before, after = prediction_interval(values), prediction_interval([scale * v + shift for v in values])
    assert before is not None
    assert after == pytest.approx(tuple(scale * end + shift for end in before), abs=1e-6)


@pytest.mark.parametrize(
    ("text", "value", "decimals", "agrees"),
    [
        ("0.82", 0.82, 2, True),  # 0.82 may be 0.825: the interval starts at 0.8206
        ("0.8200", 0.82, 4, False),  # 0.8200 may be 0.82005 at most
        ("1.02", 1.02, 2, True),
        ("0.81", 0.81, 2, False),
    ],
)
def test_a_figure_agrees_at_its_printed_precision(text: str, value: float, decimals: int, agrees: bool) -> None:
    found, width = agreement([0.90, 0.92, 0.94], Reported(text, value, decimals))
    assert found is agrees
    assert width == pytest.approx(2 * 0.099366, abs=1e-5)


def test_the_edge_of_the_printed_precision_counts() -> None:
    low = 0.92 - float(stats.t.ppf(0.975, 2)) * 0.02 * math.sqrt(4 / 3)
    assert agreement([0.90, 0.92, 0.94], Reported("x", low - 0.005, 2))[0] is True
    assert agreement([0.90, 0.92, 0.94], Reported("x", low - 0.0051, 2))[0] is False


def test_one_run_agrees_with_nothing() -> None:
    assert agreement([0.9], Reported("0.90", 0.9, 2)) == (None, None)


def test_percent_precision_is_in_fractions() -> None:
    # 92.1% may be 92.15%, at most 0.0005 away
    assert agreement([0.9205, 0.92051], Reported("92.1%", 0.921, 1, percent=True))[0] is True
    assert agreement([0.9203, 0.92031], Reported("92.1%", 0.921, 1, percent=True))[0] is False


@pytest.mark.parametrize("values", [(), (0.5,), (0.1, 0.2, 0.4), (1e9, 1e9 + 1, 1e9 + 3), (0.3, 0.3)])
def test_the_quick_way_gives_the_same_to_a_figures_digits(values: tuple[float, ...]) -> None:
    quick, exact = aggregate_quickly(values), aggregate(values)
    assert (quick.n, quick.mean) == (exact.n, exact.mean)
    assert quick.sd == (None if exact.sd is None else pytest.approx(exact.sd, rel=1e-12))
    assert quick.ci95 == (None if exact.ci95 is None else pytest.approx(exact.ci95, rel=1e-12))
