"""The corrected interval, by hand."""

import pytest
from golden_texts import raising
from scipy import stats

from ablate.analysis.resampling import nadeau_bengio


def test_a_hand_worked_value() -> None:
    # differences 0.01, 0.02, 0.03: mean 0.02, variance 0.0001; an 8:2 split has 0.25 test over train
    # error = sqrt((1/3 + 1/4) * 0.0001) = 0.0076376; t = 2.618615; on 2 df p = 1 - t / sqrt(2 + t^2) = 0.120117
    found = nadeau_bengio([0.01, 0.02, 0.03], 0.25)
    assert found.delta == pytest.approx(0.02)
    assert found.p == pytest.approx(0.120117, abs=1e-6)
    assert found.ci95 == pytest.approx((0.02 - 0.032862, 0.02 + 0.032862), abs=1e-6)
    assert found.n == 3


def test_ratio_zero_is_the_plain_paired_t_test() -> None:
    a, b = [0.5, 0.6, 0.9, 0.7], [0.4, 0.55, 0.7, 0.71]
    theirs = stats.ttest_rel(a, b)
    found = nadeau_bengio([x - y for x, y in zip(a, b, strict=True)], 0.0)
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.ci95 == pytest.approx(tuple(theirs.confidence_interval()))


def test_no_interval_without_spread() -> None:
    found = nadeau_bengio([0.25, 0.25], 0.25)
    assert (found.delta, found.ci95, found.p) == (0.25, None, None)


def test_errors() -> None:
    with raising(ValueError):
        nadeau_bengio([0.1], 0.25)
    with raising(ValueError):
        nadeau_bengio([0.1, 0.2], -1)
