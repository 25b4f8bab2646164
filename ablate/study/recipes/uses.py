"""Which parts a recipe uses, and which settings are theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ablate.parts.declare import DataSet, Network, Part, Transform
from ablate.parts.found import parts
from ablate.study.recipes.normalise import refinements_on
from ablate.study.recipes.recipe import CHOICES, Recipe, filled

NAMED: Mapping[str, type[Part]] = {**CHOICES, Network.kind: Network, DataSet.kind: DataSet}
"""Fields that name a part, and of which kind."""


def parts_used(recipe: Recipe | Mapping[str, Any]) -> tuple[Part, ...]:
    """The parts that training this recipe runs: what it names, its transforms, and the refinements that are on.

    `recipe` is a stored one, or one that `parse_recipe` made. `package.module:callable` is no part: its file is the user's.
    """
    flat = _flat(recipe)
    named = [parts(kind).get(flat[path]) for path, kind in NAMED.items()]
    transforms = [parts(Transform).get(name) for item in flat[Transform.kind] for name in item]
    found = [part for part in (*named, *transforms) if part is not None]
    return tuple({(part.kind, part.name): part for part in (*found, *refinements_on(flat))}.values())


def settings_of(part: Part, recipe: Recipe | Mapping[str, Any]) -> dict[str, Any]:
    """The part's own fields by path, with their values in this recipe. Transforms have none: `data.augment` has their arguments."""
    flat = _flat(recipe)
    return {} if isinstance(part, Transform) else {path: flat[path] for path in part.fields}


def _flat(recipe: Recipe | Mapping[str, Any]) -> Mapping[str, Any]:
    return recipe.values if isinstance(recipe, Recipe) else filled(recipe)
