"""A rectangle erased.

Paper    Zhong et al. 2020, "Random Erasing Data Augmentation" (arXiv 1708.04896): p 0.5, area 0.02 to 0.4, aspect 0.3 to 1 / 0.3.
Formula  With probability p, a box of an area uniform in [scale_min, scale_max] of the image and an aspect log-uniform in [ratio_min,
         1 / ratio_min] is filled with `value`: the first of ten tries that is smaller than the image on both sides, at a uniform
         place; without any the image stays (torchvision's rule and defaults).
Recipe   data.augment: [horizontal_flip, {random_erasing: {p: 0.25}}], last in the list
When     Objects that are often hidden in part. torchvision and timm erase after normalisation, where 0 is the mean colour; here
         pixels are erased before it, so 0 is black. `value: 116` is near the mean of ImageNet. The paper fills with noise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field as Range

from ablate.parts.declare import Field, Settings, Transform
from ablate.parts.types import Probability

if TYPE_CHECKING:
    from torch import Tensor

TRIES = 10
"""Boxes that are tried, as in torchvision."""


def random_erasing(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """A box of each image filled with `value`, with probability `p`."""
    import torch

    height, width = images.shape[2:]
    top, left, tall, wide = (values.unsqueeze(1) for values in erased_boxes(uniform[:, 1:], height, width, arguments))
    tall = torch.where(uniform[:, :1] < arguments["p"], tall, 0)
    y = torch.arange(height, device=images.device)
    x = torch.arange(width, device=images.device)
    rows, columns = (y >= top) & (y < top + tall), (x >= left) & (x < left + wide)
    return images.masked_fill(rows.view(-1, 1, height, 1) & columns.view(-1, 1, 1, width), int(arguments["value"]))


def erased_boxes(
    uniform: Tensor, height: int, width: int, arguments: Settings
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Top, left, height and width of a box for each row of `uniform` (B, 2 TRIES + 2), int64 (B,); of height 0 where none fits."""
    import torch

    low, high = float(arguments["scale_min"]), float(arguments["scale_max"])
    tries = uniform[:, : 2 * TRIES].reshape(-1, TRIES, 2)
    area = (low + tries[..., 0] * (high - low)) * (height * width)
    aspect = ((tries[..., 1] * 2 - 1) * -math.log(float(arguments["ratio_min"]))).exp()
    tall = (area * aspect).sqrt().round().to(torch.int64)
    wide = (area / aspect).sqrt().round().to(torch.int64)
    fits = (tall < height) & (wide < width)
    first = fits.int().argmax(dim=1, keepdim=True)
    some = fits.any(dim=1)
    tall = torch.where(some, tall.gather(1, first).squeeze(1), 0)
    wide = torch.where(some, wide.gather(1, first).squeeze(1), 0)
    top = (uniform[:, -2] * (height - tall + 1)).to(torch.int64)
    left = (uniform[:, -1] * (width - wide + 1)).to(torch.int64)
    return top, left, tall, wide


PART = Transform(
    name="random_erasing",
    fields={
        "p": Field(Probability, 0.5, "probability"),
        "scale_min": Field(Probability, 0.02, "smallest share of the area"),
        "scale_max": Field(Probability, 0.33, "largest share of the area"),
        "ratio_min": Field(Annotated[float, Range(gt=0, le=1)], 0.3, "smallest aspect; the largest is its inverse"),
        "value": Field(
            Annotated[int, Range(ge=0, le=255)], 0, "what each channel is filled with, before normalisation"
        ),
    },
    draws=1 + 2 * TRIES + 2,
    kernel=random_erasing,
)
