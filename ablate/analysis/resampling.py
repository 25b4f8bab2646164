"""When the seed draws the split: replicates share images, and a plain interval takes them for independent."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ablate.analysis import distributions
from ablate.analysis.distributions import ALPHA
from ablate.analysis.table import Interval


@dataclass(frozen=True)
class PairedDifference:
    """Mean of paired differences with a 95% interval and a two-sided p, unadjusted; both None without spread."""

    delta: float
    ci95: Interval | None
    p: float | None
    n: int


def nadeau_bengio(differences: Sequence[float], test_to_train: float) -> PairedDifference:
    """The corrected resampled t-test of Nadeau and Bengio 2003 (Machine Learning 52:239).

    differences     arm minus baseline, one a seed: both saw the same split
    test_to_train   images scored over images trained on, as in 0.25 for an 8:2 split; 0 is the plain paired t-test

    Re-splits of one data set share most of their training images, so the variance of the mean is not s^2/n: it is taken
    as (1/n + test_to_train) s^2, with n - 1 degrees of freedom. Raises ValueError below two differences, and below 0.
    """
    n = len(differences)
    if n < 2:
        raise ValueError(f"needs one difference per seed, and at least two, not {n}")
    if test_to_train < 0:
        raise ValueError(f"test_to_train must be the ratio of scored to training images, not {test_to_train!r}")
    delta = statistics.fmean(differences)
    error = math.sqrt((1 / n + test_to_train) * statistics.variance(differences))
    if error == 0:
        return PairedDifference(delta, None, None, n)
    half = distributions.t_critical(n - 1, ALPHA) * error
    return PairedDifference(delta, (delta - half, delta + half), distributions.two_sided_p(delta / error, n - 1), n)
