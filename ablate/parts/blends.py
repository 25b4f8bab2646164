"""Brightness, contrast and saturation by a factor for each image, as torchvision's `adjust_*` on uint8 tensors.

`color.jitter` does the same for many factors at once, with a rounding of its own; these are the single steps of a policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.color import greys

if TYPE_CHECKING:
    from torch import Tensor


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """uint8 (B, C, H, W) times `factor`, float64 (B,): 0 is black, 1 leaves an image as it is."""
    import torch

    return (images.to(torch.float32) * _each(factor)).clamp_(0, 255).to(torch.uint8)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """The same away from each image's mean grey."""
    import torch

    pixels = images.to(torch.float32)
    # whole numbers are added up, so the mean is exact and no batch changes it
    mean = greys(pixels).mean(dim=(1, 2, 3), keepdim=True, dtype=torch.float64).to(torch.float32)
    return blend(pixels, mean, factor)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """The same away from each pixel's grey; images of one channel stay."""
    import torch

    if images.shape[1] == 1:
        return images
    pixels = images.to(torch.float32)
    return blend(pixels, greys(pixels), factor)


def blend(pixels: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """`pixels` * factor + `other` * (1 - factor), float32 to uint8; rounded after the first product and after the sum, as a fused
    multiply-add does it.
    """
    import torch

    share = _each(1 - factor).to(torch.float64)
    mixed = (pixels * _each(factor)).to(torch.float64) + other.to(torch.float64) * share
    return mixed.to(torch.float32).clamp_(0, 255).to(torch.uint8)


def _each(factor: Tensor) -> Tensor:
    import torch

    return factor.to(torch.float32).view(-1, 1, 1, 1)
