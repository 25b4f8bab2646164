"""TrivialAugment, the wide one: a single operation, of a strength that is drawn as well.

Paper    Mueller and Hutter 2021, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation" (arXiv 2103.10158), Wide.
Formula  One of 14 operations, each as likely, at one of 31 strengths: identity, shears to 0.99, shifts to 32 pixels, turns to 135
         degrees, brightness, saturation, contrast and sharpness to 1 +- 0.99, posterize to 2 bits, solarize, auto contrast,
         equalize; those with a direction take either one evenly. The table is torchvision's (TrivialAugmentWide).
Recipe   data.augment: [horizontal_flip, trivial_augment]
When     Long trainings, without anything to tune. Its shifts are in pixels: at 32 pixels the strongest leave nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Settings, Transform

if TYPE_CHECKING:
    from torch import Tensor


def trivial_augment(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """One operation of a drawn strength."""
    import torch

    from ablate.parts.policy import BINS, WIDE, apply, drawn, strengths

    table = strengths(WIDE, *images.shape[2:]).to(images.device)
    bins = (uniform[:, 2] * BINS).to(torch.int64)
    return apply(images, *drawn(uniform[:, 0], uniform[:, 1], bins, table))


PART = Transform(name="trivial_augment", draws=3, kernel=trivial_augment)
