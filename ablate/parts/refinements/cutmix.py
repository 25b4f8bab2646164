"""CutMix.

Paper    Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features"
         (arXiv 1905.04899), section 3.2 and algorithm A1, with alpha 1 on ImageNet.
Formula  lam ~ Beta(alpha, alpha), one a batch; a box of sides H * sqrt(1 - lam) and W * sqrt(1 - lam) around a pixel drawn evenly,
         cut off at the borders, is taken from x2, the batch in a random order, the rest from x1; lam becomes the share of pixels that
         are x1's; loss = lam * L(x, y1) + (1 - lam) * L(x, y2), one forward pass. As in timm and torchvision, half sides are whole
         pixels, rounded down.
Recipe   cutmix: {alpha: 1.0}; with `mixup.alpha` above 0 too, each batch draws one of the two, evenly.
When     Long trainings of networks that overfit. As with mixup, few epochs can lose, and training accuracy is `weighted_top1`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Refinement, Settings
from ablate.parts.hooks import Hook, Mix, Place, Setup
from ablate.parts.types import NonNegative

if TYPE_CHECKING:
    from torch import Tensor

PATH = "cutmix.alpha"


@dataclass(frozen=True)
class Box:
    """Rows from `top` to before `bottom`, columns from `left` to before `right`, in pixels."""

    top: int
    bottom: int
    left: int
    right: int


def box_around(row: int, column: int, height: int, width: int, lam: float) -> Box:
    """The box of area share 1 - lam around a pixel of an image of that size, cut off at its borders."""
    half = 0.5 * math.sqrt(1 - lam)
    tall, wide = int(half * height), int(half * width)
    return Box(max(row - tall, 0), min(row + tall, height), max(column - wide, 0), min(column + wide, width))


def draw_cut(alpha: float, shape: tuple[int, ...], place: Place) -> tuple[Box, Mix]:
    """The box and the mix of one batch of `shape` (N, C, H, W), a function of its arguments alone; `partner` is on the CPU."""
    import numpy as np
    import torch

    from ablate.parts import streams

    size, _, height, width = shape
    rng = np.random.default_rng(streams.derive(place.seed, "cutmix", place.epoch, place.batch))
    lam = float(rng.beta(alpha, alpha))
    box = box_around(int(rng.integers(height)), int(rng.integers(width)), height, width, lam)
    pasted = (box.bottom - box.top) * (box.right - box.left)
    return box, Mix(1 - pasted / (height * width), torch.from_numpy(rng.permutation(size)))


def paste(images: Tensor, box: Box, partner: Tensor) -> Tensor:
    """Images (N, C, H, W) with the box of their partners."""
    inside = (..., slice(box.top, box.bottom), slice(box.left, box.right))
    pasted = images.clone()
    pasted[inside] = images[inside][partner]
    return pasted


class CutMix(Hook):
    """Pastes the images; their labels follow in the loss, which is linear in them."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def mix(self, images: Tensor, place: Place) -> tuple[Tensor, Mix]:
        box, drawn = draw_cut(self.alpha, tuple(images.shape), place)
        mix = Mix(drawn.lam, drawn.partner.to(images.device, non_blocking=True))
        return paste(images, box, mix.partner), mix


def make(settings: Settings, setup: Setup) -> Hook:
    return CutMix(settings[PATH])


PART = Refinement(
    name="cutmix",
    acts=("images", "labels"),
    fields={PATH: Field(NonNegative, 0.0, "lam ~ Beta(alpha, alpha) per batch; 0 is off", before=0.0)},
    is_off=lambda settings: not settings[PATH],
    make=make,
    on={PATH: 1.0},
)
