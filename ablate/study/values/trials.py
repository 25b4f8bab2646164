"""The values of tuning that cross layers: what a tuning file says, and what came of its trials."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ablate.errors import Problem
from ablate.study.values.study import Arm, Condition, Study


@dataclass(frozen=True)
class Dimension:
    """One recipe field that is sampled: `kind` is `float`, `int` or `values`.

    `only` is the condition that an arm's levels must meet, empty for every arm. `texts` are the values as they stand in the file, where
    they fill a command.
    """

    path: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    values: tuple[Any, ...] = ()
    only: Condition = field(default_factory=dict)
    texts: tuple[str, ...] = ()

    @property
    def cells(self) -> tuple[Any, ...]:
        """Every value, for a grid; empty where they cannot be counted."""
        if self.kind == "values":
            return self.values
        if self.kind == "int":
            return tuple(range(int(self.low), int(self.high) + 1))
        if self.step is None:
            return ()
        count = int((self.high - self.low) / self.step + 1e-8) + 1
        return tuple(round(self.low + index * self.step, 12) for index in range(count))


@dataclass(frozen=True)
class Budget:
    """How much each arm may spend: `kind` is `trials`, `minutes` (of training) or `epochs`."""

    kind: str
    amount: float

    def __str__(self) -> str:
        return f"{self.amount:g} {self.kind}"


@dataclass(frozen=True)
class Tuning:
    """A tuning file that has been read. `study` holds the study with the tuning's own recipe and seeds.

    `better` is `higher` or `lower`. `sets` are the command line's `--set`. `warnings` are those of this file; the study has its own.
    """

    file: str
    source: str
    study: Study
    arms: tuple[Arm, ...]
    recipe: Mapping[str, Any]
    space: tuple[Dimension, ...]
    metric: str
    better: str
    sampler: str
    sampler_seed: int
    pruner: str
    budget: Budget
    seeds: tuple[int, ...]
    warnings: tuple[Problem, ...] = ()
    sets: tuple[str, ...] = ()

    def space_of(self, arm: Arm) -> tuple[Dimension, ...]:
        """What is sampled in this arm."""
        return tuple(
            dimension
            for dimension in self.space
            if all(arm.levels[factor] in names for factor, names in dimension.only.items())
        )

    def cells_of(self, arm: Arm) -> list[dict[str, Any]]:
        """Every cell of the arm's grid, the last field of the space varying fastest."""
        space = self.space_of(arm)
        combinations = itertools.product(*(dimension.cells for dimension in space))
        return [dict(zip([d.path for d in space], values, strict=True)) for values in combinations]


@dataclass(frozen=True)
class Trial:
    """One trial as it is reported: `state` is `complete`, `pruned`, `failed` or `running`.

    `value` is the mean over its runs, of a pruned trial the last that was judged. `epochs` counts those of all of its
    runs, `curve` holds the mean of the metric at each epoch that all of them have, `seconds` is their wall time.
    """

    number: int
    params: Mapping[str, Any]
    state: str
    value: float | None
    epochs: int
    run_ids: tuple[str, ...]
    seconds: float = 0.0
    curve: Mapping[int, float] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class TunedArm:
    """An arm with its trials; `importance` is the share of each sampled field, empty where too little is known."""

    arm: str
    trials: tuple[Trial, ...]
    best: Trial | None
    space: tuple[Dimension, ...] = ()
    importance: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TuningResult:
    """All that a report of a tuning shows."""

    study: str
    profile: str | None
    metric: str
    better: str
    sampler: str
    pruner: str
    budget: str
    source: str
    arms: tuple[TunedArm, ...]
    about: str = ""
    warnings: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
