"""Replicates in, mean, spread and intervals out. Values are in the metric's own unit; accuracies are fractions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ablate.analysis import distributions
from ablate.analysis.table import Interval
from ablate.study.values.study import Reported

_SLACK = 1e-12  # 0.905 and 0.90 + 0.005 are not the same float


@dataclass(frozen=True)
class Aggregate:
    """n values as mean, sample sd (n - 1) and 95% t-interval of the mean; sd and interval are None below n = 2."""

    mean: float | None
    sd: float | None
    n: int
    ci95: Interval | None


def aggregate(values: Sequence[float]) -> Aggregate:
    """Mean, sd, n and 95% t-interval of the mean; all None for no values."""
    n = len(values)
    if n == 0:
        return Aggregate(None, None, 0, None)
    mean = statistics.fmean(values)
    if n == 1:
        return Aggregate(mean, None, 1, None)
    sd = statistics.stdev(values)
    half = distributions.t_critical(n - 1) * sd / math.sqrt(n)
    return Aggregate(mean, sd, n, (mean - half, mean + half))


def aggregate_quickly(values: Sequence[float]) -> Aggregate:
    """The same for figures, which have a hundred thousand points: a last digit may differ, for no fractions are kept."""
    n = len(values)
    if n < 2 or not all(map(math.isfinite, values)):  # the exact way knows what to do with those
        return aggregate(values)
    mean = math.fsum(values) / n
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = distributions.t_critical(n - 1) * sd / math.sqrt(n)
    return Aggregate(mean, sd, n, (mean - half, mean + half))


def prediction_interval(values: Sequence[float]) -> Interval | None:
    """The 95% interval for one new run, mean +- t sd sqrt(1 + 1/n): what a paper's single run is held against.

    None below n = 2.
    """
    n = len(values)
    if n < 2:
        return None
    mean = statistics.fmean(values)
    half = distributions.t_critical(n - 1) * statistics.stdev(values) * math.sqrt(1 + 1 / n)
    return mean - half, mean + half


def agreement(values: Sequence[float], reported: Reported) -> tuple[bool | None, float | None]:
    """Whether some value that prints as a paper's figure lies in the interval for one new run, and that interval's width.

    Without its width the word says nothing: two runs that lie far apart agree with every figure. Both are None below n
    = 2.
    """
    interval = prediction_interval(values)
    if interval is None:
        return None, None
    low, high = interval
    reach = reported.half_unit + _SLACK
    return low - reach <= reported.value <= high + reach, high - low
