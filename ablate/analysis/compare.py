"""Differences from a baseline: the rule of every table, stated once.

A family is one column and one matched baseline; in tables over epochs or classes, also one epoch or class; the steps of
a path are one family. The table declares its test; none is ever chosen by looking at the spreads.

`moderated`    The default. t-tests with moderated variances (see `variance`), p times the number of comparisons, and
               intervals with the same critical value: a difference is decided exactly where its interval leaves out
               zero.
`dunnett`      One variance, pooled over the family's arms and the baseline; Dunnett's two-sided test; simultaneous
               intervals.
`welch-holm`   Each arm has its own variance: Welch's t-test, p adjusted by Holm. The intervals are simultaneous by
               Bonferroni, so they can be wider than Holm: a decided difference may have an interval that holds zero.

In a `path` design each step is compared with the step before it, not with one baseline, so Dunnett's distribution does
not apply: `dunnett` there means t-tests with a variance pooled over all steps, Holm, and Bonferroni intervals.

A difference is **decided** where its adjusted p is below 0.05; nothing else decides.
- Below n = 3 in either arm there is no p, and below n = 2 no interval.
- An arm whose values are all equal has no p, and tells nothing of the others' variance, which it would shrink.
- An arm that lacks a run (it diverged, it failed, it is still to come) has neither p nor interval: what is left of an
  arm that lost runs is a selection. The same holds of an arm whose runs are not of one kind (`Sample.doubt`), and of
  one that read other data than what it is compared with, though both name the same. If the baseline is such an arm, no
  difference has a p. Such arms still count in the adjustment, as do all arms that the table declares, so that nothing
  becomes decided because a run went missing.
- Arms that are the same run count once.

Nothing is paired by seed: a replicate's seed fixes initialisation and order, which says little about the score (one
changed bit of the initialisation spreads runs as far as a new seed does, Summers and Dinneen 2021), and pairing halves
the degrees of freedom. Where the seed draws the split, replicates do share something: `resampling.nadeau_bengio` takes
their paired differences.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ablate.analysis import distributions
from ablate.analysis.distributions import ALPHA
from ablate.analysis.mixed import DIGITS
from ablate.analysis.table import Interval
from ablate.analysis.values import Sample
from ablate.analysis.variance import Pooled, Rule, rule_of, standard_error

LEAST_N = 3
"""Replicates that either side needs before a p is given."""

Adjust = Callable[[Sequence[float]], list[float]]


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


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p, in the order given (Holm 1979, Scand. J. Statist. 6:65)."""
    count = len(p_values)
    adjusted = [0.0] * count
    running = 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def single_step(p_values: Sequence[float]) -> list[float]:
    """Each p times their number, at most 1: what a Bonferroni interval shows (Bonferroni)."""
    return [min(1.0, len(p_values) * p) for p in p_values]


def obstacle(*samples: Sample, least: int = LEAST_N) -> str:
    """Why these samples can't be tested against each other; empty where they can."""
    if why := unsound(*samples):
        return why
    for sample in samples:
        if sample.n < least:
            return f"no p below n = {least}"
    for sample in samples:
        if not sample.varies:
            return f"no p: all {sample.n} values of {sample.name} are equal"
    return ""


def unsound(*samples: Sample) -> str:
    """Why nothing may be judged by these samples: a run that is missing, or a doubt; empty where nothing is wrong."""
    for sample in samples:
        if not sample.complete:
            why = f" ({sample.note})" if sample.note.startswith("not run: ") else ""
            return f"{sample.name} has {sample.n} of {sample.planned} runs{why}"
        if sample.doubt:
            return f"{sample.name}: {sample.doubt}"
    return other_data(samples)


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
    """One family: every arm against `baseline`, by `Sample.key`. `test` is one of `variance.TESTS`."""
    members = _distinct(arm for arm in arms if arm.key != baseline.key)
    rule = rule_of([baseline, *members], test)
    if test == "dunnett":
        return _dunnett(baseline, members, rule)
    return _by_t([(baseline, arm) for arm in members], rule, holm if test == "welch-holm" else single_step)


def compare_steps(steps: Sequence[tuple[Sample, Sample]], test: str) -> Mapping[str, Difference]:
    """The family of a path: (step before, step) pairs, by the step's `Sample.key`."""
    pairs = [(before, step) for before, step in steps if before.key != step.key]
    rule = rule_of([sample for pair in pairs for sample in pair], test)
    if isinstance(rule, Pooled):
        rule = replace(rule, name="pooled-holm")
    return _by_t(pairs, rule, single_step if test == "moderated" else holm)


def _distinct(arms: Iterable[Sample]) -> list[Sample]:
    by_key: dict[str, Sample] = {}
    for arm in arms:
        by_key.setdefault(arm.key, arm)
    return list(by_key.values())


def _delta(before: Sample, after: Sample) -> float | None:
    if not before.values or not after.values:
        return None
    return statistics.fmean(after.values) - statistics.fmean(before.values)


def _dunnett(baseline: Sample, members: list[Sample], pooled: Rule | None) -> Mapping[str, Difference]:
    sizes = tuple(sorted(arm.planned for arm in members))
    found = {}
    for arm in members:
        delta, why = _delta(baseline, arm), obstacle(baseline, arm)
        if delta is None or not isinstance(pooled, Pooled) or obstacle(baseline, arm, least=2):
            found[arm.key] = Difference(delta, note=why)
            continue
        error, _ = standard_error([(1.0, arm, pooled), (-1.0, baseline, pooled)])
        critical = distributions.dunnett_critical(pooled.df, baseline.planned, sizes)
        interval = (delta - critical * error, delta + critical * error)
        if why:
            found[arm.key] = Difference(delta, interval, note=why, test=pooled.name)
            continue
        p = distributions.dunnett_p(delta / error, pooled.df, baseline.planned, sizes)
        smallest = distributions.noncentrality(critical, pooled.df) * error
        found[arm.key] = Difference(delta, interval, p, smallest, test=pooled.name)
    return found


def _by_t(pairs: Sequence[tuple[Sample, Sample]], rule: Rule | None, adjust: Adjust) -> Mapping[str, Difference]:
    """t-tests of pairs, p adjusted over all of them; a pair that can't be tested counts with p = 1."""
    found: dict[str, Difference] = {}
    p_values: list[tuple[str, float]] = []
    for before, after in pairs:
        delta, why = _delta(before, after), obstacle(before, after)
        if delta is None or rule is None or obstacle(before, after, least=2):
            found[after.key] = Difference(delta, note=why)
            p_values.append((after.key, 1.0))
            continue
        error, df = standard_error([(1.0, after, rule), (-1.0, before, rule)])
        critical = distributions.t_critical(df, ALPHA / len(pairs))
        interval = (delta - critical * error, delta + critical * error)
        smallest = None if why else distributions.noncentrality(critical, df) * error
        found[after.key] = Difference(delta, interval, None, smallest, why, rule.name)
        p_values.append((after.key, 1.0 if why else distributions.two_sided_p(delta / error, df)))
    for (key, _), p in zip(p_values, adjust([p for _, p in p_values]), strict=True):
        if not found[key].note:
            found[key] = replace(found[key], p_adjusted=p)
    return found
