"""Random brightness, contrast, saturation and hue.

Paper    Krizhevsky et al. 2012 jitter colours along their principal axes; this is torchvision's ColorJitter.
Formula  Factors uniform in [max(0, 1 - x), 1 + x], the hue's shift in [-x, x] of a turn, applied in a random order.
Recipe   data.augment: [{color_jitter: {brightness: 0.4, contrast: 0.4, saturation: 0.4}}]
When     Photographs under changing light. Of no use where the colour is the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field as Range

from ablate.parts.declare import Field, Settings, Transform
from ablate.parts.types import NonNegative

if TYPE_CHECKING:
    from torch import Tensor


def color_jitter(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """torchvision's ColorJitter; see `color.jitter`."""
    from ablate.parts.color import jitter

    return jitter(images, uniform, dict(arguments))


PART = Transform(
    name="color_jitter",
    fields={
        "brightness": Field(NonNegative, 0.0, "how far the factor may lie from 1"),
        "contrast": Field(NonNegative, 0.0, "how far the factor may lie from 1"),
        "saturation": Field(NonNegative, 0.0, "how far the factor may lie from 1"),
        "hue": Field(Annotated[float, Range(ge=0, le=0.5)], 0.0, "largest shift, in turns"),
    },
    draws=8,
    kernel=color_jitter,
)
