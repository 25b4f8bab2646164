"""Adam.

Paper    Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization" (arXiv 1412.6980).
Formula  w = w - rate * m / (sqrt(v) + 1e-8), m and v being running means (0.9, 0.999) of the gradient and of its square,
         corrected for their start at 0.
Recipe   optimizer: {name: adam, lr: 0.001}
When     A robust first choice. `weight_decay` is L2, part of the gradient: adamw decouples it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ablate.parts.declare import Optimizer, Settings


def make(groups: Sequence[dict[str, Any]], settings: Settings, fused: bool | None) -> Any:
    from torch.optim import Adam

    return Adam(groups, lr=groups[0]["lr"], fused=fused)


PART = Optimizer(name="adam", make=make)
