"""RandAugment: a few operations drawn evenly, all of one strength.

Paper    Cubuk et al. 2020, "RandAugment: Practical automated data augmentation with a reduced search space" (arXiv 1909.13719).
Formula  `num_ops` times one of 14 operations, each as likely: identity, shears to 0.3, shifts to 150 / 331 of the side, turns to
         30 degrees, brightness, saturation, contrast and sharpness to 1 +- 0.9, posterize to 4 bits, solarize, auto contrast,
         equalize. The strength is `magnitude` of 30; those with a direction take either one evenly. The table is torchvision's.
Recipe   data.augment: [horizontal_flip, {rand_augment: {num_ops: 2, magnitude: 9}}]
When     Long trainings of networks that would overfit. timm's `rand-m9-mstd0.5-inc1` is another table, with a random strength.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field as Range

from ablate.parts.declare import Field, Settings, Transform

if TYPE_CHECKING:
    from torch import Tensor


def rand_augment(images: Tensor, uniform: Tensor, arguments: Settings) -> Tensor:
    """`num_ops` operations of strength `magnitude`, one after the other; two draws each."""
    import torch

    from ablate.parts.policy import NARROW, apply, drawn, strengths

    table = strengths(NARROW, *images.shape[2:]).to(images.device)
    bins = torch.full((len(images),), int(arguments["magnitude"]), device=images.device)
    for place in range(0, uniform.shape[1], 2):
        images = apply(images, *drawn(uniform[:, place], uniform[:, place + 1], bins, table))
    return images


PART = Transform(
    name="rand_augment",
    fields={
        "num_ops": Field(Annotated[int, Range(ge=0, le=14)], 2, "operations, one after the other"),
        "magnitude": Field(Annotated[int, Range(ge=0, le=30)], 9, "their strength, of 30"),
    },
    draws=lambda arguments: 2 * int(arguments["num_ops"]),
    kernel=rand_augment,
)
