"""Sharpness-aware minimisation.

Paper    Foret et al. 2021, "Sharpness-Aware Minimization for Efficiently Improving Generalization" (arXiv 2010.01412),
         algorithm 1, with p = 2.
Formula  e = rho * g / (|g| + 1e-12), |g| over the gradients of all parameters together; the optimizer's step at w uses the gradient
         at w + e, of the same batch.
Recipe   sam.rho: 0.05
When     Generalisation matters more than time: each step costs two. The loss that is reported is that at w.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Refinement, Settings
from ablate.parts.hooks import Hook, Setup
from ablate.parts.types import NonNegative

if TYPE_CHECKING:
    from torch import nn

PATH = "sam.rho"
_TINY = 1e-12


class SharpnessAware(Hook):
    def __init__(self, rho: float, network: nn.Module) -> None:
        self.rho = rho
        self.network = network

    def gradient(self, again: Callable[[], None]) -> None:
        import torch

        moved = [parameter for parameter in self.network.parameters() if parameter.grad is not None]
        with torch.no_grad():
            norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(p.grad) for p in moved]))
            scale = self.rho / (norm + _TINY)
            before = [parameter.detach().clone() for parameter in moved]
            for parameter in moved:
                parameter.add_(parameter.grad * scale)
        with _statistics_kept(self.network):
            again()
        with torch.no_grad():
            for parameter, value in zip(moved, before, strict=True):
                parameter.copy_(value)


@contextmanager
def _statistics_kept(network: nn.Module) -> Iterator[None]:
    """The statistics of BatchNorm move once a step, with the weights as they are."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in network.buffers()]
    yield
    for buffer, value in buffers:
        buffer.copy_(value)


def make(settings: Settings, setup: Setup) -> Hook:
    return SharpnessAware(settings[PATH], setup.network)


PART = Refinement(
    name="sam",
    acts=("gradient",),
    fields={
        PATH: Field(NonNegative, 0.0, "how far the weights are moved uphill before each step; 0 is off", before=0.0)
    },
    is_off=lambda settings: not settings[PATH],
    make=make,
    excludes={"precision: fp16": "two gradients per step cannot share a scale; use bf16 or fp32."},
    on={PATH: 0.05},
)
