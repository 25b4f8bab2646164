"""A shift left or right.

Paper    One of the operations of AutoAugment (Cubuk et al. 2019, arXiv 1805.09501) and its followers.
Formula  A shift uniform in [-share, share] of the width, rounded to whole pixels; black outside: torchvision's RandomAffine.
Recipe   data.augment: [{translate_x: {share: 0.1}}]
When     Objects that do not fill their frame. random_crop shifts along both axes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Settings, Transform
from ablate.parts.types import Probability

if TYPE_CHECKING:
    from torch import Tensor


def translate_x(images: Tensor, pixels: Tensor) -> Tensor:
    """uint8 (B, C, H, W), each image shifted by `pixels`, whole numbers in float64 (B,)."""
    from ablate.parts.affine import unmoved, warp

    matrix = unmoved(images)
    matrix[:, 0, 2] = -pixels
    return warp(images, matrix)


def kernel(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """A shift uniform in [-share, share] of the width, in whole pixels."""
    most = float(arguments["share"]) * images.shape[3]
    return translate_x(images, ((uniform[:, 0].double() * 2 - 1) * most).round())


PART = Transform(
    name="translate_x",
    fields={"share": Field(Probability, 0.1, "largest shift, as a share of the width")},
    draws=1,
    kernel=kernel,
)
