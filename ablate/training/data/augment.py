"""Augmentation of uint8 batches on their device, with parameters for each image.

What an image gets is a function of (seed, epoch, its id, the transform and its place in the list) and of nothing else:
not of the batch it lies in, not of workers, packing or a resumed run. (torchvision's transforms draw one set for a
whole batch.) The distributions are torchvision's, and each kernel works on the whole batch without a loop over images
and without waiting for the device. Between transforms the pixels are uint8, as they are in torchvision on uint8 images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from ablate.training import streams
from ablate.training.data import color

TRIES = 10
"""Boxes that `random_resized_crop` tries before it takes the centre, as in torchvision."""

CHUNK = 2**18
"""Numbers that a CPU augments at a time: its caches hold them (up to 3 times the speed of a whole batch at once)."""

Arguments = Mapping[str, Any]
Kernel = Callable[[torch.Tensor, torch.Tensor, Arguments], torch.Tensor]
Step = tuple[int, int, Kernel, Arguments]
"""A transform made ready: its stream's key, the uniform numbers that an image needs, the kernel and its arguments."""


def augment_batch(
    images: torch.Tensor, ids: torch.Tensor, transforms: Iterable[Mapping[str, Arguments]], *, seed: int, epoch: int
) -> torch.Tensor:
    """`images` uint8 (B, C, H, W), C of 1 or 3, through `transforms` in order; same shape, type and device.

    `ids` int64 (B,) are the images' ids in the data set. `transforms` is the recipe's `data.augment`, every argument
    written out.
    """
    steps = [_step(transform, place, seed, epoch) for place, transform in enumerate(transforms)]
    if not steps or not len(images):
        return images
    ids = ids.to(images.device, non_blocking=True)
    if images.device.type != "cpu":
        return _apply(images, ids, steps)
    size = max(1, CHUNK // images[0].numel())
    return torch.cat(
        [_apply(*chunk, steps) for chunk in zip(torch.split(images, size), torch.split(ids, size), strict=True)]
    )


def _step(transform: Mapping[str, Arguments], place: int, seed: int, epoch: int) -> Step:
    ((name, arguments),) = transform.items()
    draws, kernel = KERNELS[name]
    return streams.derive(seed, "augment", epoch, place, name), draws, kernel, arguments


def _apply(images: torch.Tensor, ids: torch.Tensor, steps: Iterable[Step]) -> torch.Tensor:
    for key, draws, kernel, arguments in steps:
        images = kernel(images, streams.uniforms(key, ids, draws), arguments)
    return images


def normalize_batch(images: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """uint8 (B, C, H, W) to float32 (images / 255 - mean) / std, with `mean` and `std` (C,) on the scale 0 to 1."""
    shape = (1, -1, 1, 1)
    low = (mean.to(images.device, torch.float32, non_blocking=True) * 255).view(shape)
    scale = (std.to(images.device, torch.float32, non_blocking=True) * 255).view(shape)
    return images.to(torch.float32).sub_(low).div_(scale)


def random_crop(images: torch.Tensor, uniform: torch.Tensor, arguments: Arguments) -> torch.Tensor:
    """`padding` zeros on each side, then a window of the old size at one of the (2 padding + 1)^2 places."""
    padding = int(arguments["padding"])
    if padding == 0:
        return images
    height, width = images.shape[2:]
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    top, left = (uniform * (2 * padding + 1)).to(torch.int64).unbind(dim=1)
    rows = top.unsqueeze(1) + torch.arange(height, device=images.device)
    columns = left.unsqueeze(1) + torch.arange(width, device=images.device)
    return _pick(padded, rows.unsqueeze(2) * (width + 2 * padding) + columns.unsqueeze(1))


def horizontal_flip(images: torch.Tensor, uniform: torch.Tensor, arguments: Arguments) -> torch.Tensor:
    """Left and right exchanged with probability `p`."""
    return torch.where((uniform < arguments["p"]).view(-1, 1, 1, 1), images.flip(3), images)


def color_jitter(images: torch.Tensor, uniform: torch.Tensor, arguments: Arguments) -> torch.Tensor:
    """torchvision's ColorJitter; see `color.jitter`."""
    return color.jitter(images, uniform, dict(arguments))


def rotation(images: torch.Tensor, uniform: torch.Tensor, arguments: Arguments) -> torch.Tensor:
    """A turn about the centre by an angle uniform in [-degrees, degrees].

    Nearest pixel and black outside: torchvision's defaults.
    """
    height, width = images.shape[2:]
    angle = (uniform[:, 0] * 2 - 1) * (float(arguments["degrees"]) * math.pi / 180)
    cosine, sine = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    y = (torch.arange(height, device=images.device) - (height - 1) / 2).view(1, -1, 1)
    x = (torch.arange(width, device=images.device) - (width - 1) / 2).view(1, 1, -1)
    columns = (cosine * x - sine * y + (width - 1) / 2).round_().to(torch.int64)
    rows = (sine * x + cosine * y + (height - 1) / 2).round_().to(torch.int64)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    picked = _pick(images, rows.clamp_(0, height - 1) * width + columns.clamp_(0, width - 1))
    return picked * inside.unsqueeze(1)


def random_resized_crop(images: torch.Tensor, uniform: torch.Tensor, arguments: Arguments) -> torch.Tensor:
    """A box of `scale_min` to 1 of the area and of aspect `ratio_min` to 1 / `ratio_min`, brought back to the old size.

    The box is cut from the decoded image, which is a square where `image_size` is set, not from the original file. It
    never shrinks on its way back, so bilinear interpolation needs no antialiasing here.
    """
    height, width = images.shape[2:]
    top, left, tall, wide = crop_boxes(
        uniform, height, width, float(arguments["scale_min"]), float(arguments["ratio_min"])
    )
    low_y, high_y, part_y = _taps(top, tall, height)
    low_x, high_x, part_x = _taps(left, wide, width)
    count, channels = images.shape[:2]

    def rows_at(rows: torch.Tensor) -> torch.Tensor:
        return images.gather(2, rows.view(count, 1, height, 1).expand(-1, channels, -1, width)).to(torch.float32)

    upper = rows_at(low_y)
    mixed = upper + (rows_at(high_y) - upper) * part_y.view(count, 1, height, 1)

    def columns_at(columns: torch.Tensor) -> torch.Tensor:
        return mixed.gather(3, columns.view(count, 1, 1, width).expand(-1, channels, height, -1))

    nearer = columns_at(low_x)
    result = nearer + (columns_at(high_x) - nearer) * part_x.view(count, 1, 1, width)
    return result.round_().clamp_(0, 255).to(torch.uint8)


def crop_boxes(
    uniform: torch.Tensor, height: int, width: int, scale_min: float, ratio_min: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Top, left, height and width of a box for each row of `uniform` (B, 2 TRIES + 2), int64 (B,).

    torchvision's rule: the first of ten tries (area uniform, aspect log-uniform) that fits in the image, else its
    largest central part of an allowed aspect.
    """
    tries = uniform[:, : 2 * TRIES].view(-1, TRIES, 2)
    area = (scale_min + tries[..., 0] * (1 - scale_min)) * (height * width)
    aspect = ((tries[..., 1] * 2 - 1) * -math.log(ratio_min)).exp()
    wide = (area * aspect).sqrt().round().to(torch.int64)
    tall = (area / aspect).sqrt().round().to(torch.int64)
    fits = (wide > 0) & (wide <= width) & (tall > 0) & (tall <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    some = fits.any(dim=1)
    shape, largest = width / height, (height, width)
    if shape < ratio_min:
        largest = (round(width / ratio_min), width)
    elif shape > 1 / ratio_min:
        largest = (height, round(height / ratio_min))
    tall = torch.where(some, tall.gather(1, first).squeeze(1), largest[0])
    wide = torch.where(some, wide.gather(1, first).squeeze(1), largest[1])
    top = torch.where(some, (uniform[:, -2] * (height - tall + 1)).to(torch.int64), (height - tall) // 2)
    left = torch.where(some, (uniform[:, -1] * (width - wide + 1)).to(torch.int64), (width - wide) // 2)
    return top, left, tall, wide


def _taps(start: torch.Tensor, length: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For each of `size` output pixels two input pixels in [start, start + length) and the share of the second."""
    centre = (torch.arange(size, device=start.device) + 0.5) * (length.unsqueeze(1) / size) - 0.5
    centre = centre.clamp_(min=0)
    low = torch.minimum(centre.to(torch.int64), length.unsqueeze(1) - 1)
    high = torch.minimum(low + 1, length.unsqueeze(1) - 1)
    return low + start.unsqueeze(1), high + start.unsqueeze(1), centre - low


def _pick(images: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """`images` (B, C, h, w) at `places` (B, H, W), each a flat index into h x w, for all channels alike."""
    count, channels = images.shape[:2]
    index = places.view(count, 1, -1).expand(-1, channels, -1)
    return images.reshape(count, channels, -1).gather(2, index).view(count, channels, *places.shape[1:])


KERNELS: dict[str, tuple[int, Kernel]] = {
    "random_crop": (2, random_crop),
    "horizontal_flip": (1, horizontal_flip),
    "color_jitter": (8, color_jitter),
    "rotation": (1, rotation),
    "random_resized_crop": (2 * TRIES + 2, random_resized_crop),
}
"""Each transform with the uniform numbers that an image needs; the names are those of `recipe.TRANSFORMS`."""
