"""The negative.

Paper    One of the operations of AutoAugment (Cubuk et al. 2019, arXiv 1805.09501).
Formula  With probability p, each pixel x becomes 255 - x: torchvision's RandomInvert.
Recipe   data.augment: [{invert: {p: 0.1}}]
When     Shapes that matter more than their tones, such as drawings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Settings, Transform
from ablate.parts.types import Probability

if TYPE_CHECKING:
    from torch import Tensor


def invert(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """255 less each pixel with probability `p`."""
    from ablate.parts.chosen import on_chosen

    return on_chosen(images, uniform[:, 0] < arguments["p"], lambda those: 255 - those)


PART = Transform(
    name="invert",
    fields={"p": Field(Probability, 0.5, "probability")},
    draws=1,
    kernel=invert,
)
