"""Fewer levels in each channel.

Paper    One of the operations of AutoAugment (Cubuk et al. 2019, arXiv 1805.09501) and its followers.
Formula  With probability p, only the upper `bits` bits of each pixel are kept: torchvision's RandomPosterize.
Recipe   data.augment: [{posterize: {bits: 4, p: 0.5}}]
When     As a part of rand_augment or trivial_augment; alone to ask what it does there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field as Range

from ablate.parts.declare import Field, Settings, Transform
from ablate.parts.types import Probability

if TYPE_CHECKING:
    from torch import Tensor


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """uint8 (B, C, H, W), each image with its upper `bits` bits, whole numbers from 0 to 8, (B,) or one."""
    import torch

    mask = 256 - 2 ** (8 - bits.to(torch.int32))
    return images & mask.to(torch.uint8).view(-1, 1, 1, 1)


def kernel(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """`bits` bits with probability `p`."""
    from ablate.parts.chosen import on_chosen

    bits = uniform.new_tensor(float(arguments["bits"]))
    return on_chosen(images, uniform[:, 0] < arguments["p"], lambda those: posterize(those, bits))


PART = Transform(
    name="posterize",
    fields={
        "bits": Field(Annotated[int, Range(ge=0, le=8)], 4, "bits of each pixel that are kept"),
        "p": Field(Probability, 0.5, "probability"),
    },
    draws=1,
    kernel=kernel,
)
