"""Networks by name, and the one place that builds them from a recipe."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ablate.study.recipe import TWEAKS, Model
from ablate.parts import streams
from ablate.training.initialise import init_parameters
from ablate.training.models import resnet, small
from ablate.training.models.catalogue import MODELS
from ablate.training.models.cost import macs, parameter_count
from ablate.training.registry import recipe_error

__all__ = ["MODELS", "Built", "build_model", "macs", "parameter_count", "resnet", "small", "variant_of"]

_FLAGS = ("stride_in_3x3", "deep_stem", "avgpool_shortcut")


@dataclass(frozen=True)
class Built:
    """A network with its first weights.

    `variant` holds the flags that say which weights fit it; `without_effect` names the recipe settings that differ from
    their default although this network has no use for them.
    """

    network: nn.Module
    variant: dict[str, bool]
    without_effect: tuple[str, ...]


def tweak_flags(model: Model) -> dict[str, bool]:
    """The three tweak flags: each as the recipe says it, else as its tweak does, and B without one."""
    named = TWEAKS[model.tweak or "B"]
    given = {name: getattr(model, name) for name in _FLAGS}
    return {name: named[name] if given[name] is None else bool(given[name]) for name in _FLAGS}


def variant_of(model: Model) -> dict[str, bool]:
    """The variant of the recipe's network; empty where the network has no variants."""
    return resnet.variant(model.arch, {**tweak_flags(model), "small_stem": model.small_stem})


def build_model(model: Model, *, num_classes: int, image_shape: tuple[int, int, int], seed: int) -> Built:
    """The recipe's network on the CPU, its weights drawn from the stream `init` of `seed`.

    `image_shape` is (channels, height, width). Our own networks draw each parameter by its name, so one arm's stem never
    shifts another's draws. A network of the user's is made under a global generator seeded with (seed, "init") and keeps
    the weights that its author gave it. Raises StudyError for names or arguments that do not fit.
    """
    factory = MODELS.get(model.arch)
    settings: dict[str, Any] = {
        **tweak_flags(model),
        "small_stem": model.small_stem,
        "zero_init_gamma": model.zero_init_gamma,
        "dropout": model.dropout,
    }
    accepted = inspect.signature(factory).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values())
    offered = {"num_classes": num_classes, "image_shape": image_shape, **settings}
    named = {name: value for name, value in offered.items() if name in accepted or name == "num_classes"}
    taken = [name for name in model.args if name in offered]
    if taken:
        raise recipe_error(
            "model.args", f"{taken[0]!r} follows from the data or has a recipe field; take it out of args"
        )
    arguments = {**named, **model.args}
    unknown = [] if takes_all else [name for name in model.args if name not in accepted]
    if unknown:
        allowed = ", ".join(name for name in accepted if name not in offered) or "none"
        raise recipe_error("model.args", f"{model.arch} has no argument {unknown[0]!r}; allowed: {allowed}")
    if model.arch in resnet.LAYERS and image_shape[0] != 3:
        raise recipe_error("data.name", f"{model.arch} takes images of 3 channels, the data has {image_shape[0]}")
    network = _construct(model, factory, arguments, seed)
    ignored = tuple(name for name in settings if name not in accepted and _differs(model, name))
    return Built(network, variant_of(model), ignored)


def _construct(model: Model, factory: Any, arguments: dict[str, Any], seed: int) -> nn.Module:
    try:
        if MODELS.owns(model.arch):
            with torch.device("meta"):
                network = factory(**arguments)
            network = network.to_empty(device="cpu")
            zeroed = resnet.last_gammas(network) if model.zero_init_gamma else set()
            init_parameters(network, seed, zeroed=zeroed)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(streams.derive(seed, "init"))
                network = factory(**arguments)
    except (TypeError, ValueError) as error:
        raise recipe_error("model.args", f"{model.arch} cannot be built from {arguments}: {error}") from error
    if not isinstance(network, nn.Module):
        raise recipe_error("model.arch", f"{model.arch} gave a {type(network).__name__}, not a torch.nn.Module")
    return network


def _differs(model: Model, name: str) -> bool:
    """Whether the recipe sets `name` by hand; a tweak alone is the default of every recipe."""
    value = getattr(model, name)
    return name not in _FLAGS and value != Model.model_fields[name].default
