"""Grey in the place of colour.

Paper    Used by SimCLR (Chen et al. 2020, arXiv 2002.05709) with p 0.2, and by DeiT III (Touvron et al. 2022, arXiv 2204.07118).
Formula  With probability p, the three channels become 0.2989 red + 0.587 green + 0.114 blue: torchvision's RandomGrayscale.
Recipe   data.augment: [{grayscale: {p: 0.1}}]
When     Classes that do not differ by their colour. Images of one channel stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Settings, Transform
from ablate.parts.types import Probability

if TYPE_CHECKING:
    from torch import Tensor


def grayscale(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """Three equal channels with probability `p`."""
    from ablate.parts.chosen import on_chosen

    return on_chosen(images, uniform[:, 0] < arguments["p"], grey)


def grey(images: Tensor) -> Tensor:
    """uint8 (B, C, H, W), every image with equal channels."""
    import torch

    from ablate.parts.color import greys

    return greys(images.to(torch.float32)).to(torch.uint8).expand_as(images)


PART = Transform(
    name="grayscale",
    fields={"p": Field(Probability, 0.1, "probability")},
    draws=1,
    kernel=grayscale,
)
