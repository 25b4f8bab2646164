"""Which variance a comparison is judged by. Every table, effect and claim asks one of these rules.

`moderated`    Each arm's own variance s^2, never taken for less than what its family makes likely: the larger of s^2 and
               (d0 s0^2 + (n - 1) s^2) / (d0 + n - 1). d0 and s0^2 say how far, and around what, the variances of a
               family scatter; they are fitted from its arms. Degrees of freedom: d0 + n - 1 of the arm with the fewest
               runs, at most the pooled ones. With fewer than two arms that vary there is nothing to fit, and each has
               its own, as in `welch-holm`.
`dunnett`      One variance, pooled over the family's arms.
`welch-holm`   Each arm's own, with Satterthwaite's degrees of freedom.

Only sound samples that vary tell of a variance: all their runs are there, and not all values are equal. Arms that are
the same run count once.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ablate.analysis.values import Sample
from ablate.study.tables.specs import TESTS as TESTS

if TYPE_CHECKING:
    import numpy as np

    Numbers = float | np.ndarray

SUSPECT = 0.05
"""Bartlett's p below which a pooled variance comes with a warning."""

_LEAST_SHARE = 1e-5  # of the median variance: what limma takes a smaller one for, so that its logarithm says little
_NEWTON_STEPS = 50


@dataclass(frozen=True)
class Pooled:
    """One variance for all arms, with its degrees of freedom."""

    variance: float
    df: int
    name: str = "dunnett"

    def of(self, sample: Sample) -> tuple[float, float]:
        return self.variance, float(self.df)


@dataclass(frozen=True)
class Moderated:
    """`d0` (degrees of freedom, may be infinite) and `s0_squared` of the family, and the pooled degrees of freedom."""

    d0: float
    s0_squared: float
    pooled_df: int
    name: str = "moderated"

    def of(self, sample: Sample) -> tuple[float, float]:
        return _moderated(self, sample.values)


@dataclass(frozen=True)
class Own:
    """Each arm's own variance."""

    name: str = "welch-holm"

    def of(self, sample: Sample) -> tuple[float, float]:
        return _variance(sample.values), float(sample.n - 1)


@lru_cache(maxsize=8192)
def _variance(values: tuple[float, ...]) -> float:
    """Exact, by fractions, and so dear: rules are fitted to the variances that they then judge by."""
    return statistics.variance(values)


@lru_cache(maxsize=8192)
def _moderated(rule: Moderated, values: tuple[float, ...]) -> tuple[float, float]:
    """What `rule` judges an arm by: every effect of a table asks for each of its arms."""
    own, df = _variance(values), len(values) - 1
    return float(larger(own, df, rule.d0, rule.s0_squared)), min(rule.d0 + df, float(rule.pooled_df))


Rule = Pooled | Moderated | Own
"""`of(sample)` is (variance, degrees of freedom) that the sample is judged by; `name` says which rule it is."""


def rule_of(samples: Sequence[Sample], test: str) -> Rule | None:
    """The rule that `test` means for a family; None where a pooled variance has no arm to come from.

    Raises ValueError for an unknown test.
    """
    if test not in TESTS:
        raise ValueError(f"unknown test {test!r}; allowed: {', '.join(TESTS)}")
    if test == "welch-holm":
        return Own()
    values = telling(samples)
    df = sum(len(v) - 1 for v in values)
    if test == "dunnett":
        return Pooled(sum(_variance(v) * (len(v) - 1) for v in values) / df, df) if values else None
    if len(values) < 2:
        return Own("welch")
    d0, s0_squared = fit([_variance(v) for v in values], [len(v) - 1 for v in values])
    return Moderated(float(d0), float(s0_squared), df)


def telling(samples: Sequence[Sample]) -> list[tuple[float, ...]]:
    """The values of the samples that tell of a variance: sound, varying, each run once."""
    return list({s.key: s.values for s in samples if s.sound and s.varies}.values())


def standard_error(parts: Sequence[tuple[float, Sample, Rule]]) -> tuple[float, float]:
    """Standard error and degrees of freedom of a weighted sum of means, each arm judged by its rule."""
    shares, dfs = [], []
    for weight, sample, rule in parts:
        variance, df = rule.of(sample)
        shares.append(weight * weight * variance / sample.n)
        dfs.append(df)
    return combined(shares, dfs, own=all(isinstance(rule, Own) for _, _, rule in parts))


def combined(shares: Sequence[float], dfs: Sequence[float], *, own: bool) -> tuple[float, float]:
    """The same from each arm's share, weight^2 variance / n, and its degrees of freedom.

    Satterthwaite's degrees of freedom where every arm has its `own` variance (Welch's, for two arms); else those of the
    arm that has the fewest.
    """
    total = sum(shares)
    if own:
        return math.sqrt(total), total**2 / sum(share**2 / df for share, df in zip(shares, dfs, strict=True))
    return math.sqrt(total), min(dfs)


def larger(own: Numbers, df: Numbers, d0: Numbers, s0_squared: Numbers) -> Any:
    """The larger of an arm's own variance and the moderated one. Numbers, or arrays that broadcast."""
    import numpy as np

    with np.errstate(invalid="ignore"):  # infinite d0: inf / inf, replaced
        drawn = np.where(np.isinf(d0), s0_squared, (d0 * s0_squared + df * own) / (d0 + df))
    return np.maximum(own, drawn)


def fit(variances: object, df: object) -> tuple[np.ndarray, np.ndarray]:
    """d0 and s0^2 of families of variances, by moments of their logarithms.

    variances   [..., arms], above zero, two arms at least
    df          degrees of freedom of each, broadcast against `variances`

    Both results are [...]. d0 is infinite where the variances scatter no more than chance makes equal ones; s0^2 is then
    its own limit, exp(mean of the logarithms), so that a verdict does not jump where the scatter passes that of chance.
    Source: Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3:3, section 6.2; limma's `fitFDist` has had the same, and since
    2017 the variances' mean in that limit.
    """
    import numpy as np
    from scipy import special

    variances = np.asarray(variances, float)
    half = np.asarray(df, float) / 2
    raised = np.maximum(variances, _LEAST_SHARE * np.median(variances, axis=-1, keepdims=True))
    logs = np.log(raised) - special.digamma(half) + np.log(half)
    centre = logs.mean(axis=-1)
    by_chance = np.broadcast_to(special.polygamma(1, half), variances.shape)
    excess = logs.var(axis=-1, ddof=1) - by_chance.mean(axis=-1)
    scatters = excess > 0
    half_d0 = _inverse_trigamma(np.where(scatters, excess, 1.0))
    shift = np.where(scatters, special.digamma(half_d0) - np.log(half_d0), 0.0)
    return np.where(scatters, 2 * half_d0, np.inf), np.exp(centre + shift)


def _inverse_trigamma(y: np.ndarray) -> np.ndarray:
    """The x > 0 at which trigamma(x) = y > 0: Newton's steps on 1/trigamma, which is convex and nearly straight."""
    import numpy as np
    from scipy import special

    x = 0.5 + 1.0 / y
    for _ in range(_NEWTON_STEPS):
        trigamma = special.polygamma(1, x)
        step = trigamma * (1 - trigamma / y) / special.polygamma(2, x)
        x = x + step
        if np.all(np.abs(step) <= 1e-12 * x):
            break
    return x


def suspect(families: Sequence[Sequence[Sample]]) -> str:
    """What speaks against pooling the variances of a family, in words; empty where nothing does.

    Bartlett's test of equal variances, of the family where it says most.
    """
    from scipy import stats

    worst: tuple[float, float] | None = None
    for family in families:
        values = telling(family)
        if len(values) > 1:
            sds = [statistics.stdev(v) for v in values]
            worst = min(worst or (1.0, 1.0), (float(stats.bartlett(*values).pvalue), max(sds) / min(sds)))
    if worst is None or worst[0] >= SUSPECT:
        return ""
    p, ratio = worst
    said = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    return (
        f"The spreads differ (largest sd {ratio:.1f} times the smallest, Bartlett's {said}), so a pooled variance "
        "decides too easily for the noisy arms and too seldom for the quiet ones: `test: moderated` does not pool."
    )
