"""A turn about the centre.

Formula  An angle uniform in [-degrees, degrees]; nearest pixel, black outside: torchvision's defaults.
Recipe   data.augment: [{rotation: {degrees: 15}}]
When     Objects without a fixed upright.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field as Range

from ablate.parts.declare import Field, Settings, Transform
from ablate.parts.pixels import pick

if TYPE_CHECKING:
    from torch import Tensor


def rotation(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """A turn about the centre by an angle uniform in [-degrees, degrees].

    Nearest pixel and black outside: torchvision's defaults.
    """
    import torch

    height, width = images.shape[2:]
    angle = (uniform[:, 0] * 2 - 1) * (float(arguments["degrees"]) * math.pi / 180)
    cosine, sine = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    y = (torch.arange(height, device=images.device) - (height - 1) / 2).view(1, -1, 1)
    x = (torch.arange(width, device=images.device) - (width - 1) / 2).view(1, 1, -1)
    columns = (cosine * x - sine * y + (width - 1) / 2).round_().to(torch.int64)
    rows = (sine * x + cosine * y + (height - 1) / 2).round_().to(torch.int64)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    picked = pick(images, rows.clamp_(0, height - 1) * width + columns.clamp_(0, width - 1))
    return picked * inside.unsqueeze(1)


PART = Transform(
    name="rotation",
    fields={"degrees": Field(Annotated[float, Range(ge=0, le=180)], 15.0, "largest angle")},
    draws=1,
    kernel=rotation,
)
