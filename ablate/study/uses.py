"""Which parts a recipe uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ablate.parts.declare import DataSet, Loss, Network, Optimizer, Part, Refinement, Schedule, Transform
from ablate.parts.found import parts


def parts_used(recipe: Any) -> tuple[Part, ...]:
    """The chosen optimizer, schedule, loss, network, data set and transforms, and the refinements that are on."""
    return tuple(_used(recipe))


def settings_of(part: Part, recipe: Any) -> dict[str, Any]:
    """A part's own settings by path, as a recipe has them: stored and nested, or typed. What it leaves out has its default."""
    return {path: _value(recipe, path, declared.default) for path, declared in part.fields.items()}


def _used(recipe: Any) -> Iterator[Part]:
    for kind in (Optimizer, Schedule, Loss, Network, DataSet):
        name = _value(recipe, kind.kind, "cross_entropy" if kind is Loss else "")
        if (part := parts(kind).get(str(name))) is not None:
            yield part
    for item in _value(recipe, Transform.kind, ()) or ():
        name = next(iter(item), "") if isinstance(item, Mapping) else item
        if (part := parts(Transform).get(str(name))) is not None:
            yield part
    for refinement in parts(Refinement).values():
        if not refinement.is_off(settings_of(refinement, recipe)):
            yield refinement


def _value(recipe: Any, path: str, default: Any) -> Any:
    value: Any = recipe
    for name in path.split("."):
        if isinstance(value, Mapping):
            if name not in value:
                return default
            value = value[name]
        elif hasattr(value, name):
            value = getattr(value, name)
        else:
            return default
    return value
