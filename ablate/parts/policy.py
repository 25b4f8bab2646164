"""What rand_augment and trivial_augment have in common: 14 operations, their strengths in 31 steps, and one of each for an image.

An operation takes uint8 (B, C, H, W) and float64 (B,), a strength for each image, with its sign where it has a direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.parts import blends
from ablate.parts.transforms.auto_contrast import auto_contrast
from ablate.parts.transforms.equalize import equalize
from ablate.parts.transforms.posterize import posterize
from ablate.parts.transforms.sharpness import sharpen
from ablate.parts.transforms.shear_x import shear_x
from ablate.parts.transforms.shear_y import shear_y
from ablate.parts.transforms.solarize import solarize
from ablate.parts.transforms.translate_x import translate_x
from ablate.parts.transforms.translate_y import translate_y

if TYPE_CHECKING:
    from torch import Tensor

BINS = 31
"""Strengths of an operation, from none to the largest."""


@dataclass(frozen=True)
class Space:
    """The largest strengths; a shift in pixels, or as a share of the side."""

    shear: float
    degrees: float
    factor: float
    fewer_bits: int
    pixels: float | None = None
    share: float = 0.0


NARROW = Space(shear=0.3, degrees=30.0, factor=0.9, fewer_bits=4, share=150.0 / 331.0)
WIDE = Space(shear=0.99, degrees=135.0, factor=0.99, fewer_bits=6, pixels=32.0)


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Each image turned counter-clockwise about its centre: torchvision's `rotate`. (`rotation` rounds in its own way.)"""
    from ablate.parts.affine import unmoved, warp

    angle = degrees * (math.pi / 180)
    matrix = unmoved(images)
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
    matrix[:, 0, 1], matrix[:, 1, 0] = -angle.sin(), angle.sin()
    return warp(images, matrix)


OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "identity": lambda images, _: images,
    "shear_x": shear_x,
    "shear_y": shear_y,
    "translate_x": lambda images, pixels: translate_x(images, pixels.trunc()),
    "translate_y": lambda images, pixels: translate_y(images, pixels.trunc()),
    "rotate": rotate,
    "brightness": lambda images, strength: blends.brightness(images, 1 + strength),
    "saturation": lambda images, strength: blends.saturation(images, 1 + strength),
    "contrast": lambda images, strength: blends.contrast(images, 1 + strength),
    "sharpness": lambda images, strength: sharpen(images, 1 + strength),
    "posterize": posterize,
    "solarize": lambda images, share: solarize(images, share * 255),
    "auto_contrast": lambda images, _: auto_contrast(images),
    "equalize": lambda images, _: equalize(images),
}
"""In torchvision's order."""

SIGNED = 10
"""So many have two directions, `identity` for what it is worth among them: the others have only a strength."""


def strengths(space: Space, height: int, width: int) -> Tensor:
    """The strength of each operation at each step, float64 (operations, BINS), on the CPU."""
    import torch

    def up_to(most: float) -> Tensor:
        return torch.linspace(0.0, most, BINS).double()

    across = space.share * width if space.pixels is None else space.pixels
    along = space.share * height if space.pixels is None else space.pixels
    none, factor = up_to(0.0), up_to(space.factor)
    bits = (8 - torch.arange(BINS) / ((BINS - 1) / space.fewer_bits)).round().double()
    brightest_first = torch.linspace(1.0, 0.0, BINS).double()
    table = [none, up_to(space.shear), up_to(space.shear), up_to(across), up_to(along), up_to(space.degrees)]
    return torch.stack([*table, factor, factor, factor, factor, bits, brightest_first, none, none])


def drawn(which: Tensor, direction: Tensor, bins: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """The place in `OPERATIONS`, int64, and the strength, float64, for each image: `which` and `direction` (B,) are draws in [0, 1),
    `bins` (B,) steps, `table` of `strengths`.
    """
    import torch

    index = (which * len(OPERATIONS)).to(torch.int64)
    strength = table[index, bins]
    return index, torch.where((index < SIGNED) & (direction < 0.5), -strength, strength)


def apply(images: Tensor, index: Tensor, strength: Tensor) -> Tensor:
    """One operation for each image, as `drawn`.

    Each operation works on all of its images at once. A GPU is waited for once, to know how many those are.
    """
    import torch

    counts = (index.unsqueeze(1) == torch.arange(len(OPERATIONS), device=index.device)).sum(dim=0).tolist()
    if len(images) in counts:  # as of large images, which come one at a time
        return list(OPERATIONS.values())[counts.index(len(images))](images, strength)
    result = torch.empty_like(images, memory_format=torch.contiguous_format)
    for operation, rows in zip(OPERATIONS.values(), torch.split(index.argsort(stable=True), counts), strict=True):
        if len(rows):
            result[rows] = operation(images[rows], strength[rows])
    return result
