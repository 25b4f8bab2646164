"""Each channel stretched over all levels.

Paper    One of the operations of AutoAugment (Cubuk et al. 2019, arXiv 1805.09501) and its followers.
Formula  With probability p, each channel's darkest pixel becomes 0 and its brightest 255, the rest in proportion; a channel of one
         level stays: torchvision's RandomAutocontrast.
Recipe   data.augment: [{auto_contrast: {p: 0.5}}]
When     As a part of rand_augment or trivial_augment; alone to ask what it does there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Settings, Transform
from ablate.parts.types import Probability

if TYPE_CHECKING:
    from torch import Tensor


def auto_contrast(images: Tensor) -> Tensor:
    """uint8 (B, C, H, W), every image stretched."""
    import torch

    pixels = images.to(torch.float32)
    low, high = pixels.amin(dim=(2, 3), keepdim=True), pixels.amax(dim=(2, 3), keepdim=True)
    flat = high == low
    scale = torch.where(flat, 1.0, (high - low) * (1.0 / 255))
    return ((pixels - torch.where(flat, 0.0, low)) / scale).clamp_(0, 255).to(torch.uint8)


def kernel(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """Stretched with probability `p`."""
    from ablate.parts.chosen import on_chosen

    return on_chosen(images, uniform[:, 0] < arguments["p"], auto_contrast)


PART = Transform(
    name="auto_contrast",
    fields={"p": Field(Probability, 0.5, "probability")},
    draws=1,
    kernel=kernel,
)
