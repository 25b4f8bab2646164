"""Left and right exchanged.

Formula  Each image is mirrored with probability p.
Recipe   data.augment: [horizontal_flip]
When     Wherever a mirror image is of the same class; not for digits or text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Settings, Transform
from ablate.parts.types import Probability

if TYPE_CHECKING:
    from torch import Tensor


def horizontal_flip(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """Left and right exchanged with probability `p`."""
    import torch

    return torch.where((uniform < arguments["p"]).view(-1, 1, 1, 1), images.flip(3), images)


PART = Transform(
    name="horizontal_flip",
    fields={"p": Field(Probability, 0.5, "probability")},
    draws=1,
    kernel=horizontal_flip,
)
