"""Bright pixels inverted.

Paper    One of the operations of AutoAugment (Cubuk et al. 2019, arXiv 1805.09501) and its followers; BYOL (Grill et al. 2020, arXiv
         2006.07733) uses it alone.
Formula  With probability p, each pixel x at or above the threshold becomes 255 - x: torchvision's RandomSolarize.
Recipe   data.augment: [{solarize: {threshold: 128, p: 0.2}}]
When     As a part of rand_augment or trivial_augment, and in self-supervised recipes and DeiT III.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field as Range

from ablate.parts.declare import Field, Settings, Transform
from ablate.parts.types import Probability

if TYPE_CHECKING:
    from torch import Tensor


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """uint8 (B, C, H, W), each image's pixels from `threshold`, (B,) or one, on inverted."""
    import torch

    return torch.where(images >= threshold.to(torch.float32).view(-1, 1, 1, 1), 255 - images, images)


def kernel(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """Solarized with probability `p`."""
    from ablate.parts.chosen import on_chosen

    threshold = uniform.new_tensor(float(arguments["threshold"]))
    return on_chosen(images, uniform[:, 0] < arguments["p"], lambda those: solarize(those, threshold))


PART = Transform(
    name="solarize",
    fields={
        "threshold": Field(Annotated[int, Range(ge=0, le=255)], 128, "the darkest pixel that is inverted"),
        "p": Field(Probability, 0.5, "probability"),
    },
    draws=1,
    kernel=kernel,
)
