"""Which arms are judged together: a table's families, the same for its rows, its effects and its claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ablate.analysis.layout import arms_of, compared_with, matched_baseline
from ablate.analysis.values import Sample
from ablate.analysis.variance import Rule, rule_of
from ablate.study.values.study import Arm, Study, TableSpec

Key = tuple[str | None, object]


@dataclass(frozen=True)
class Family:
    """Arms of one variance: those of a column that share a baseline, or a path's steps, with what they are compared with.

    `pairs` are (compared with, arm), without arms that are the same run as what they would be compared with; in tables
    over epochs or classes only with arms that are in sight. In a table of effects a family is what one model is fitted
    to, and has no pairs.
    """

    arms: tuple[Arm, ...]
    pairs: tuple[tuple[Arm, Arm], ...]

    @property
    def comparisons(self) -> int:
        return len({arm.arm_id for _, arm in self.pairs})


def key_of(study: Study, spec: TableSpec, arm: Arm) -> Key:
    """What the arms of a family share: the column where columns are levels, and the baseline (or the model's place)."""
    column = None if spec.column_factor is None else arm.levels[spec.column_factor]
    if spec.kind == "effect":
        return column, tuple(arm.levels[factor] for factor in spec.factors)
    baseline = matched_baseline(study, spec, arm)
    return column, None if baseline is None else baseline.arm_id


def families_of(study: Study, spec: TableSpec) -> list[Family]:
    """The table's families, in the order of their first arms."""
    arms: dict[Key, list[Arm]] = {}
    pairs: dict[Key, list[tuple[Arm, Arm]]] = {}
    kept = arms_of(study, spec)
    for arm in kept:
        if spec.column_factor is not None and arm.levels[spec.column_factor] not in spec.columns:
            continue
        key = key_of(study, spec, arm)
        arms.setdefault(key, []).append(arm)
        other = None if spec.kind == "effect" else compared_with(study, spec, arm)
        if other is not None:
            arms[key].append(other)
            if other.arm_id != arm.arm_id and (spec.kind == "arms" or other in kept):
                pairs.setdefault(key, []).append((other, arm))
    return [
        Family(tuple({arm.name: arm for arm in members}.values()), tuple(pairs.get(key, ())))
        for key, members in arms.items()
    ]


class Rules:
    """The variance rule of each family of a table, for one number of its runs.

    `judged` collects the samples of each rule that was asked for.
    """

    def __init__(self, families: Sequence[Family], test: str, sample: Callable[[Arm], Sample]) -> None:
        self._families, self._test, self._sample = families, test, sample
        self._rules: dict[frozenset[str], Rule | None] = {}
        self.judged: list[list[Sample]] = []

    def of(self, arms: Sequence[Arm]) -> list[Rule | None]:
        """For each of the arms of a contrast the rule that judges it.

        One family that holds them all judges them all. Else each arm has the rule of its own family, or under `dunnett`
        the pool of all their families. An arm outside of every family counts as one more of the largest.
        """
        ids = {arm.arm_id for arm in arms}
        for family in self._families:
            if ids <= {arm.arm_id for arm in family.arms}:
                return [self._rule(family.arms)] * len(arms)
        homes = [self._home(arm) for arm in arms]
        if self._test == "dunnett":
            return [self._rule([member for home in homes for member in home])] * len(arms)
        return [self._rule(home) for home in homes]

    def _home(self, arm: Arm) -> Sequence[Arm]:
        holding = [f.arms for f in self._families if any(arm.arm_id == member.arm_id for member in f.arms)]
        if holding:
            return max(holding, key=len)
        return [*max((f.arms for f in self._families), key=len, default=()), arm]

    def _rule(self, arms: Sequence[Arm]) -> Rule | None:
        place = frozenset(arm.arm_id for arm in arms)
        if place not in self._rules:
            self.judged.append([self._sample(arm) for arm in arms])
            self._rules[place] = rule_of(self.judged[-1], self._test)
        return self._rules[place]
