"""Samplers, pruners and distributions of Optuna by the names of a tuning file.

A sampler is made anew for each trial from (seed, number): what a trial asks for is then a function of the seed and of the
trials before it, and an asker that was built again goes on as the first would have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna import Study
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from ablate.study.values.trials import Dimension

optuna.logging.set_verbosity(optuna.logging.ERROR)

REDUCTION = 3
"""Of three trials that hyperband compares at an epoch, it lets the best one go on."""


def make_sampler(name: str, seed: int, number: int, *, rounds: bool = False) -> BaseSampler:
    """The sampler of one trial, whose numbers are rounded where a command is to hold them. A grid's cells are not sampled at all."""
    sampler = _sampler(name, seed, number)
    return Rounding(sampler) if rounds else sampler


def _sampler(name: str, seed: int, number: int) -> BaseSampler:
    drawn = int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:4], "big")
    if name == "tpe":
        return TPESampler(seed=drawn)
    if name == "cmaes":
        return CmaEsSampler(seed=drawn, warn_independent_sampling=False)
    if name == "gp":
        return GPSampler(seed=drawn, warn_independent_sampling=False)
    return RandomSampler(seed=drawn)


class Rounding(BaseSampler):
    """Another sampler, whose numbers have six significant digits: what is trained, stored and told back is one and the same number,
    and short enough to read in a command."""

    def __init__(self, inner: BaseSampler) -> None:
        self._inner = inner

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        found = self._inner.sample_relative(study, trial, search_space)
        return {name: rounded(value, search_space[name]) for name, value in found.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        value = self._inner.sample_independent(study, trial, param_name, param_distribution)
        return rounded(value, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._inner.after_trial(study, trial, state, values)


def rounded(value: object, distribution: BaseDistribution) -> object:
    """A number of a range with six significant digits, or at an end of the range; one of a range with steps keeps its step."""
    if not isinstance(distribution, FloatDistribution) or not isinstance(value, float):
        return value
    if distribution.step is not None:
        return float(f"{value:.12g}")
    return min(max(float(f"{value:.6g}"), distribution.low), distribution.high)


def make_pruner(name: str, epochs: int, first: int = 1) -> BasePruner:
    """The pruner for runs of at most so many epochs, the first of which is told at epoch or step `first`.

    hyperband has floor(log3(epochs / first)) + 1 brackets; bracket s first compares at epoch first * 3^s, then at three times that,
    and so on. Which bracket a trial belongs to hangs on its number alone.
    """
    if name == "median":
        return MedianPruner()
    if name == "hyperband":
        return HyperbandPruner(min_resource=first, max_resource=max(first, epochs), reduction_factor=REDUCTION)
    return NopPruner()


def distribution(dimension: Dimension) -> BaseDistribution:
    """What Optuna calls a field of the space."""
    if dimension.kind == "values":
        return CategoricalDistribution(dimension.values)
    if dimension.kind == "int":
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(float(dimension.low), float(dimension.high), log=dimension.log, step=dimension.step)


def packed(distributions: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """Distributions as JSON-ready values, by path."""
    return {path: json.loads(distribution_to_json(found)) for path, found in distributions.items()}


def unpacked(stored: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    return {path: json_to_distribution(json.dumps(found)) for path, found in stored.items()}
