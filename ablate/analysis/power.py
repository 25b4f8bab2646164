"""What a study could have seen: the smallest difference that is decided in four studies of five.

All figures are in sd of one run, for a planned study with equal n and equal spreads; the cells of a table carry the same
worked out from their own spread. "Decided" is at the strictest place of the family: the one arm that differs, where no
other does.

Where each arm has a variance of its own (`moderated`, `welch-holm`), the width of an interval and its degrees of freedom
are chance as well. The probability of being decided is then a mean over drawn variances; the draws are fixed, so a
figure is always the same, and good to half a percent.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from ablate.analysis import distributions, variance
from ablate.analysis.compare import LEAST_N
from ablate.analysis.distributions import ALPHA, POWER

TESTS = (*variance.TESTS, "pooled-holm", "paired-holm")

MOST = 1000
"""Replicates that are thought of at the most."""
_DRAWS, _MOST_DRAWN = 20_000, 400_000


def detectable(n: int, comparisons: int, test: str = "moderated") -> float | None:
    """The smallest difference from the baseline, in sd of one run; None below n = 3, where nothing is decided.

    n             replicates of each arm
    comparisons   arms of the family beside the baseline, or steps of a path
    test          that of the table; `pooled-holm`, the steps of a path under `dunnett`; or `paired-holm`, differences by
                  seed of unrelated runs, which no table uses and which shows what pairing costs
    """
    if comparisons < 1:
        raise ValueError(f"a family needs at least one arm besides the baseline, not {comparisons}")
    if test not in TESTS:
        raise ValueError(f"unknown test {test!r}; allowed: {', '.join(TESTS)}")
    if n < LEAST_N:
        return None
    if test == "welch-holm":
        return _by_arms((1.0, -1.0), n, comparisons, test)
    if test == "moderated":
        return _by_arms((1.0, -1.0, *(0.0,) * (comparisons - 1)), n, comparisons, test)
    df = n - 1 if test == "paired-holm" else (comparisons + 1) * (n - 1)
    if test == "dunnett":
        critical = distributions.dunnett_critical(df, n, (n,) * comparisons)
    else:
        critical = distributions.t_critical(df, ALPHA / comparisons)
    return math.sqrt(2 / n) * distributions.noncentrality(critical, df)


def detectable_effect(
    weights: Sequence[float], n: int, comparisons: int, test: str = "moderated", *, rank: int
) -> float | None:
    """The smallest effect of a table of effects, in sd of one run; None where nothing is left over to judge it by.

    weights       of the arms' means in the effect, one for each arm of the model
    n             replicates of each arm
    comparisons   effects in the column
    rank          of the model without blocks, whose residual judges under `dunnett` and at n = 1
    """
    if test == "dunnett" or n == 1:
        df = n * len(weights) - (n - 1) - rank
        if df < 1:
            return None
        error = math.sqrt(sum(weight * weight for weight in weights) / n)
        return distributions.noncentrality(distributions.t_critical(df, ALPHA / comparisons), df) * error
    return _by_arms(tuple(weights), n, comparisons, test)


def replicates_needed(difference: float, comparisons: int, test: str = "moderated") -> int | None:
    """The least n at which `difference`, in sd of one run, is detectable; None where `MOST` do not suffice."""
    if difference <= 0:
        raise ValueError(f"the difference must be above 0, not {difference!r}")

    def enough(n: int) -> bool:
        smallest = detectable(n, comparisons, test)
        return smallest is not None and smallest <= difference

    least = bisect_left(range(MOST + 1), True, lo=LEAST_N, key=enough)
    return least if least <= MOST else None


@lru_cache(maxsize=256)
def _by_arms(weights: tuple[float, ...], n: int, comparisons: int, test: str) -> float:
    """The smallest effect sum(weight * mean) that is decided where each arm is judged by a variance of its own."""
    reach = _reach(weights, n, comparisons, test)
    sd = math.sqrt(sum(weight * weight for weight in weights) / n)

    def missed(effect: float) -> float:
        seen = special.ndtr((effect - reach) / sd) + special.ndtr((-effect - reach) / sd)
        return POWER - float(seen.mean())

    return float(optimize.brentq(missed, 0.0, float(reach.max()) + 10 * sd, xtol=1e-6))


def _reach(weights: tuple[float, ...], n: int, comparisons: int, test: str) -> np.ndarray:
    """Half the width of the effect's interval in studies whose true variance is 1 everywhere, one for each draw."""
    df, squares = n - 1, np.square(weights)
    drawn, judged, d0 = _drawn(df, len(weights))
    if test == "welch-holm":
        shares = squares * drawn / n
        total = shares.sum(axis=1)
        dfs = total**2 / (shares**2 / df).sum(axis=1)
    else:
        total = judged @ squares / n
        dfs = np.minimum(d0 + df, df * len(weights))
    return np.asarray(-special.stdtrit(dfs, ALPHA / comparisons / 2) * np.sqrt(total))


@lru_cache(maxsize=4)
def _drawn(df: int, arms: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Variances of so many arms [draws, arms], what they are judged by under `moderated` [draws, arms], and d0 [draws].

    A table of effects asks for the same ones once for each of its effects.
    """
    draws = max(1000, min(_DRAWS, _MOST_DRAWN // arms))
    drawn = np.random.default_rng(0).chisquare(df, (draws, arms)) / df
    d0, s0_squared = variance.fit(drawn, df)
    return drawn, variance.larger(drawn, df, d0[:, None], s0_squared[:, None]), d0
