"""Mixup.

Paper    Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization" (arXiv 1710.09412); used by He et al. 2019
         (arXiv 1812.01187), section 5.4, with alpha 0.2 and more epochs (200 in place of 120).
Formula  lam ~ Beta(alpha, alpha), one a batch; x = lam * x1 + (1 - lam) * x2, where x2 is the batch in a random order;
         loss = lam * CE(x, y1) + (1 - lam) * CE(x, y2), one forward pass.
Recipe   mixup: {alpha: 0.2}
When     Long trainings. With few epochs it can lose: the network never sees a clean image. Training accuracy is
         `weighted_top1`, lam * acc(y1) + (1 - lam) * acc(y2), and is not comparable with an accuracy on clean images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Refinement, Settings
from ablate.parts.hooks import Hook, Mix, Place, Setup
from ablate.parts.types import NonNegative

if TYPE_CHECKING:
    from torch import Tensor

PATH = "mixup.alpha"


def draw_mix(alpha: float, size: int, place: Place) -> Mix:
    """The mix of one batch, a function of its arguments alone; `partner` is a permutation of shape (size,) on the CPU."""
    import numpy as np
    import torch

    from ablate.parts import streams

    rng = np.random.default_rng(streams.derive(place.seed, "mixup", place.epoch, place.batch))
    return Mix(float(rng.beta(alpha, alpha)), torch.from_numpy(rng.permutation(size)))


def mix_images(images: Tensor, mix: Mix) -> Tensor:
    """lam * images + (1 - lam) * their partners; float images of any shape (N, ...)."""
    import torch

    return torch.lerp(images[mix.partner], images, mix.lam)


class Mixup(Hook):
    """Mixes the images; their labels follow in the loss, which is linear in them."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def mix(self, images: Tensor, place: Place) -> tuple[Tensor, Mix]:
        drawn = draw_mix(self.alpha, len(images), place)
        mix = Mix(drawn.lam, drawn.partner.to(images.device, non_blocking=True))
        return mix_images(images, mix), mix


def make(settings: Settings, setup: Setup) -> Hook:
    return Mixup(settings[PATH])


PART = Refinement(
    name="mixup",
    acts=("images", "labels"),
    fields={PATH: Field(NonNegative, 0.0, "lam ~ Beta(alpha, alpha) per batch; 0 is off")},
    is_off=lambda settings: not settings[PATH],
    make=make,
    on={PATH: 0.2},
)
