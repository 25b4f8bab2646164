"""A crop of random area and aspect, brought back to the old size.

Paper    Szegedy et al. 2015, "Going Deeper with Convolutions" (arXiv 1409.4842), section 6.
Formula  Area uniform in [scale_min, 1], aspect log-uniform in [ratio_min, 1 / ratio_min]; the first of ten tries that fits,
         else the largest central part of an allowed aspect (torchvision's rule); bilinear.
Recipe   data.augment: [random_resized_crop]
When     ImageNet-like photographs and long trainings. Raise scale_min for few epochs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field as Range

from ablate.parts.declare import Field, Settings, Transform

if TYPE_CHECKING:
    from torch import Tensor

TRIES = 10
"""Boxes that are tried before the centre is taken, as in torchvision."""


def random_resized_crop(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """A box of `scale_min` to 1 of the area and of aspect `ratio_min` to 1 / `ratio_min`, brought back to the old size.

    The box is cut from the decoded image, which is a square where `image_size` is set, not from the original file. It
    never shrinks on its way back, so bilinear interpolation needs no antialiasing here.
    """
    import torch

    height, width = images.shape[2:]
    top, left, tall, wide = crop_boxes(
        uniform, height, width, float(arguments["scale_min"]), float(arguments["ratio_min"])
    )
    low_y, high_y, part_y = _taps(top, tall, height)
    low_x, high_x, part_x = _taps(left, wide, width)
    count, channels = images.shape[:2]

    def rows_at(rows: Tensor) -> Tensor:
        return images.gather(2, rows.view(count, 1, height, 1).expand(-1, channels, -1, width)).to(torch.float32)

    upper = rows_at(low_y)
    mixed = upper + (rows_at(high_y) - upper) * part_y.view(count, 1, height, 1)

    def columns_at(columns: Tensor) -> Tensor:
        return mixed.gather(3, columns.view(count, 1, 1, width).expand(-1, channels, height, -1))

    nearer = columns_at(low_x)
    result = nearer + (columns_at(high_x) - nearer) * part_x.view(count, 1, 1, width)
    return result.round_().clamp_(0, 255).to(torch.uint8)


def crop_boxes(
    uniform: Tensor, height: int, width: int, scale_min: float, ratio_min: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Top, left, height and width of a box for each row of `uniform` (B, 2 TRIES + 2), int64 (B,).

    torchvision's rule: the first of ten tries (area uniform, aspect log-uniform) that fits in the image, else its
    largest central part of an allowed aspect.
    """
    import torch

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


def _taps(start: Tensor, length: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each of `size` output pixels two input pixels in [start, start + length) and the share of the second."""
    import torch

    centre = (torch.arange(size, device=start.device) + 0.5) * (length.unsqueeze(1) / size) - 0.5
    centre = centre.clamp_(min=0)
    low = torch.minimum(centre.to(torch.int64), length.unsqueeze(1) - 1)
    high = torch.minimum(low + 1, length.unsqueeze(1) - 1)
    return low + start.unsqueeze(1), high + start.unsqueeze(1), centre - low


PART = Transform(
    name="random_resized_crop",
    fields={
        "scale_min": Field(Annotated[float, Range(gt=0, le=1)], 0.08, "smallest share of the area"),
        "ratio_min": Field(Annotated[float, Range(gt=0, le=1)], 0.75, "smallest aspect; the largest is its inverse"),
    },
    draws=2 * TRIES + 2,
    kernel=random_resized_crop,
)
