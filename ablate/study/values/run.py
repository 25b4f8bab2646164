"""A run: one arm with one seed. It is what is hashed, queued and trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STATES = ("queued", "running", "done", "failed", "lost", "cancelled", "pruned")
"""What the store keeps of a run. `blocked` is worked out when a study is planned, never stored."""


@dataclass(frozen=True)
class Run:
    """One training to be done.

    `recipe` is the whole resolved recipe as nested JSON-ready values; `trainer` is None for the built-in trainer.
    `parent` is the run whose weights this one starts from.
    """

    run_id: str
    arm_id: str
    seed: int
    recipe: Mapping[str, Any]
    trainer: Mapping[str, Any] | None = None
    parent: str | None = None
