"""Identity: what makes two runs the same run.

`run_id` is the SHA-256 of the canonical JSON of the whole resolved recipe, the seed and `RECIPE_VERSION`; `arm_id` leaves
the seed out. Study names, devices and worker counts are never part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ablate.study.recipe import RECIPE_VERSION

SHORT = 12
"""Characters of an id that people see and type."""


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no blanks, no NaN. Raises ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def arm_id(recipe: Mapping[str, Any], trainer: Mapping[str, Any] | None = None) -> str:
    """64 hex digits that identify a recipe (and the trainer, where it is not the built-in one)."""
    return hashlib.sha256(_document(recipe, trainer).encode()).hexdigest()


def run_id(arm: str, seed: int) -> str:
    """64 hex digits that identify one arm, given by its `arm_id`, with one seed."""
    return hashlib.sha256(f"{arm}:{seed}".encode()).hexdigest()


def _document(recipe: Mapping[str, Any], trainer: Mapping[str, Any] | None) -> str:
    return canonical_json({"version": RECIPE_VERSION, "recipe": recipe, "trainer": trainer})
