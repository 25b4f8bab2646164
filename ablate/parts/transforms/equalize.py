"""Each channel's histogram made even.

Paper    One of the operations of AutoAugment (Cubuk et al. 2019, arXiv 1805.09501) and its followers, after Pillow.
Formula  With probability p, level v becomes (n(v) + step // 2) // step, where n(v) counts the channel's darker pixels and step is a
         255th of all but the brightest ones; a step of 0 leaves the channel: torchvision's RandomEqualize.
Recipe   data.augment: [{equalize: {p: 0.5}}]
When     As a part of rand_augment or trivial_augment; alone where the light varies much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Settings, Transform
from ablate.parts.types import Probability

if TYPE_CHECKING:
    from torch import Tensor


def equalize(images: Tensor) -> Tensor:
    """uint8 (B, C, H, W), every image with an even histogram."""
    import torch

    levels = images.flatten(2).to(torch.int64)
    counts = torch.zeros((*levels.shape[:2], 256), dtype=torch.int32, device=images.device)
    counts.scatter_add_(2, levels, torch.ones((), dtype=torch.int32, device=images.device).expand_as(levels))
    up_to = counts.cumsum(dim=2)
    brightest = counts.gather(2, levels.amax(dim=2, keepdim=True))
    step = (levels.shape[2] - brightest).div(255, rounding_mode="floor")
    made = (up_to - counts + step // 2).div(step.clamp(min=1), rounding_mode="floor").clamp_(0, 255)
    table = torch.where(step == 0, torch.arange(256, device=images.device), made).to(torch.uint8)
    return table.gather(2, levels).view(images.shape)


def kernel(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """An even histogram with probability `p`."""
    from ablate.parts.chosen import on_chosen

    return on_chosen(images, uniform[:, 0] < arguments["p"], equalize)


PART = Transform(
    name="equalize",
    fields={"p": Field(Probability, 0.5, "probability")},
    draws=1,
    kernel=kernel,
)
