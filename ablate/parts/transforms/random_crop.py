"""A crop of the padded image.

Paper    He et al. 2016 (arXiv 1512.03385), section 4.2: 4 pixels on each side for CIFAR.
Formula  `padding` zeros on each side, then a window of the old size at one of (2 padding + 1)^2 places, all alike.
Recipe   data.augment: [{random_crop: {padding: 4}}]
When     Small images that fill their frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field as Range

from ablate.parts.declare import Field, Settings, Transform
from ablate.parts.pixels import pick

if TYPE_CHECKING:
    from torch import Tensor


def random_crop(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """`padding` zeros on each side, then a window of the old size at one of the (2 padding + 1)^2 places."""
    import torch

    padding = int(arguments["padding"])
    if padding == 0:
        return images
    height, width = images.shape[2:]
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    top, left = (uniform * (2 * padding + 1)).to(torch.int64).unbind(dim=1)
    rows = top.unsqueeze(1) + torch.arange(height, device=images.device)
    columns = left.unsqueeze(1) + torch.arange(width, device=images.device)
    return pick(padded, rows.unsqueeze(2) * (width + 2 * padding) + columns.unsqueeze(1))


PART = Transform(
    name="random_crop",
    fields={"padding": Field(Annotated[int, Range(ge=0, le=4096)], 4, "zeros added on each side, in pixels")},
    draws=2,
    kernel=random_crop,
)
