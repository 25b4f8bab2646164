"""Stochastic gradient descent with momentum.

Formula  g = gradient + weight_decay * w;  v = momentum * v + g;  w = w - rate * v, or rate * (g + momentum * v) with Nesterov.
Recipe   optimizer: {name: sgd, lr: 0.1, momentum: 0.9}
When     The usual choice for convolutional networks. `weight_decay` is L2, part of the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ablate.parts.declare import Field, Optimizer, Settings
from ablate.parts.types import Share

MOMENTUM = Field(Share, 0.9, "")
NESTEROV = Field(bool, False, "")


def make(groups: Sequence[dict[str, Any]], settings: Settings, fused: bool | None) -> Any:
    from torch.optim import SGD

    momentum, nesterov = settings["optimizer.momentum"], settings["optimizer.nesterov"]
    if nesterov and not momentum:
        raise ValueError("Nesterov momentum needs optimizer.momentum above 0")
    return SGD(groups, lr=groups[0]["lr"], momentum=momentum, nesterov=nesterov, fused=fused)


PART = Optimizer(name="sgd", fields={"optimizer.momentum": MOMENTUM, "optimizer.nesterov": NESTEROV}, make=make)
