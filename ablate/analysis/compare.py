"""Differences from a baseline: the rule of every table, stated once.

A family is one column and one matched baseline; in tables over epochs or classes, also one epoch or class. Two tests,
and the table declares which; neither is ever chosen by looking at the spreads.

`dunnett`      One variance, pooled over the family's arms and the baseline; Dunnett's two-sided test; simultaneous
               intervals.
`welch-holm`   Each arm has its own variance: Welch's t-test, p adjusted by Holm. The intervals are simultaneous by
               Bonferroni, so they can be wider than Holm: a decided difference may have an interval that touches zero.
In a `path` design each step is compared with the step before it, not with one baseline, so Dunnett's distribution does
not apply: t-tests with the declared variance rule (pooled over all steps, or Welch's), Holm over the steps, Bonferroni
intervals.

A difference is **decided** where its adjusted p is below 0.05; nothing else decides.
- Below n = 3 in either arm there is no p, and below n = 2 no interval.
- An arm whose values are all equal has no p, and stays out of the pooled variance, which it would shrink for the
  others.
- An arm that lacks a run (it diverged, it failed, it is still to come) has neither p nor interval: what is left of an
  arm that lost runs is a selection. If the baseline lacks one, no difference has. Such arms still count in the
  adjustment, as do all arms that the table declares, so that nothing becomes decided because a run went missing.
- An arm whose runs are mixed (other data, or resumed under other numerics) has neither p nor interval, nor has one that
  read other data than what it is compared with, though both name the same.
- Arms that are the same run count once.

Nothing is paired by seed: a replicate's seed fixes initialisation and order, which says little about the score (one
changed bit of the initialisation spreads runs as far as a new seed does, Summers and Dinneen 2021), and pairing halves
the degrees of freedom. Where the seed draws the split, replicates do share something: `resampling.nadeau_bengio` takes
their paired differences.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ablate.analysis import distributions
from ablate.analysis.distributions import ALPHA
from ablate.analysis.mixed import DIGITS
from ablate.analysis.table import Interval
from ablate.analysis.values import Sample

LEAST_N = 3
"""Replicates that either side needs before a p is given."""


@dataclass(frozen=True)
class Difference:
    """One arm against what it is compared with; see `table.Cell` for the fields."""

    delta: float | None = None
    ci95: Interval | None = None
    p_adjusted: float | None = None
    detectable: float | None = None
    note: str = ""
    test: str = ""

    @property
    def decided(self) -> bool:
        return self.p_adjusted is not None and self.p_adjusted < ALPHA


@dataclass(frozen=True)
class Pool:
    """One variance for several arms, with its degrees of freedom."""

    variance: float
    df: int


def pool(samples: Sequence[Sample]) -> Pool | None:
    """The pooled variance of the sound samples that vary, each arm counted once; None where there is none."""
    distinct = {s.key: s.values for s in samples if s.sound and s.varies}
    df = sum(len(values) - 1 for values in distinct.values())
    if df == 0:
        return None
    return Pool(sum(statistics.variance(v) * (len(v) - 1) for v in distinct.values()) / df, df)


def standard_error(weights: Sequence[tuple[float, Sample]], pooled: Pool | None) -> tuple[float, float]:
    """Standard error and degrees of freedom of a weighted sum of means.

    With a pool: its variance and df. Without: each sample's own variance and Satterthwaite's df (Welch's, for two
    samples).
    """
    if pooled is not None:
        return math.sqrt(pooled.variance * sum(w * w / s.n for w, s in weights)), float(pooled.df)
    parts = [(w * w * statistics.variance(s.values) / s.n, s.n - 1) for w, s in weights]
    total = sum(part for part, _ in parts)
    return math.sqrt(total), total**2 / sum(part**2 / df for part, df in parts)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p, in the order given (Holm 1979, Scand. J. Statist. 6:65)."""
    count = len(p_values)
    adjusted = [0.0] * count
    running = 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def obstacle(*samples: Sample, least: int = LEAST_N) -> str:
    """Why these samples can't be tested against each other; empty where they can."""
    for sample in samples:
        if not sample.complete:
            why = f" ({sample.note})" if sample.note.startswith("not run: ") else ""
            return f"{sample.name} has {sample.n} of {sample.planned} runs{why}"
        if sample.doubt:
            return f"{sample.name}: {sample.doubt}"
    if why := other_data(samples):
        return why
    for sample in samples:
        if sample.n < least:
            return f"no p below n = {least}"
    for sample in samples:
        if not sample.varies:
            return f"no p: all {sample.n} values of {sample.name} are equal"
    return ""


def other_data(samples: Sequence[Sample]) -> str:
    """Which two samples read other data, though their recipes name the same; empty where there are none."""
    digests: dict[str, tuple[str, Sample]] = {}
    for sample in samples:
        if sample.data is not None:
            asked, digest = sample.data
            known, other = digests.setdefault(asked, (digest, sample))
            if known != digest:
                return f"mixed: {other.name} read data {known[:DIGITS]}, {sample.name} {digest[:DIGITS]}"
    return ""


def compare_with_baseline(baseline: Sample, arms: Sequence[Sample], test: str) -> Mapping[str, Difference]:
    """One family: every arm against `baseline`, by `Sample.key`. `test` is `dunnett` or `welch-holm`."""
    members = _distinct(arm for arm in arms if arm.key != baseline.key)
    if test == "welch-holm":
        return _by_holm([(baseline, arm) for arm in members], None, pooled_rule=False)
    if test == "dunnett":
        return _dunnett(baseline, members)
    raise ValueError(f"unknown test {test!r}; allowed: dunnett, welch-holm")


def compare_steps(steps: Sequence[tuple[Sample, Sample]], test: str) -> Mapping[str, Difference]:
    """The family of a path: (step before, step) pairs, by the step's `Sample.key`."""
    if test not in ("dunnett", "welch-holm"):
        raise ValueError(f"unknown test {test!r}; allowed: dunnett, welch-holm")
    pairs = [(before, step) for before, step in steps if before.key != step.key]
    pooled_rule = test == "dunnett"
    pooled = pool([sample for pair in pairs for sample in pair]) if pooled_rule else None
    return _by_holm(pairs, pooled, pooled_rule=pooled_rule)


def _distinct(arms: Iterable[Sample]) -> list[Sample]:
    by_key: dict[str, Sample] = {}
    for arm in arms:
        by_key.setdefault(arm.key, arm)
    return list(by_key.values())


def _delta(before: Sample, after: Sample) -> float | None:
    if not before.values or not after.values:
        return None
    return statistics.fmean(after.values) - statistics.fmean(before.values)


def _dunnett(baseline: Sample, members: list[Sample]) -> Mapping[str, Difference]:
    if not members:
        return {}
    pooled = pool([baseline, *members])
    sizes = tuple(sorted(arm.planned for arm in members))
    found = {}
    for arm in members:
        delta, why = _delta(baseline, arm), obstacle(baseline, arm)
        if delta is None or pooled is None or obstacle(baseline, arm, least=2):
            found[arm.key] = Difference(delta, note=why)
            continue
        error, _ = standard_error([(1.0, arm), (-1.0, baseline)], pooled)
        critical = distributions.dunnett_critical(pooled.df, baseline.planned, sizes)
        interval = (delta - critical * error, delta + critical * error)
        if why:
            found[arm.key] = Difference(delta, interval, note=why)
            continue
        p = distributions.dunnett_p(delta / error, pooled.df, baseline.planned, sizes)
        smallest = distributions.noncentrality(critical, pooled.df) * error
        found[arm.key] = Difference(delta, interval, p, smallest)
    return found


def _by_holm(
    pairs: Sequence[tuple[Sample, Sample]], pooled: Pool | None, *, pooled_rule: bool
) -> Mapping[str, Difference]:
    """t-tests of pairs, Holm over all of them; a pair that can't be tested counts with p = 1."""
    if not pairs:
        return {}
    alpha = ALPHA / len(pairs)
    found: dict[str, Difference] = {}
    p_values: dict[str, float] = {}
    for before, after in pairs:
        delta, why = _delta(before, after), obstacle(before, after)
        p_values[after.key] = 1.0
        if delta is None or (pooled_rule and pooled is None) or obstacle(before, after, least=2):
            found[after.key] = Difference(delta, note=why)
            continue
        error, df = standard_error([(1.0, after), (-1.0, before)], pooled)
        critical = distributions.t_critical(df, alpha)
        interval = (delta - critical * error, delta + critical * error)
        if why:
            found[after.key] = Difference(delta, interval, note=why)
            continue
        p_values[after.key] = distributions.two_sided_p(delta / error, df)
        found[after.key] = Difference(delta, interval, None, distributions.noncentrality(critical, df) * error)
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return {
        key: difference
        if difference.detectable is None
        else Difference(difference.delta, difference.ci95, adjusted[key], difference.detectable)
        for key, difference in found.items()
    }
