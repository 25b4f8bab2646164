"""The least squares behind a table of effects: which effects the runs tell apart, their weights, and the errors of their estimates.

What the numbers mean is said in `effects`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ablate.analysis import distributions, factorial
from ablate.analysis.compare import LEAST_N, obstacle, other_data, unsound
from ablate.analysis.factorial import Part, Term
from ablate.analysis.families import families_of
from ablate.analysis.layout import distinct
from ablate.analysis.values import Replicates, Sample, final
from ablate.analysis.variance import Own, Rule, combined, rule_of
from ablate.study.values.study import Arm, Study, TableSpec

RESIDUAL = "residual"
"""What `Cell.test` says of an effect that the model's residual judges."""

_ROUNDING = 1e-12  # of the numbers that are added up, whose weights come from a pseudo-inverse


@dataclass(frozen=True)
class Effect:
    """One row: `name` as printed, `base` without what it is confounded with; no `error` where `why_not` says why."""

    name: str
    base: str
    levels: Mapping[str, str]
    estimate: float
    error: float | None = None
    df: float = 0.0
    p: float | None = None
    why_not: str = ""


@dataclass(frozen=True)
class Fit:
    """The effects of one metric, by which variance they are judged, and what could not be told apart.

    `samples` are the arms of the model, `df` the degrees of freedom of its residual.
    """

    effects: tuple[Effect, ...]
    samples: tuple[Sample, ...]
    test: str
    n: int
    df: int
    left_out: tuple[str, ...]
    empty: tuple[str, ...]
    cells: int

    @cached_property
    def planned(self) -> int:
        return sum(sample.planned for sample in self.samples)

    @cached_property
    def run_ids(self) -> tuple[str, ...]:
        """All runs of the model, which every effect speaks for."""
        return tuple(run_id for sample in self.samples for run_id in sample.run_ids)


def fit(study: Study, spec: TableSpec, arms: Sequence[Arm], runs: Replicates, metric: str) -> Fit:
    """Least squares of one metric on blocks, main effects and two-way interactions."""
    arms = distinct(arms)
    samples = {arm.arm_id: runs.sample(arm, final(metric), metric) for arm in arms}
    observed = _observations(arms, runs, metric)
    parts = factorial.parts_of(study, spec, [arm for arm in arms if runs.done(arm)])
    by_arm = {arm.arm_id: factorial.levels_of(study, parts, arm) for arm in arms}
    coded = [by_arm[arm.arm_id] for arm, _, _ in observed]
    cells = factorial.cells(study, parts, arms)
    empty = factorial.empty(cells, coded, parts)
    if not observed:
        return Fit((), tuple(samples.values()), "", 0, 0, (), empty, len(cells))
    blocks = factorial.blocks([seed for _, seed, _ in observed])
    model = _Model(blocks, parts, coded)
    values = np.asarray([value for _, _, value in observed])
    judge = _Judge(spec.test, samples, [arm.arm_id for arm, _, _ in observed], *model.residual(values))
    effects = []
    runs_at = {part: Counter(row[part] for row in coded) for part in parts}
    for name, base, term, levels, weights in model.effects():
        levels_n = (runs_at[part].get(level, 0) for part in term for level in part.levels)
        error, df, why_not = judge.error(weights)
        p = None
        if error is not None and min(levels_n) < LEAST_N:
            why_not = f"no p: a level of it has fewer than {LEAST_N} runs"
        elif error is not None:
            p = distributions.two_sided_p(_estimate(weights, values) / error, df)
        effects.append(Effect(name, base, levels, _estimate(weights, values), error, df, p, why_not))
    every = tuple(samples.values())
    return Fit(
        tuple(effects), every, judge.test, len(values), judge.residual_df, tuple(model.left_out), empty, len(cells)
    )


def _estimate(weights: np.ndarray, values: np.ndarray) -> float:
    """The weighted sum of the runs; zero where it is no more than what rounding leaves of equal values."""
    found = float(weights @ values)
    return 0.0 if abs(found) < _ROUNDING * float(np.abs(weights) @ np.abs(values)) else found


@dataclass(frozen=True)
class Planned:
    """The effects of one column before anything is trained, each as weights of the arms' means, and the model's rank."""

    mains: tuple[tuple[float, ...], ...]
    interactions: tuple[tuple[float, ...], ...]
    rank: int


def planned(study: Study, spec: TableSpec) -> Iterator[Planned]:
    """What each fit of a table of effects will estimate once all runs are done. Raises StudyError as `arms_of` does."""
    for family in families_of(study, spec):
        arms = distinct(family.arms)
        parts = factorial.parts_of(study, spec, arms)
        coded = [factorial.levels_of(study, parts, arm) for arm in arms]
        if parts:
            model = _Model(np.ones((len(arms), 1)), parts, coded)
            found = [(len(term), tuple(map(float, weights))) for _, _, term, _, weights in model.effects()]
            mains, interactions = (tuple(w for size, w in found if size == wanted) for wanted in (1, 2))
            yield Planned(mains, interactions, model.rank)


def _observations(arms: Sequence[Arm], runs: Replicates, metric: str) -> list[tuple[Arm, int, float]]:
    """(arm, seed, value) of every run that is done."""
    read = final(metric)
    finished = ((arm, seed, read(result)) for arm in arms for seed, result in runs.finished(arm))
    return [(arm, seed, value) for arm, seed, value in finished if value is not None]


class _Model:
    """Blocks, main effects and two-way interactions; an effect is the weights over single runs that estimate it."""

    def __init__(self, blocks: np.ndarray, parts: Sequence[Part], coded: Sequence[Mapping[Part, str]]) -> None:
        mains: list[Term] = [(part,) for part in parts]
        pairs: list[Term] = list(itertools.combinations(parts, 2))
        self._full, self._places = factorial.model_matrix(blocks, [*mains, *pairs], coded)
        self._inverse = np.linalg.pinv(self._full)
        alone, alone_places = factorial.model_matrix(blocks, mains, coded)
        self._pairs = pairs
        self._clear, self._among_mains, self.left_out = factorial.tell_apart(
            (factorial.lost(self._full, self._inverse), self._places),
            (factorial.lost(alone, np.linalg.pinv(alone)), alone_places),
        )
        clear_pairs = [term for term in self._clear if len(term) == 2]
        self._short, self._short_places = self._full, self._places
        if clear_pairs != pairs:
            self._short, self._short_places = factorial.model_matrix(blocks, [*mains, *clear_pairs], coded)
        self.rank = int(np.linalg.matrix_rank(self._full))

    def effects(self) -> Iterator[tuple[str, str, Term, dict[str, str], np.ndarray]]:
        """(name, name without what it is confounded with, term, levels, weights over the runs) of each effect."""
        full = self._inverse
        short = full if self._short.shape == self._full.shape else np.linalg.pinv(self._short)
        for term in sorted([*self._clear, *self._among_mains], key=list(self._places).index):
            clear = term in self._clear
            design, place = (full, self._places[term]) if clear else (short, self._short_places[term])
            for base, levels, contrast in factorial.contrasts_of(term, place, design.shape[0]):
                weights = contrast @ design
                name = base
                if not clear:
                    name = factorial.sum_name(base, weights @ self._full, self._places, self._pairs)
                yield name, base, term, levels, weights

    def residual(self, values: np.ndarray) -> tuple[float, int]:
        """The residual variance of the whole model, 0 where it is none to speak of, with its degrees of freedom."""
        df = len(values) - self.rank
        if df == 0:
            return 0.0, 0
        left = values - self._full @ (self._inverse @ values)
        scale = float(left @ left) / df
        return (scale if scale > 1e-20 * max(float(np.var(values)), 1e-300) else 0.0), df


class _Judge:
    """The standard error of an effect: by the table's rule over the arms, or by the model's residual."""

    def __init__(
        self, test: str, samples: Mapping[str, Sample], arm_ids: Sequence[str], scale: float, residual_df: int
    ) -> None:
        order = {arm_id: place for place, arm_id in enumerate(dict.fromkeys(arm_ids))}
        self._arms = [samples[arm_id] for arm_id in order]
        self._places = np.asarray([order[arm_id] for arm_id in arm_ids])
        self._counts = np.asarray([sample.n for sample in self._arms])
        self._scale, self.residual_df = scale, residual_df
        self._unsound = _all_unsound(list(samples.values()))
        self._single = max(sample.planned for sample in samples.values()) < 2
        self._rule: Rule | None = None
        self.test = RESIDUAL
        if self._unsound:
            self.test = ""
        elif test != "dunnett" and not self._single:
            self._rule = rule_of(list(samples.values()), test)
            self.test = self._rule.name if self._rule else ""

    @cached_property
    def _obstacles(self) -> np.ndarray:
        """Which arms no effect can be judged by, each looked at once; only two arms together read other data."""
        return np.asarray([bool(obstacle(sample, least=2)) for sample in self._arms])

    @cached_property
    def _variances(self) -> tuple[np.ndarray, np.ndarray]:
        """The variance of each arm under the rule, and its degrees of freedom."""
        assert self._rule is not None
        judged = [self._rule.of(sample) for sample in self._arms]
        return np.asarray([variance for variance, _ in judged]), np.asarray([df for _, df in judged])

    def error(self, weights: np.ndarray) -> tuple[float | None, float, str]:
        """Standard error, degrees of freedom, and why there is none."""
        if self._unsound:
            return None, 0.0, self._unsound
        summed = np.bincount(self._places, weights)
        inside = np.flatnonzero(np.abs(summed) > 1e-9)
        if not self._single and self._obstacles[inside].any():
            return None, 0.0, obstacle(*(self._arms[place] for place in inside), least=2)
        if self._rule is not None:
            variances, dfs = self._variances
            shares = summed[inside] ** 2 * variances[inside] / self._counts[inside]
            return *combined(shares.tolist(), dfs[inside].tolist(), own=isinstance(self._rule, Own)), ""
        if self._scale == 0:
            return None, 0.0, "no p: no residual degrees of freedom"
        return float(self._scale * (weights @ weights)) ** 0.5, float(self.residual_df), ""


def _all_unsound(samples: Sequence[Sample]) -> str:
    """Why the model decides nothing: the first arm that lacks a run or is in doubt, and how many more."""
    found = [why for sample in samples if (why := unsound(sample))]
    others = len(found) - 1
    more = f"; {others} other arm{'s' * (others > 1)} missing runs or in doubt"
    return found[0] + (more if others else "") if found else other_data(samples)
