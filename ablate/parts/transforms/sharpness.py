"""Random sharpness.

Paper    One of the operations of AutoAugment (Cubuk et al. 2019, arXiv 1805.09501) and its followers, after Pillow's enhancer.
Formula  The image, blended with itself smoothed by a 3x3 kernel (5 in the middle, 1 around, over 13), by a factor uniform in
         [max(0, 1 - x), 1 + x]: 0 is smoothed, 1 as it is, above 1 sharpened. The outermost pixels stay.
Recipe   data.augment: [{sharpness: {sharpness: 0.9}}]
When     Photographs from many cameras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field as Range

from ablate.parts.declare import Field, Settings, Transform

if TYPE_CHECKING:
    from torch import Tensor


def sharpen(images: Tensor, factor: Tensor) -> Tensor:
    """torchvision's `adjust_sharpness`: uint8 (B, C, H, W) by `factor`, float64 (B,). Images of a side below 3 stay."""
    import torch

    height, width = images.shape[2:]
    if height <= 2 or width <= 2:
        return images
    pixels = images.to(torch.int32)
    rows = pixels[..., :-2, :] + pixels[..., 1:-1, :] + pixels[..., 2:, :]
    middle = pixels[..., 1:-1, 1:-1]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * middle
    smooth = (total.to(torch.float32) / 13).round_()
    share = (1 - factor).to(torch.float32).to(torch.float64).view(-1, 1, 1, 1)
    mixed = middle + (smooth - middle) * share  # in float64, then rounded once, as a fused multiply-add does it
    result = images.clone()
    result[..., 1:-1, 1:-1] = mixed.to(torch.float32).clamp_(0, 255).to(torch.uint8)
    return result


def kernel(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """A factor uniform in [max(0, 1 - sharpness), 1 + sharpness]."""
    strength = float(arguments["sharpness"])
    low = max(0.0, 1.0 - strength)
    return sharpen(images, low + uniform[:, 0].double() * (1.0 + strength - low))


PART = Transform(
    name="sharpness",
    fields={"sharpness": Field(Annotated[float, Range(ge=0, le=10)], 0.9, "how far the factor may lie from 1")},
    draws=1,
    kernel=kernel,
)
