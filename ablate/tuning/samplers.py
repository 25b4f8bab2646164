"""Samplers, pruners and distributions of Optuna by the names of a tuning file.

A sampler is made anew for each trial from (seed, number): what a trial asks for is then a function of the seed and of the
trials before it, and an asker that was built again goes on as the first would have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import optuna
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

from ablate.study.values.trials import Dimension

optuna.logging.set_verbosity(optuna.logging.ERROR)

REDUCTION = 3
"""Of three trials that hyperband compares at an epoch, it lets the best one go on."""


def make_sampler(name: str, seed: int, number: int) -> BaseSampler:
    """The sampler of one trial. A grid's cells are not sampled at all."""
    drawn = int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:4], "big")
    if name == "tpe":
        return TPESampler(seed=drawn)
    if name == "cmaes":
        return CmaEsSampler(seed=drawn, warn_independent_sampling=False)
    if name == "gp":
        return GPSampler(seed=drawn, warn_independent_sampling=False)
    return RandomSampler(seed=drawn)


def make_pruner(name: str, epochs: int) -> BasePruner:
    """The pruner for runs of at most so many epochs.

    hyperband has floor(log3(epochs)) + 1 brackets; bracket s first compares at epoch 3^s, then at three times that, and so
    on. Which bracket a trial belongs to hangs on its number alone.
    """
    if name == "median":
        return MedianPruner()
    if name == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=max(1, epochs), reduction_factor=REDUCTION)
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
