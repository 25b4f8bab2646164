"""The hooks of one training: the refinements that are on, each asked where it acts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ablate.parts import streams
from ablate.parts.declare import Refinement, Settings
from ablate.parts.hooks import Hook, Mix, Place, Setup
from ablate.study.recipes.recipe import Recipe
from ablate.study.recipes.uses import parts_used, settings_of
from ablate.training.registry import recipe_error


@dataclass(frozen=True)
class Hooks:
    """Hooks by the name of their refinement, in the order in which they act."""

    by_name: Mapping[str, Hook]
    acts: Mapping[str, tuple[str, ...]]

    def at(self, *places: str) -> tuple[Hook, ...]:
        """Those that act at all of the places."""
        return tuple(hook for name, hook in self.by_name.items() if set(places) <= set(self.acts[name]))

    @property
    def mixers(self) -> tuple[Hook, ...]:
        return self.at("images", "labels")

    @property
    def labels(self) -> tuple[Hook, ...]:
        return tuple(hook for hook in self.at("labels") if hook not in self.mixers)

    def mix(self, images: torch.Tensor, place: Place) -> tuple[torch.Tensor, Mix | None]:
        """The batch mixed by one of the hooks that mix; each batch draws which, evenly."""
        mixers = self.mixers
        if not mixers:
            return images, None
        chosen = 0
        if len(mixers) > 1:
            chosen = streams.derive(place.seed, "mixer", place.epoch, place.batch) % len(mixers)
        return mixers[chosen].mix(images, place)

    def evaluated(self) -> nn.Module | None:
        """The network that is evaluated and kept, where that is not the one that trains."""
        return next((found for hook in self.by_name.values() if (found := hook.evaluated()) is not None), None)

    def state(self) -> dict[str, Any]:
        return {name: dict(state) for name, hook in self.by_name.items() if (state := hook.state())}

    def load(self, states: Mapping[str, Mapping[str, Any]]) -> None:
        for name, state in states.items():
            self.by_name[name].load(state)


def hooks_of(recipe: Recipe, setup: Setup) -> Hooks:
    """The hooks of a recipe's refinements. Raises StudyError where one cannot be trained with the rest of the recipe."""
    on: Sequence[Refinement] = [part for part in parts_used(recipe) if isinstance(part, Refinement) and part.make]
    ordered = sorted(on, key=lambda part: (part.last, part.name))
    return Hooks(
        {part.name: _made(part, settings_of(part, recipe), setup) for part in ordered},
        {part.name: part.acts for part in ordered},
    )


_PLACES = {
    "mix": ("images", "labels"),
    "targets": ("labels",),
    "loss": ("loss",),
    "gradient": ("gradient",),
    "weights": ("weights",),
    "epoch": ("epoch",),
}
"""Where a part must act for the loop to call a method of its hook."""


def _made(part: Refinement, settings: Settings, setup: Setup) -> Hook:
    assert part.make is not None
    try:
        made: Hook = part.make(settings, setup)
        _check_called(part, made)
    except ValueError as error:
        raise recipe_error(next(iter(part.fields)), "conflict", str(error)) from error
    return made


def _check_called(part: Refinement, hook: Hook) -> None:
    """A method that is never called would leave its refinement without effect."""
    for method, places in _PLACES.items():
        if getattr(type(hook), method) is not getattr(Hook, method) and not set(places) <= set(part.acts):
            raise ValueError(f"the hook of {part.name} has {method}, so its acts must name {' and '.join(places)}")
    if set(_PLACES["mix"]) <= set(part.acts) and type(hook).mix is Hook.mix:
        raise ValueError(f"{part.name} acts on images and labels, so its hook must have mix")
