"""Verdicts on claims. Each claim is a family of its own, tested by contrasts of means under the table's variance rule.

Every claim comes to one or more comparisons, each a contrast that the claim says is above zero:

    a > b [by X]             a - b - X                          a < b [by X]     b - a - X
    (a - b) > (c - d)        (a - b) - (c - d) - X
    a is best of o1, o2      a - o1, a - o2, in the metric's direction; worst the other way round

`dunnett` takes the variance pooled over the arms of the table's column (the baseline included), `welch-holm` each
arm's own with Satterthwaite's degrees of freedom. p is two-sided in both. **holds**: every comparison is above zero
with p < 0.05, not adjusted, since all of them must be; chance alone makes one comparison hold in 2.5% of studies.
**contradicted**: at least one is below zero with p < 0.05, adjusted by Holm over the claim's comparisons.
**undecided** otherwise, and wherever an arm lacks a run, has fewer than three, does not vary, or is the same run as
the other. **not testable**: prose, or a metric without direction.

A claim that leaves a factor open is about each of its levels in the table: one comparison for each. Best and worst are
among the arms that the design has. In a table over classes, a class metric is taken as its macro mean.
"""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ablate.analysis import distributions
from ablate.analysis.classes import MACRO, ClassReader
from ablate.analysis.compare import Pool, holm, obstacle, pool, standard_error
from ablate.analysis.distributions import ALPHA
from ablate.analysis.layout import arms_of, compared_with, find_arm
from ablate.analysis.rows import direction
from ablate.analysis.table import ClaimResult
from ablate.analysis.values import Replicates, Sample, final
from ablate.study.metrics import CLASS_METRICS
from ablate.study.study import Arm, Claim, Study, TableSpec, Term

_SHOWN = 3  # comparisons that `why` spells out

Weights = tuple[tuple[float, Term], ...]


@dataclass(frozen=True)
class Comparison:
    """One contrast that the claim says is above zero: its estimate and unadjusted p, or why there is none."""

    text: str
    estimate: float | None
    p: float | None
    why_not: str = ""


def judge(study: Study, spec: TableSpec, runs: Replicates) -> tuple[ClaimResult, ...]:
    """The verdicts on the table's claims, in their order."""
    return tuple(_judge(claim, study, spec, runs) for claim in spec.claims)


def _judge(claim: Claim, study: Study, spec: TableSpec, runs: Replicates) -> ClaimResult:
    if claim.kind == "prose":
        return ClaimResult(claim.text, "not testable", "prose: no rows are named that could be compared")
    better, _ = direction(study, claim.metric)
    if claim.kind in ("best", "worst") and better not in ("higher", "lower"):
        return ClaimResult(claim.text, "not testable", f"{claim.metric} has no better direction")
    court = _Court(claim, study, spec, runs)
    contrasts = _contrasts(claim, better)
    found = [court.compare(weights, levels) for levels in court.settings() for weights in contrasts]
    return verdict(claim.text, [comparison for comparison in found if comparison is not None])


def verdict(text: str, comparisons: Sequence[Comparison]) -> ClaimResult:
    """The rule of the module's head, on comparisons that have been worked out."""
    adjusted = holm([1.0 if c.p is None else c.p for c in comparisons])
    against = [c for c, p in zip(comparisons, adjusted, strict=True) if c.p is not None and _below(c) and p < ALPHA]
    if against:
        return ClaimResult(text, "contradicted", _spell(against, adjusted=True))
    open_ = [c for c in comparisons if c.p is None or c.p >= ALPHA or _below(c)]
    if open_ or not comparisons:
        return ClaimResult(text, "undecided", _spell(open_) or "no row of the table matches")
    return ClaimResult(text, "holds", _spell(comparisons))


def _below(comparison: Comparison) -> bool:
    return comparison.estimate is not None and comparison.estimate < 0


def _spell(comparisons: Sequence[Comparison], *, adjusted: bool = False) -> str:
    """The comparisons in words, those without a p first, then the weakest; the rest are counted."""
    order = sorted(comparisons, key=lambda c: -2.0 if c.p is None else (c.p if adjusted else -c.p))
    shown = [c.why_not or f"{c.text} = {c.estimate:+.3g} ({p_text(c.p)})" for c in order[:_SHOWN]]
    more = len(order) - _SHOWN
    return "; ".join([*shown, f"and {more} more"] if more > 0 else shown)


def p_text(p: float | None) -> str:
    """`p = 0.012`, or `p < 0.001`; with as many digits as it takes to stay on its own side of 0.05."""
    if p is None:
        return "no p"
    if p < 0.001:
        return "p < 0.001"
    digits = 4 if p < 0.01 else 3
    while digits < 9 and p != ALPHA and float(f"{p:.{digits}f}") == ALPHA:
        digits += 1
    return f"p = {p:.{digits}f}"


def _contrasts(claim: Claim, better: str) -> list[Weights]:
    terms = claim.terms
    if claim.kind == ">":
        return [((1.0, terms[0]), (-1.0, terms[1]))]
    if claim.kind == "<":
        return [((1.0, terms[1]), (-1.0, terms[0]))]
    if claim.kind == "gain":
        return [((1.0, terms[0]), (-1.0, terms[1]), (-1.0, terms[2]), (1.0, terms[3]))]
    if claim.kind in ("best", "worst"):
        first, others = terms[0], terms[1:]
        if (claim.kind == "best") == (better == "higher"):
            return [((1.0, first), (-1.0, other)) for other in others]
        return [((1.0, other), (-1.0, first)) for other in others]
    raise ValueError(f"unknown kind of claim {claim.kind!r}; allowed: >, <, best, worst, gain, prose")


class _Court:
    """The arms and samples that one claim speaks of."""

    def __init__(self, claim: Claim, study: Study, spec: TableSpec, runs: Replicates) -> None:
        self.claim, self.study, self.spec = claim, study, spec
        self._runs = runs
        self._shown = {arm.name: arm for arm in arms_of(study, spec)}
        self._samples: dict[str, Sample] = {}
        self._pools: dict[frozenset[str], Pool | None] = {}
        self._reader = final(claim.metric)
        self._metric = claim.metric
        if spec.kind == "class" and claim.metric in CLASS_METRICS:
            self._reader, self._metric = ClassReader().of(MACRO, claim.metric), f"{MACRO} {claim.metric}"
        every = {f.name: tuple(level.name for level in f.levels) for f in study.factors} | dict(spec.where)
        named = set(claim.where).union(*(term.levels for term in claim.terms))
        self._open = {factor: levels for factor, levels in every.items() if factor not in named}

    def settings(self) -> Iterator[Mapping[str, str]]:
        """Levels for the factors that the claim leaves open, each combination that any of its rows has."""
        for combination in itertools.product(*self._open.values()):
            setting = dict(zip(self._open, combination, strict=True))
            if any(self._arm(term, setting) for term in self.claim.terms):
                yield setting

    def compare(self, weights: Weights, setting: Mapping[str, str]) -> Comparison | None:
        """One contrast in one setting; None for a rival of a best or worst arm that the design leaves out."""
        text = _formula(weights, self.claim.by)
        chosen = [f"{name}={level}" for name, level in setting.items() if len(self._open[name]) > 1]
        if chosen:
            text += " at " + ", ".join(chosen)
        arms: list[tuple[float, Arm]] = []
        for weight, term in weights:
            arm = self._arm(term, setting)
            if arm is None and self.claim.kind in ("best", "worst") and term is not self.claim.terms[0]:
                return None
            if arm is None:
                return Comparison(text, None, None, f"{text}: the design has no arm {term.text}")
            arms.append((weight, arm))
        return self._test(text, arms)

    def _test(self, text: str, arms: list[tuple[float, Arm]]) -> Comparison:
        summed: dict[str, float] = defaultdict(float)
        samples = {}
        for weight, arm in arms:
            summed[arm.arm_id] += weight
            samples[arm.arm_id] = self._sample(arm)
        parts = [(weight, samples[key]) for key, weight in summed.items() if weight]
        if not parts:
            names = " and ".join(dict.fromkeys(arm.name for _, arm in arms))
            return Comparison(text, None, None, f"{text}: {names} are the same run")
        estimate = None
        if all(sample.values for _, sample in parts):
            estimate = sum(weight * statistics.fmean(sample.values) for weight, sample in parts) - self.claim.by
        why = obstacle(*(sample for _, sample in parts))
        if why or estimate is None:
            number = "" if estimate is None else f" = {estimate:+.3g}"
            return Comparison(text, estimate, None, f"{text}{number}: {why or 'no values'}")
        pooled = self._pool(arms) if self.spec.test == "dunnett" else None
        error, df = standard_error(parts, pooled)
        return Comparison(text, estimate, distributions.two_sided_p(estimate / error, df))

    def _pool(self, arms: list[tuple[float, Arm]]) -> Pool | None:
        """The variance of the column's arms, of what they are compared with, and of the claim's own arms."""
        factor = self.spec.column_factor
        levels = frozenset(arm.levels[factor] for _, arm in arms) if factor is not None else frozenset()
        outside = [arm for _, arm in arms if arm.name not in self._shown]
        place = levels | {arm.name for arm in outside}
        if place not in self._pools:
            shown = [arm for arm in self._shown.values() if factor is None or arm.levels[factor] in levels]
            others = [other for arm in shown if (other := compared_with(self.study, self.spec, arm)) is not None]
            self._pools[place] = pool([self._sample(arm) for arm in [*shown, *others, *outside]])
        return self._pools[place]

    def _sample(self, arm: Arm) -> Sample:
        if arm.name not in self._samples:
            self._samples[arm.name] = self._runs.sample(arm, self._reader, self._metric)
        return self._samples[arm.name]

    def _arm(self, term: Term, setting: Mapping[str, str]) -> Arm | None:
        return find_arm(self.study, {**setting, **term.levels, **self.claim.where})


def _formula(weights: Weights, by: float) -> str:
    names = [term.text for _, term in weights]
    text = "({} - {}) - ({} - {})".format(*names) if len(names) == 4 else "{} - {}".format(*names)
    return f"{text} - {by:g}" if by else text
