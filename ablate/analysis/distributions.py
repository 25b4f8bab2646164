"""The few distributions behind the tests: Student's t, its noncentral form, and Dunnett's maximum of correlated t.

Dunnett's probability is worked out by quadrature. `scipy.stats.dunnett` draws quasi-random points for it, so its fourth
digit moves with the `rng`, and its interval is only good to one percent of alpha; here p and interval come from one
function, exact to about 1e-9, so that an interval leaves zero out exactly where p is below 0.05, whatever is installed.
The tests hold it to scipy's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

ALPHA = 0.05
"""What decides: an adjusted p below it. Intervals are at 1 - ALPHA."""

POWER = 0.8
"""The chance of being decided at which a difference counts as detectable."""

_NODES = 96  # enough for 1e-9 up to one group a hundred times the other; fewer show at very unequal sizes
_WIDEST = 8.5  # standard deviations of the shared normal that are integrated over: 2e-17 lies beyond


def two_sided_p(t: float, df: float) -> float:
    """P(|T| > |t|) of Student's t with `df` degrees of freedom, which need not be whole."""
    from scipy import special

    return float(2.0 * special.stdtr(df, -abs(t)))


@lru_cache(maxsize=4096)
def t_critical(df: float, alpha: float = ALPHA) -> float:
    """The c with P(|T| > c) = alpha."""
    from scipy import special

    return float(-special.stdtrit(df, alpha / 2.0))


@lru_cache(maxsize=256)
def noncentrality(critical: float, df: float) -> float:
    """The noncentrality at which |T'| exceeds `critical` with probability POWER."""
    return _root(lambda shift: POWER - exceeds(critical, df, shift), 0.0, 20.0 * critical + 10.0)


def exceeds(critical: float, df: float, shift: float) -> float:
    """P(|T'| > critical) of the noncentral t; by quadrature, since `scipy.special.nctdtr` is NaN far out at few df."""
    from scipy import special

    _, _, scale, weight = _grid(df)
    tails = special.ndtr(shift - critical * scale) + special.ndtr(-shift - critical * scale)
    return float(weight @ tails)


def dunnett_p(t: float, df: int, baseline_n: int, arm_ns: tuple[int, ...]) -> float:
    """The adjusted two-sided p of one of several differences from a shared baseline.

    t            difference over its standard error, from the pooled variance with `df` degrees of freedom
    baseline_n   replicates of the baseline; `arm_ns`: of every arm of the family, the compared one included
    Source: Dunnett 1955, JASA 50:1096; the double integral over the shared normal and the pooled sd.
    """
    return min(1.0, max(0.0, 1.0 - _all_within(abs(t), df, baseline_n, arm_ns)))


@lru_cache(maxsize=256)
def dunnett_critical(df: int, baseline_n: int, arm_ns: tuple[int, ...]) -> float:
    """The c that the largest |t| of the family exceeds with probability ALPHA where no arm differs."""
    bonferroni = t_critical(df, ALPHA / len(arm_ns))
    return _root(lambda c: 1.0 - ALPHA - _all_within(c, df, baseline_n, arm_ns), 0.0, bonferroni + 1e-6)


def _all_within(c: float, df: int, baseline_n: int, arm_ns: tuple[int, ...]) -> float:
    """P(every |T_i| <= c): T_i share the baseline's mean (correlation) and the pooled sd (the t)."""
    import numpy as np
    from scipy import special

    shared, shared_weight, scale, scale_weight = _grid(df)
    inside: Any = np.ones((shared.size, scale.size))
    for n in sorted(set(arm_ns)):
        loading = math.sqrt(n / (n + baseline_n))
        rest = math.sqrt(1.0 - loading**2)
        centre, reach = loading * shared[:, None] / rest, c * scale[None, :] / rest
        inside *= (special.ndtr(centre + reach) - special.ndtr(centre - reach)) ** arm_ns.count(n)
    return float(shared_weight @ inside @ scale_weight)


@lru_cache(maxsize=64)
def _grid(df: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Nodes and weights for a standard normal, and for the sd of `df` degrees of freedom over the true sd."""
    import numpy as np
    from scipy import special

    nodes, weights = _legendre()
    normal = _WIDEST * nodes
    normal_weight = _WIDEST * weights * np.exp(-(normal**2) / 2) / math.sqrt(2 * math.pi)
    low, high = (math.sqrt(special.chdtri(df, tail) / df) for tail in (1 - 1e-15, 1e-15))
    scale = low + (high - low) * (nodes + 1) / 2
    log_density = (
        (1 - df / 2) * math.log(2)
        + df / 2 * math.log(df)
        - special.gammaln(df / 2)
        + (df - 1) * np.log(scale)
        - df * scale**2 / 2
    )
    return normal, normal_weight, scale, weights * (high - low) / 2 * np.exp(log_density)


@lru_cache(maxsize=1)
def _legendre() -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    """Where the falling function `f` crosses zero between `low` and `high`, by halving: 60 steps at most."""
    for _ in range(60):
        middle = (low + high) / 2
        if f(middle) > 0:
            low = middle
        else:
            high = middle
        if high - low < 1e-11 * max(1.0, high):
            break
    return (low + high) / 2
