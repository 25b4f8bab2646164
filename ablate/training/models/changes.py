"""The refinements that change a network, as its part takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from ablate.parts.declare import Network, Refinement, Settings
from ablate.parts.found import parts


def change(network: nn.Module, part: Network, settings: Settings) -> None:
    """Change a network in place by all refinements of it that are on; settings that are absent have their defaults."""
    for refinement, values in _on(part, settings):
        if refinement.change is not None:
            refinement.change(network, values)


def variant_by_changes(part: Network, settings: Settings) -> dict[str, Any]:
    """The settings, by last name, of those changes that are on and that weights are trained for."""
    return {
        path.rpartition(".")[2]: value
        for refinement, values in _on(part, settings)
        if refinement.is_variant
        for path, value in values.items()
    }


def variants_before() -> dict[str, Any]:
    """What weights of before a change existed were trained with: its defaults, by last name."""
    return {
        path.rpartition(".")[2]: field.default
        for refinement in parts(Refinement).values()
        if refinement.is_variant
        for path, field in refinement.fields.items()
    }


def _on(part: Network, settings: Settings) -> Iterator[tuple[Refinement, Mapping[str, Any]]]:
    for refinement in parts(Refinement).values():
        if refinement.change is None or not set(refinement.fields) & set(part.takes):
            continue
        values = {path: settings.get(path, field.default) for path, field in refinement.fields.items()}
        if not refinement.is_off(values):
            yield refinement, values
