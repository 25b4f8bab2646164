"""Augmentation of uint8 batches on their device, with parameters for each image.

What an image gets is a function of (seed, epoch, its id, the transform and its place in the list) and of nothing else:
not of the batch it lies in, not of workers, packing or a resumed run. (torchvision's transforms draw one set for a
whole batch.) The distributions are torchvision's, and each kernel works on the whole batch without a loop over images
and, but for the policies, without waiting for the device. Between transforms the pixels are uint8, as they are in
torchvision on uint8 images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from ablate.parts import streams
from ablate.parts.declare import Transform
from ablate.parts.found import parts

CHUNK = 2**18
"""Numbers that a CPU augments at a time: its caches hold them (up to 3 times the speed of a whole batch at once)."""

Arguments = Mapping[str, Any]
Kernel = Callable[[torch.Tensor, torch.Tensor, Arguments], torch.Tensor]
Step = tuple[Kernel, torch.Tensor, Arguments]
"""A transform made ready: its kernel, each image's draws (B, draws), and its arguments."""


def augment_batch(
    images: torch.Tensor, ids: torch.Tensor, transforms: Iterable[Mapping[str, Arguments]], *, seed: int, epoch: int
) -> torch.Tensor:
    """`images` uint8 (B, C, H, W), C of 1 or 3, through `transforms` in order; same shape, type and device.

    `ids` int64 (B,) are the images' ids in the data set. `transforms` is the recipe's `data.augment`, every argument
    written out.
    """
    listed = list(transforms)
    if not listed or not len(images):
        return images
    ids = ids.to(images.device, non_blocking=True)
    steps = [_step(transform, place, ids, seed, epoch) for place, transform in enumerate(listed)]
    if images.device.type != "cpu":
        return _apply(images, slice(None), steps)
    size = max(1, CHUNK // images[0].numel())
    return torch.cat([_apply(images, slice(at, at + size), steps) for at in range(0, len(images), size)])


def _step(transform: Mapping[str, Arguments], place: int, ids: torch.Tensor, seed: int, epoch: int) -> Step:
    ((name, arguments),) = transform.items()
    part = parts(Transform)[name]
    draws = part.draws if isinstance(part.draws, int) else part.draws(arguments)
    return part.kernel, streams.uniforms(streams.derive(seed, "augment", epoch, place, name), ids, draws), arguments


def _apply(images: torch.Tensor, rows: slice, steps: Iterable[Step]) -> torch.Tensor:
    images = images[rows]
    for kernel, uniform, arguments in steps:
        images = kernel(images, uniform[rows], arguments)
    return images


def normalize_batch(images: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """uint8 (B, C, H, W) to float32 (images / 255 - mean) / std, with `mean` and `std` (C,) on the scale 0 to 1."""
    shape = (1, -1, 1, 1)
    low = (mean.to(images.device, torch.float32, non_blocking=True) * 255).view(shape)
    scale = (std.to(images.device, torch.float32, non_blocking=True) * 255).view(shape)
    return images.to(torch.float32).sub_(low).div_(scale)
