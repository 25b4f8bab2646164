"""Refinements: changes of the training procedure, one file each, the method's card in its docstring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REFINEMENTS: Mapping[str, Mapping[str, Any]] = {
    "cosine": {"schedule.name": "cosine"},
    "label_smoothing": {"loss.label_smoothing": 0.1},
    "mixup": {"mixup.alpha": 0.2},
}
"""The module of each refinement, and the recipe settings that switch it on as its paper does."""
