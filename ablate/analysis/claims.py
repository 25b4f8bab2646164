"""Verdicts on claims. Each claim is a family of its own, tested by contrasts of means under the table's variance rule.

Every claim comes to one or more comparisons, each a contrast that the claim says is above zero:

    a > b [by X]             a - b - X                          a < b [by X]     b - a - X
    (a - b) > (c - d)        (a - b) - (c - d) - X
    a is best of o1, o2      a - o1, a - o2, in the metric's direction; worst the other way round

The variance is that of the rows: the table's rule on the family that holds all arms of the contrast. A contrast over
two families takes each arm's variance from its own, with the fewer degrees of freedom; under `dunnett` the pool of both.
p is two-sided. **holds**: every comparison is above zero with p < 0.05, not adjusted, since all of them must be; chance
alone makes one comparison hold in 2.5% of studies. **contradicted**: at least one is below zero with p < 0.05, adjusted
by Holm over the claim's comparisons. **undecided** otherwise, and wherever an arm lacks a run, has fewer than three, or
does not vary. **not testable**: prose, a metric without direction, or arms that are all the same run. Where only some
of the comparisons are of one run with itself, the others decide.

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
from ablate.analysis.compare import holm, obstacle
from ablate.analysis.distributions import ALPHA
from ablate.analysis.families import Family, Rules, families_of
from ablate.analysis.layout import find_arm
from ablate.analysis.rows import direction
from ablate.analysis.table import ClaimResult
from ablate.analysis.values import Replicates, Sample, final
from ablate.analysis.variance import standard_error
from ablate.study.values.metrics import CLASS_METRICS
from ablate.study.values.study import Arm, Claim, Study, TableSpec, Term

_SHOWN = 3  # comparisons that `why` spells out

Weights = tuple[tuple[float, Term], ...]


@dataclass(frozen=True)
class Comparison:
    """One contrast that the claim says is above zero: its estimate and unadjusted p, or why there is none.

    `tied`: its arms are the same run, so that no number of runs could tell them apart.
    """

    text: str
    estimate: float | None
    p: float | None
    why_not: str = ""
    tied: bool = False
    percent: bool = False


def judge(
    study: Study, spec: TableSpec, runs: Replicates, judged: list[list[Sample]] | None = None
) -> tuple[ClaimResult, ...]:
    """The verdicts on the table's claims, in their order. `judged` collects the samples that shared a variance."""
    families = families_of(study, spec) if spec.claims else []
    return tuple(_judge(claim, study, spec, runs, families, judged) for claim in spec.claims)


def _judge(
    claim: Claim,
    study: Study,
    spec: TableSpec,
    runs: Replicates,
    families: Sequence[Family],
    judged: list[list[Sample]] | None,
) -> ClaimResult:
    if claim.kind == "prose":
        return ClaimResult(claim.text, "not testable", "prose: no rows are named that could be compared")
    better, _ = direction(study, claim.metric)
    if claim.kind in ("best", "worst") and better not in ("higher", "lower"):
        return ClaimResult(claim.text, "not testable", f"neither a higher nor a lower {claim.metric} is better")
    court = _Court(claim, study, spec, runs, families)
    contrasts = _contrasts(claim, better)
    found = [court.compare(weights, levels) for levels in court.conditions() for weights in contrasts]
    if judged is not None:
        judged += court.rules.judged
    return verdict(claim.text, [comparison for comparison in found if comparison is not None])


def verdict(text: str, comparisons: Sequence[Comparison]) -> ClaimResult:
    """The rule of the module's head, on comparisons that have been worked out."""
    tied = [c for c in comparisons if c.tied]
    if tied and len(tied) == len(comparisons):
        return ClaimResult(text, "not testable", _spell(tied))
    judged = [c for c in comparisons if not c.tied]
    left_out = f"; left out, {tied[0].why_not}" if tied else ""
    adjusted = holm([1.0 if c.p is None else c.p for c in judged])
    against = [c for c, p in zip(judged, adjusted, strict=True) if c.p is not None and _below(c) and p < ALPHA]
    if against:
        return ClaimResult(text, "contradicted", _spell(against, adjusted=True) + left_out)
    open_ = [c for c in judged if c.p is None or c.p >= ALPHA or _below(c)]
    if open_ or not judged:
        return ClaimResult(text, "undecided", (_spell(open_) or "no row of the table matches") + left_out)
    return ClaimResult(text, "holds", _spell(judged) + left_out)


def _below(comparison: Comparison) -> bool:
    return comparison.estimate is not None and comparison.estimate < 0


def _spell(comparisons: Sequence[Comparison], *, adjusted: bool = False) -> str:
    """The comparisons in words, those without a p first, then the weakest; the rest are counted."""
    order = sorted(comparisons, key=lambda c: -2.0 if c.p is None else (c.p if adjusted else -c.p))
    shown = [c.why_not or f"{c.text} = {_signed(c.estimate, c.percent)} ({p_text(c.p)})" for c in order[:_SHOWN]]
    more = len(order) - _SHOWN
    return "; ".join([*shown, f"and {more} more"] if more > 0 else shown)


def _signed(number: float | None, percent: bool) -> str:
    """An estimate in the unit that the table prints."""
    return "?" if number is None else f"{100 * number:+.3g}%" if percent else f"{number:+.3g}"


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

    def __init__(
        self, claim: Claim, study: Study, spec: TableSpec, runs: Replicates, families: Sequence[Family]
    ) -> None:
        self.claim, self.study = claim, study
        self._runs = runs
        self._samples: dict[str, Sample] = {}
        self.rules = Rules(families, spec.test, self._sample)
        label = study.labels.entries.get(claim.metric)
        self._percent = spec.in_percent(claim.metric) or (label is not None and label.percent)
        self._reader = final(claim.metric)
        self._metric = claim.metric
        if spec.kind == "class" and claim.metric in CLASS_METRICS:
            self._reader, self._metric = ClassReader().of(MACRO, claim.metric), f"{MACRO} {claim.metric}"
        every = {f.name: tuple(level.name for level in f.levels) for f in study.factors} | dict(spec.where)
        named = set(claim.where).union(*(term.levels for term in claim.terms))
        self._open = {factor: levels for factor, levels in every.items() if factor not in named}

    def conditions(self) -> Iterator[Mapping[str, str]]:
        """Levels for the factors that the claim leaves open, each combination that any of its rows has."""
        for combination in itertools.product(*self._open.values()):
            condition = dict(zip(self._open, combination, strict=True))
            if any(self._arm(term, condition) for term in self.claim.terms):
                yield condition

    def compare(self, weights: Weights, condition: Mapping[str, str]) -> Comparison | None:
        """One contrast in one condition; None for a rival of a best or worst arm that the design leaves out."""
        text = _formula(weights, self.claim.by, self._percent)
        chosen = [f"{name}={level}" for name, level in condition.items() if len(self._open[name]) > 1]
        if chosen:
            text += " at " + ", ".join(chosen)
        arms: list[tuple[float, Arm]] = []
        for weight, term in weights:
            arm = self._arm(term, condition)
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
        kept = {key: (weight, samples[key]) for key, weight in summed.items() if weight}
        if not kept:
            names = " and ".join(dict.fromkeys(arm.name for _, arm in arms))
            return Comparison(text, None, None, f"{text}: {names} are the same run", tied=True)
        estimate = None
        if all(sample.values for _, sample in kept.values()):
            estimate = sum(weight * statistics.fmean(sample.values) for weight, sample in kept.values()) - self.claim.by
        why = obstacle(*(sample for _, sample in kept.values()))
        if why or estimate is None:
            number = "" if estimate is None else f" = {_signed(estimate, self._percent)}"
            return Comparison(text, estimate, None, f"{text}{number}: {why or 'no values'}")
        concerned = {arm.arm_id: arm for _, arm in arms if arm.arm_id in kept}
        rules = self.rules.of(list(concerned.values()))
        error, df = standard_error(
            [(*kept[key], rule) for key, rule in zip(concerned, rules, strict=True) if rule is not None]
        )
        return Comparison(text, estimate, distributions.two_sided_p(estimate / error, df), percent=self._percent)

    def _sample(self, arm: Arm) -> Sample:
        if arm.name not in self._samples:
            self._samples[arm.name] = self._runs.sample(arm, self._reader, self._metric)
        return self._samples[arm.name]

    def _arm(self, term: Term, condition: Mapping[str, str]) -> Arm | None:
        return find_arm(self.study, {**condition, **term.levels, **self.claim.where})


def _formula(weights: Weights, by: float, percent: bool) -> str:
    names = [term.text for _, term in weights]
    text = "({} - {}) - ({} - {})".format(*names) if len(names) == 4 else "{} - {}".format(*names)
    margin = f"{100 * by:g}%" if percent else f"{by:g}"
    return f"{text} - {margin}" if by else text
