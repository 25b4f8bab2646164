"""What tests compare of runs of our own trainer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

TIMED = ("examples_per_second", "peak_memory")


def untimed(outcome: Any) -> dict[str, float]:
    return {name: value for name, value in outcome.metrics.items() if name not in TIMED}


def weights(watched: Any, which: str = "last") -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(watched.context.run_dir / f"model-{which}.pt", weights_only=True)
    return loaded


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
