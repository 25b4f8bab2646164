"""A shear along x: each row moves by a share of its distance from the upper edge.

Paper    One of the operations of AutoAugment (Cubuk et al. 2019, arXiv 1805.09501) and its followers, there up to 0.3.
Formula  A shear uniform in [-shear, shear], pixels a row; the upper left corner stays, nearest pixel, black outside (torchvision).
Recipe   data.augment: [{shear_x: {shear: 0.3}}]
When     As a part of rand_augment or trivial_augment; alone to ask what it does there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field as Range

from ablate.parts.declare import Field, Settings, Transform

if TYPE_CHECKING:
    from torch import Tensor


def shear_x(images: Tensor, shear: Tensor) -> Tensor:
    """uint8 (B, C, H, W), each image sheared by `shear`, float64 (B,)."""
    from ablate.parts.affine import unmoved, warp

    matrix = unmoved(images)
    matrix[:, 0, 1] = shear
    matrix[:, 0, 2] = shear * (images.shape[2] * 0.5)
    return warp(images, matrix)


def kernel(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """A shear uniform in [-shear, shear]."""
    return shear_x(images, (uniform[:, 0].double() * 2 - 1) * float(arguments["shear"]))


PART = Transform(
    name="shear_x",
    fields={"shear": Field(Annotated[float, Range(ge=0, le=10)], 0.3, "largest shear, in pixels a row")},
    draws=1,
    kernel=kernel,
)
