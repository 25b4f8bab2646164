"""The optimizer of a recipe, over the parameters that train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ablate.parts import declare as kinds
from ablate.parts.found import parts
from ablate.study.recipes.recipe import Optimizer, Recipe
from ablate.study.recipes.uses import settings_of
from ablate.training.freeze import matches
from ablate.training.registry import recipe_error


def parameter_groups(model: nn.Module, recipe: Optimizer) -> list[dict[str, Any]]:
    """Groups of one rate and one weight decay each, in the model's order, holding trainable parameters only.

    Keys are `params`, `lr`, `initial_lr` and `weight_decay`. With `no_decay_on_norm_and_bias`, vectors (biases, scales and
    shifts) do not decay. Raises StudyError for a glob that matches nothing that trains, and for parameters that two globs
    give different rates.
    """
    rates = _rates(model, recipe.groups)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = not (recipe.no_decay_on_norm_and_bias and parameter.ndim <= 1)
            key = (rates.get(name, recipe.lr), recipe.weight_decay if decays else 0.0)
            groups.setdefault(key, []).append(parameter)
    if not groups:
        raise recipe_error("model.trainable", "empty", "no parameter is left to train")
    return [
        {"params": parameters, "lr": rate, "initial_lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def _rates(model: nn.Module, globs: Mapping[str, float]) -> dict[str, float]:
    """The rate of each parameter that a glob matches."""
    rates: dict[str, float] = {}
    owner: dict[str, str] = {}
    for pattern, rate in globs.items():
        matched = [name for name, _ in model.named_parameters() if matches(name, pattern)]
        trained = [name for name, p in model.named_parameters() if p.requires_grad and name in set(matched)]
        if not trained:
            why = "only frozen parameters" if matched else "no parameter"
            raise recipe_error(
                "optimizer.groups",
                "no-effect",
                f"{pattern!r} matches {why}; names look like {next(iter(model.named_parameters()))[0]!r}",
            )
        for name in trained:
            if rates.setdefault(name, rate) != rate:
                raise recipe_error(
                    "optimizer.groups",
                    "conflict",
                    f"{name} is matched by {owner[name]!r} and by {pattern!r} with different rates; make the globs disjoint",
                )
            owner[name] = pattern
    return rates


def build_optimizer(model: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    """The recipe's optimizer over the parameters that train, with fused kernels on CUDA where it has them.

    Raises StudyError for settings that it cannot have.
    """
    part = parts(kinds.Optimizer)[recipe.optimizer.name]
    fused = True if device.type == "cuda" else None
    groups = parameter_groups(model, recipe.optimizer)
    try:
        made: torch.optim.Optimizer = part.make(groups, settings_of(part, recipe), fused)
    except ValueError as error:
        raise recipe_error("optimizer.name", "wrong-value", f"{part.name}: {error}") from error
    return made


def set_rates(optimizer: torch.optim.Optimizer, scale: float) -> None:
    """Give each group its own initial rate times `scale`."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * scale
