"""The recipe of an arm or a run, for any trainer, as everything after planning sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol


class AnyRecipe(Protocol):
    """Every setting that can change a number, by dotted path."""

    @property
    def json(self) -> Mapping[str, Any]:
        """The nested JSON-ready values that are hashed and stored."""

    def paths(self) -> Iterator[str]:
        """The settings that stand there, in their order."""

    def get(self, path: str, default: object = None) -> Any:
        """A setting, or a section as a mapping; `default` where it is left out."""


class NestedRecipe(Mapping[str, Any]):
    """A recipe of ours as it is stored. `study.recipes.recipe.parse_recipe` makes the typed one, with what this leaves out."""

    def __init__(self, nested: Mapping[str, Any]) -> None:
        self._nested = nested

    @property
    def json(self) -> Mapping[str, Any]:
        return self._nested

    def paths(self) -> Iterator[str]:
        for name, value in self._nested.items():
            if isinstance(value, Mapping):  # a section; a mapping inside one is a value, as model.args is
                yield from (f"{name}.{leaf}" for leaf in value)
            else:
                yield name

    def get(self, path: str, default: object = None) -> Any:
        return setting(self._nested, path, default)

    def __getitem__(self, name: str) -> Any:
        return self._nested[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._nested)

    def __len__(self) -> int:
        return len(self._nested)

    def __repr__(self) -> str:
        return repr(self._nested)


class FreeRecipe(NestedRecipe):
    """A recipe of another trainer: every mapping is a section, however deep."""

    def paths(self) -> Iterator[str]:
        return _leaves(self._nested, "")


def recipe_of(nested: Mapping[str, Any], trainer: Mapping[str, Any] | None = None) -> NestedRecipe:
    """Stored values as a recipe; one that is a recipe already stays itself."""
    if isinstance(nested, NestedRecipe):
        return nested
    return NestedRecipe(nested) if trainer is None else FreeRecipe(nested)


def setting(nested: Mapping[str, Any], path: str, default: object = None) -> Any:
    """What stands at a dotted path of nested values."""
    found: Any = nested
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return default
        found = found[name]
    return found


def whole(value: object) -> int | None:
    """A whole number from 1, written with a point or without; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 1 or value % 1:
        return None
    return int(value)


def epochs_of(recipe: AnyRecipe, said: object = None) -> int | None:
    """How many epochs or steps a run has: `said` is that number, or the path that holds it (`trainer.epochs`); left out it is
    `epochs`, as for our own trainer. None where it is not known."""
    return whole(said) if isinstance(said, int) else whole(recipe.get(str(said or "epochs")))


def _leaves(values: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name
