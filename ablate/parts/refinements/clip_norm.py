"""Gradient clipping by norm.

Paper    Pascanu et al. 2013, "On the difficulty of training recurrent neural networks" (arXiv 1211.5063), section 3.2.
Formula  g = g * min(1, clip_norm / (|g| + 1e-6)), |g| over the gradients of all parameters together.
Recipe   optimizer.clip_norm: 1.0
When     Transformers, high rates, few examples a batch. It caps rare steps; where it acts on most steps it is a lower rate.
"""

from __future__ import annotations

from collections.abc import Callable

from ablate.parts.declare import Field, Refinement, Settings
from ablate.parts.hooks import Hook, Setup
from ablate.parts.types import Positive

PATH = "optimizer.clip_norm"


class ClipNorm(Hook):
    def __init__(self, norm: float, setup: Setup) -> None:
        self.norm = norm
        self.parameters = [parameter for parameter in setup.network.parameters() if parameter.requires_grad]

    def gradient(self, again: Callable[[], None]) -> None:
        from torch.nn.utils import clip_grad_norm_

        clip_grad_norm_(self.parameters, self.norm)


def make(settings: Settings, setup: Setup) -> Hook:
    return ClipNorm(settings[PATH], setup)


PART = Refinement(
    name="clip_norm",
    acts=("gradient",),
    fields={PATH: Field(Positive | None, None, "largest norm of the gradient; none: no clipping", before=None)},
    is_off=lambda settings: settings[PATH] is None,
    make=make,
    on={PATH: 1.0},
    last=True,
)
