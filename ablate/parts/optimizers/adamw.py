"""AdamW.

Paper    Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization" (arXiv 1711.05101).
Formula  Adam's step, and w = w - rate * weight_decay * w beside it: the decay is not divided by the gradient's size.
Recipe   optimizer: {name: adamw, lr: 0.001, weight_decay: 0.05}
When     Transformers, and convolutional networks with long recipes of augmentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ablate.parts.declare import Optimizer, Settings


def make(groups: Sequence[dict[str, Any]], settings: Settings, fused: bool | None) -> Any:
    from torch.optim import AdamW

    return AdamW(groups, lr=groups[0]["lr"], fused=fused)


PART = Optimizer(name="adamw", make=make)
