"""An exponential moving average of the weights.

Paper    Polyak and Juditsky 1992 average the weights of all steps; the exponential form is that of Tarvainen and Valpola 2017,
         "Mean teachers are better role models" (arXiv 1703.01780), and of timm's ModelEmaV2.
Formula  average = decay * average + (1 - decay) * weights after each step, from the first weights on; BatchNorm statistics alike,
         counters as they are.
Recipe   ema.decay: 0.9998
When     Long trainings: 1 / (1 - decay) steps should be a small part of them. The average is what is evaluated, selected and kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from ablate.parts.declare import Field, Refinement, Settings
from ablate.parts.hooks import Hook, Setup
from ablate.parts.types import Share

if TYPE_CHECKING:
    from torch import Tensor, nn

PATH = "ema.decay"


class MovingAverage(Hook):
    def __init__(self, decay: float, network: nn.Module) -> None:
        from copy import deepcopy

        self.decay = decay
        self.network = network
        self.average = deepcopy(network).requires_grad_(False)

    def weights(self) -> None:
        import torch

        with torch.no_grad():
            for mean, now in zip(_tensors(self.average), _tensors(self.network), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(now, 1 - self.decay)  # exact where nothing moved, so frozen layers stay what they are
                else:
                    mean.copy_(now)

    def evaluated(self) -> nn.Module:
        return self.average

    def state(self) -> Mapping[str, Any]:
        return {"average": self.average.state_dict()}

    def load(self, state: Mapping[str, Any]) -> None:
        self.average.load_state_dict(state["average"])


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    """Parameters and buffers; one that two layers share is there once, and moves once."""
    return chain(network.parameters(), network.buffers())


def make(settings: Settings, setup: Setup) -> Hook:
    return MovingAverage(settings[PATH], setup.network)


PART = Refinement(
    name="ema",
    acts=("weights",),
    fields={PATH: Field(Share, 0.0, "decay of the averaged weights per step; 0 is off", before=0.0)},
    is_off=lambda settings: not settings[PATH],
    make=make,
    on={PATH: 0.9998},
)
