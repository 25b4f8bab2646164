"""One recipe field: how its values are read, and at which value it is left out of what is hashed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from ablate.parts.declare import FIRST
from ablate.parts.weights import NAMES_WEIGHTS


@dataclass(frozen=True)
class RecipeField:
    """One leaf of the recipe, addressed by its dotted path; or one argument of a transform.

    `before` is what recipes meant before the field existed, `FIRST` where they always had it.
    """

    path: str
    default: Any
    description: str
    adapter: TypeAdapter[Any]
    before: Any = FIRST
    names_weights: bool = False

    def parse(self, value: object) -> Any:
        """`value` as the field's type, JSON-ready; raises `pydantic.ValidationError`."""
        return _read(self.adapter, value)

    def is_left_out(self, value: object) -> bool:
        """Whether recipes with this value are hashed without the field, as they were before it existed."""
        return self.before != FIRST and value == self.before and type(value) is type(self.before)


def recipe_field(path: str, type_: Any, default: object, about: str, *, is_first: bool) -> RecipeField:
    """A field of that type. Raises `pydantic.ValidationError` where its own default is no value of it."""
    adapter: TypeAdapter[Any] = TypeAdapter(type_, config=ConfigDict(allow_inf_nan=False))
    read = _read(adapter, default)
    marks = getattr(type_, "__metadata__", ())
    return RecipeField(path, read, about, adapter, FIRST if is_first else read, NAMES_WEIGHTS in marks)


def _read(adapter: TypeAdapter[Any], value: object) -> Any:
    found = adapter.dump_python(adapter.validate_python(value, strict=True), mode="json")
    return found + 0.0 if isinstance(found, float) else found  # -0.0 and 0.0 are one setting
