"""Which parts a recipe uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ablate.parts.declare import DataSet, Loss, Network, Optimizer, Part, Refinement, Schedule, Transform
from ablate.parts.found import parts


def parts_used(recipe: Mapping[str, Any]) -> tuple[Part, ...]:
    """The chosen optimizer, schedule, loss, network, data set and transforms, and the refinements that are on."""
    return tuple(_used(recipe))


def _used(recipe: Mapping[str, Any]) -> Iterator[Part]:
    for kind in (Optimizer, Schedule, Loss, Network, DataSet):
        name = _value(recipe, kind.kind)
        if name is None and kind is Loss:
            name = "cross_entropy"
        if (part := parts(kind).get(str(name))) is not None:
            yield part
    for item in _value(recipe, Transform.kind) or ():
        name = next(iter(item), "") if isinstance(item, Mapping) else item
        if (part := parts(Transform).get(str(name))) is not None:
            yield part
    for refinement in parts(Refinement).values():
        values = {path: _value(recipe, path) for path in refinement.fields}
        settings = {
            path: declared.default if values[path] is None else values[path]
            for path, declared in refinement.fields.items()
        }
        if not refinement.is_off(settings):
            yield refinement


def _value(recipe: Mapping[str, Any], path: str) -> Any:
    value: Any = recipe
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
