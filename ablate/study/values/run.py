"""A run: one arm with one seed. It is what is hashed, queued and trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ablate.study.values.recipe import AnyRecipe, recipe_of

STATES = ("queued", "running", "done", "failed", "lost", "cancelled", "pruned")
"""What the store keeps of a run. `blocked` is worked out when a study is planned, never stored."""


@dataclass(frozen=True)
class Run:
    """One training to be done.

    `recipe` is the whole resolved recipe, given as such or as the values that JSON has of it; `trainer` is None for the built-in one.
    `parent` is the run whose weights this one starts from.
    """

    run_id: str
    arm_id: str
    seed: int
    recipe: AnyRecipe
    trainer: Mapping[str, Any] | None = None
    parent: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.recipe, Mapping):
            object.__setattr__(self, "recipe", recipe_of(self.recipe, self.trainer))
