"""Squeeze-and-excitation.

Paper    Hu et al. 2018, "Squeeze-and-Excitation Networks" (arXiv 1709.01507).
Formula  The end of each residual branch (after its last normalisation, before the shortcut is added) is multiplied by
         sigmoid(W2 relu(W1 mean(x) + b1) + b2), one factor a channel; W1 goes from C channels to C / 16, at least 8 and a multiple
         of 8, as in timm's seresnet, whose tensors have the same names and shapes. `model.activation` leaves its ReLU alone.
Recipe   model.squeeze_excitation: true
When     Little arithmetic (about 10% more parameters in ResNet-50) for a gain on ImageNet; reductions are large for narrow networks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Refinement, Settings

if TYPE_CHECKING:
    from torch import nn

PATH = "model.squeeze_excitation"
REDUCTION = 16
DIVISOR = 8


def squeezed(channels: int) -> int:
    """C / 16, rounded to the nearest multiple of 8 and at least 8."""
    return max(DIVISOR, int(channels / REDUCTION + DIVISOR / 2) // DIVISOR * DIVISOR)


def change(network: nn.Module, settings: Settings) -> None:
    from torchvision.ops import SqueezeExcitation

    from ablate.parts.residual import blocks

    for block in blocks(network):
        block.se = SqueezeExcitation(block.channels, squeezed(block.channels))


PART = Refinement(
    name="squeeze_excitation",
    acts=("network",),
    fields={PATH: Field(bool, False, "each block weighs its channels; reduction 16", False)},
    is_off=lambda settings: not settings[PATH],
    change=change,
    is_variant=True,
    on={PATH: True},
)
