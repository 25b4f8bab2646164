"""`data.augment`: transforms by name, each with its arguments as its part declares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from ablate.errors import nearest
from ablate.parts.declare import FIRST, Transform
from ablate.parts.found import Unfit, leave_out, on_change, parts
from ablate.study.recipes.field import RecipeField, recipe_field


@cache
def transforms() -> Mapping[str, Mapping[str, RecipeField]]:
    """The arguments of each transform by name. Raises AblateError for a default that is no value of its argument."""
    while True:
        try:
            return {
                name: {path: _argument(part, path) for path in part.fields} for name, part in parts(Transform).items()
            }
        except Unfit as unfit:
            leave_out(unfit)


on_change(transforms.cache_clear)


def _argument(part: Transform, name: str) -> RecipeField:
    declared = part.fields[name]
    try:
        is_first = declared.before == FIRST
        return recipe_field(name, declared.type, declared.default, declared.about, is_first=is_first)
    except ValidationError as error:
        raise Unfit(part, f"the default of {name} is not valid: {error}") from None


def read_transforms(value: object) -> Any:
    """`[flip]`, `[{flip: {p: 0.5}}]` -> `({"flip": {"p": 0.5}},)` with every argument written out."""
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list of transforms, as in [{random_crop: {padding: 4}}, horizontal_flip]")
    return tuple(_transform(item) for item in value)


def read_stored(value: Sequence[str | Mapping[str, Any]]) -> tuple[list[Any], list[str]]:
    """A list that was valid once, and the names in it that no transform has: those keep the arguments that they were given."""
    items = [
        {item: {}} if isinstance(item, str) else {name: dict(given or {}) for name, given in item.items()}
        for item in value
    ]
    absent = [name for item in items for name in item if name not in transforms()]
    return [item if next(iter(item)) in absent else _transform(item) for item in items], absent


def without_later(value: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[dict[str, dict[str, Any]]]:
    """Transforms as they are hashed: without the arguments that came later, where they have the value from before."""
    found = []
    for item in value:
        ((name, given),) = item.items()
        known = transforms().get(name, {})
        kept = {key: value for key, value in given.items() if key not in known or not known[key].is_left_out(value)}
        found.append({name: kept})
    return found


def _transform(item: object) -> dict[str, dict[str, Any]]:
    if isinstance(item, str):
        item = {item: {}}
    if not isinstance(item, Mapping) or len(item) != 1:
        raise ValueError("must give each transform as a name or as {name: {argument: value}}")
    ((name, given),) = item.items()
    given = {} if given is None else given
    known = transforms().get(name)
    if known is None:
        raise ValueError(
            f"has an unknown transform {name!r}; allowed: {', '.join(transforms())}.{nearest(str(name), transforms())}"
        )
    if not isinstance(given, Mapping):
        example = f"{{{name}: {{{next(iter(known))}: ...}}}}" if known else name
        raise ValueError(f"must give the arguments of {name} as a mapping, as in {example}")
    for argument in given:
        if argument not in known:
            raise ValueError(f"{name} has no argument {argument!r}; allowed: {', '.join(known) or 'none'}")
    return {name: {key: _value(name, field, given.get(key, field.default)) for key, field in known.items()}}


def _value(name: str, field: RecipeField, value: object) -> Any:
    shape = field.adapter.json_schema()
    if shape.get("type") == "integer" and isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        return field.parse(value)
    except ValidationError as error:
        wanted = _wanted(shape) or error.errors()[0]["msg"]
        raise ValueError(f"{name}.{field.path} must be {wanted}, not {value!r}") from None


def _wanted(shape: Mapping[str, Any]) -> str:
    """`a number of at least 0 and at most 1`, from a JSON Schema; empty for what is neither a number nor a list of names."""
    if "enum" in shape:
        return f"one of {', '.join(map(str, shape['enum']))}"
    if shape.get("type") not in ("number", "integer"):
        return {"boolean": "true or false", "string": "text"}.get(str(shape.get("type")), "")
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    bounds = " and ".join(f"{word} {shape[key]:g}" for key, word in words.items() if key in shape)
    of = "of " if bounds.startswith("at") else ""
    return f"a {'whole ' if shape['type'] == 'integer' else ''}number {of}{bounds}".rstrip()


class _Schema:
    def __get_pydantic_json_schema__(self, core_schema: object, handler: object) -> dict[str, Any]:
        """Written when it is asked for: which transforms there are may change until then."""
        shapes = [_shape(name, arguments) for name, arguments in transforms().items()]
        return {"type": "array", "items": {"anyOf": [{"enum": list(transforms())}, *shapes]}}


def _shape(name: str, arguments: Mapping[str, RecipeField]) -> dict[str, Any]:
    properties = {
        key: {**field.adapter.json_schema(), "default": field.default, "description": field.description}
        for key, field in arguments.items()
    }
    inner = {"type": ["object", "null"], "properties": properties, "additionalProperties": False}
    return {"type": "object", "properties": {name: inner}, "required": [name], "additionalProperties": False}


Transforms = Annotated[Any, BeforeValidator(read_transforms), _Schema()]
