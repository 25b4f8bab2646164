"""Lion.

Paper    Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms" (arXiv 2302.06675), algorithm 2.
Formula  u = sign(0.9 * m + 0.1 * gradient);  w = w - rate * (u + weight_decay * w);  m = 0.99 * m + 0.01 * gradient.
Recipe   optimizer: {name: lion, lr: 0.0001, weight_decay: 0.5}
When     Where AdamW does well, with half its memory. Every weight moves by the rate, so the paper takes a rate 3 to 10 times smaller
         than AdamW's and a weight decay as much larger. It gains with large batches; at 64 and below it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from ablate.parts.declare import Optimizer, Settings

BETA_UPDATE, BETA_MEAN = 0.9, 0.99


@cache
def lion_class() -> Any:
    """The optimizer as torch has them; made on first use, since it inherits from torch."""
    import torch

    class Lion(torch.optim.Optimizer):
        """`step` moves each group by its own `lr` and `weight_decay`; the state of a weight is its gradient's running `mean`."""

        def __init__(self, groups: Sequence[dict[str, Any]], lr: float, weight_decay: float = 0.0) -> None:
            super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})

        @torch.no_grad()
        def step(self, closure: Callable[[], float] | None = None) -> Any:
            loss = None
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            for group in self.param_groups:
                weights = [weight for weight in group["params"] if weight.grad is not None]
                if weights:
                    self._move(weights, group["lr"], group["weight_decay"])
            return loss

        def _move(self, weights: list[torch.Tensor], rate: float, decay: float) -> None:
            for weight in weights:
                if not self.state[weight]:
                    self.state[weight]["mean"] = torch.zeros_like(weight)
            means = [self.state[weight]["mean"] for weight in weights]
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            updates = torch._foreach_lerp(means, gradients, 1 - BETA_UPDATE)
            torch._foreach_sign_(updates)
            torch._foreach_mul_(weights, 1 - rate * decay)
            torch._foreach_add_(weights, updates, alpha=-rate)
            torch._foreach_lerp_(means, gradients, 1 - BETA_MEAN)

    return Lion


def make(groups: Sequence[dict[str, Any]], settings: Settings, fused: bool | None) -> Any:
    return lion_class()(groups, lr=groups[0]["lr"])


PART = Optimizer(name="lion", make=make)
