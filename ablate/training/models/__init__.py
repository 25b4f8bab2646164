"""Networks by name, and the one place that builds them from a recipe."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from ablate.errors import nearest
from ablate.parts import streams
from ablate.parts.declare import Network, Settings
from ablate.parts.found import parts
from ablate.parts.packages import EXTRAS, absent, package_of
from ablate.study.recipes.recipe import TWEAKS, Model
from ablate.training.initialise import init_parameters
from ablate.training.models.changes import change, variant_by_changes
from ablate.training.models.cost import macs, parameter_count
from ablate.training.models.libraries import from_library
from ablate.training.registry import import_callable, recipe_error

__all__ = ["Built", "build_model", "flags_of", "macs", "network_of", "parameter_count", "usual_variant", "variant_of"]

NONE: Settings = MappingProxyType({})
_OF_MODEL = ("small_stem", "zero_init_gamma", "dropout")
_TWEAKED = ("stride_in_3x3", "deep_stem", "avgpool_shortcut")


@dataclass(frozen=True)
class Built:
    """A network with its first weights.

    `variant` holds the settings that say which weights fit it; `without_effect` names the recipe settings that differ from
    their default although this network has no use for them.
    """

    network: nn.Module
    variant: dict[str, Any]
    without_effect: tuple[str, ...]


def network_of(arch: str) -> Network | Callable[..., Any]:
    """The part of that name, or what `package.module:callable` names. Raises StudyError that lists what is allowed."""
    known = parts(Network)
    if arch in known:
        return known[arch]
    if ":" in arch:
        return import_callable(arch, "model.arch")
    raise recipe_error(
        "model.arch",
        "unknown-name",
        f"unknown name {arch!r}; allowed: {', '.join(known)}, package.module:callable, timm/NAME or torchvision/NAME."
        f"{nearest(arch, known)}",
    )


def tweak_flags(model: Model) -> dict[str, bool]:
    """The three tweak flags: each as the recipe says it, else as its tweak does, and B without one."""
    named = TWEAKS[model.tweak or "B"]
    given = {name: getattr(model, name) for name in _TWEAKED}
    return {name: named[name] if given[name] is None else bool(given[name]) for name in _TWEAKED}


def variant_of(model: Model, settings: Settings = NONE) -> dict[str, Any]:
    """The variant of the recipe's network; empty where the network has no variants. `settings`: see `build_model`."""
    part = parts(Network).get(model.arch)
    flags = {**tweak_flags(model), "small_stem": model.small_stem}
    changed = {} if part is None else variant_by_changes(part, settings)
    return {name: flags[name] for name in flags_of(model.arch)} | changed


def usual_variant(arch: str) -> dict[str, bool]:
    """What weights are that say nothing of their variant: torchvision's, which is tweak B with the 7x7 stem."""
    return {name: TWEAKS["B"].get(name, False) for name in flags_of(arch)}


def flags_of(arch: str) -> tuple[str, ...]:
    """The last names of the settings that make a variant of the network."""
    part = parts(Network).get(arch)
    return () if part is None else tuple(_last(path) for path in part.variant)


def build_model(
    model: Model, *, num_classes: int, image_shape: tuple[int, int, int], seed: int, settings: Settings = NONE
) -> Built:
    """The recipe's network on the CPU, its weights drawn from the stream `init` of `seed`.

    `image_shape` is (channels, height, width); `settings` are those of refinements that change networks, by path. Our own
    networks draw each parameter by its name, so one arm's stem never shifts another's draws. A network of the user's is made
    under a global generator seeded with (seed, "init") and keeps the weights that its author gave it, and so does one of timm's
    or torchvision's. Raises StudyError for names or arguments that do not fit.
    """
    if package_of(model.arch) in EXTRAS:
        make = partial(from_library, model.arch, model.args, num_classes=num_classes, image_shape=image_shape)
        return Built(_theirs(make, {}, seed), {}, ())
    if trouble := absent(model.arch):
        raise recipe_error("model.arch", "not-installed", trouble)
    source = network_of(model.arch)
    factory = source.build if isinstance(source, Network) else source
    named: dict[str, Any] = {
        **tweak_flags(model),
        "small_stem": model.small_stem,
        "zero_init_gamma": model.zero_init_gamma,
        "dropout": model.dropout,
    }
    if isinstance(source, Network):
        named |= {_last(path): settings[path] for path in source.takes if path in settings and _last(path) not in named}
    offered = {"num_classes": num_classes, "image_shape": image_shape, **named}
    accepted = inspect.signature(factory).parameters
    arguments = _arguments(model, accepted, offered)
    if isinstance(source, Network) and source.channels is not None and image_shape[0] != source.channels:
        raise recipe_error(
            "data.name",
            "conflict",
            f"{model.arch} takes images with {source.channels} channels, but the data has {image_shape[0]}",
        )
    network = _construct(model.arch, source, arguments, seed, settings)
    ignored = tuple(name for name in _OF_MODEL if name not in accepted and _differs(model, name))
    return Built(network, variant_of(model, settings), ignored)


def _arguments(model: Model, accepted: Mapping[str, inspect.Parameter], offered: Mapping[str, Any]) -> dict[str, Any]:
    """What the network's factory is called with: of `offered` what it takes, and `model.args`."""
    taken = [name for name in model.args if name in offered]
    if taken:
        raise recipe_error(
            "model.args", "conflict", f"{taken[0]!r} follows from the data or has a recipe field; remove it from args"
        )
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values())
    unknown = [] if takes_all else [name for name in model.args if name not in accepted]
    if unknown:
        allowed = ", ".join(name for name in accepted if name not in offered) or "none"
        raise recipe_error(
            "model.args", "unknown-name", f"{model.arch} has no argument {unknown[0]!r}; allowed: {allowed}"
        )
    named = {name: value for name, value in offered.items() if name in accepted or name == "num_classes"}
    return {**named, **model.args}


def _construct(
    arch: str, source: Network | Callable[..., Any], arguments: dict[str, Any], seed: int, settings: Settings
) -> nn.Module:
    try:
        if isinstance(source, Network):
            network = _ours(source, arguments, seed, settings)
        else:
            network = _theirs(source, arguments, seed)
    except (TypeError, ValueError) as error:
        raise recipe_error("model.args", "wrong-value", f"{arch} cannot be built from {arguments}: {error}") from error
    if not isinstance(network, nn.Module):
        raise recipe_error(
            "model.arch", "unsupported", f"{arch} gave a {type(network).__name__}, not a torch.nn.Module"
        )
    return network


def _ours(part: Network, arguments: dict[str, Any], seed: int, settings: Settings) -> nn.Module:
    """Built without memory behind it and changed by refinements, then drawn by name."""
    with torch.device("meta"):
        network: nn.Module = part.build(**arguments)
        change(network, part, settings)
    network = network.to_empty(device="cpu")
    (part.initialise or init_parameters)(network, seed)
    return network


def _theirs(factory: Callable[..., Any], arguments: dict[str, Any], seed: int) -> Any:
    """Built and drawn by its author's code, under a generator of our seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(streams.derive(seed, "init"))
        return factory(**arguments)


def _differs(model: Model, name: str) -> bool:
    """Whether the recipe sets `name` by hand."""
    return bool(getattr(model, name) != Model.model_fields[name].default)


def _last(path: str) -> str:
    return path.rpartition(".")[2]
