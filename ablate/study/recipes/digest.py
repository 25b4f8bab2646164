"""Identity: what makes two runs the same run.

`run_id` is the SHA-256 of the canonical JSON of the whole resolved recipe, the seed and `RECIPE_VERSION`; `arm_id` leaves the seed
out. Study names, devices and worker counts are never part of it.
"""

from __future__ import annotations

import hashlib
import json

from ablate.study.recipes.recipe import RECIPE_VERSION

SHORT = 12
"""Characters of an id that people see and type."""


def canonical_json(value: object) -> str:
    """The one JSON text of a value: sorted keys, no blanks, no NaN. Raises ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def arm_id(recipe_json: str, trainer_json: str = "null") -> str:
    """64 hex digits that identify a recipe, given as canonical JSON."""
    text = f'{{"recipe":{recipe_json},"trainer":{trainer_json},"version":{RECIPE_VERSION}}}'
    return hashlib.sha256(text.encode()).hexdigest()


def run_id(recipe_json: str, seed: int, trainer_json: str = "null") -> str:
    """64 hex digits that identify a recipe, given as canonical JSON, with one seed."""
    text = f'{{"recipe":{recipe_json},"seed":{seed},"trainer":{trainer_json},"version":{RECIPE_VERSION}}}'
    return hashlib.sha256(text.encode()).hexdigest()
