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

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Refinement
from ablate.parts.types import NonNegative

if TYPE_CHECKING:
    from torch import Tensor

PATH = "mixup.alpha"


@dataclass(frozen=True)
class Mix:
    """How one batch is mixed: the weight of the first image of each pair, and which image is the second."""

    lam: float
    partner: Tensor


def draw_mix(alpha: float, size: int, *, seed: int, epoch: int, step: int) -> Mix:
    """The mix of one batch, a function of its arguments alone; `partner` is a permutation of shape (size,) on the CPU."""
    import numpy as np
    import torch

    from ablate.parts import streams

    rng = np.random.default_rng(streams.derive(seed, "mixup", epoch, step))
    return Mix(float(rng.beta(alpha, alpha)), torch.from_numpy(rng.permutation(size)))


def mix_images(images: Tensor, mix: Mix) -> Tensor:
    """lam * images + (1 - lam) * their partners; float images of any shape (N, ...)."""
    import torch

    return torch.lerp(images[mix.partner], images, mix.lam)


def mix_targets(targets: Tensor, mix: Mix) -> Tensor:
    """The same for probabilities of shape (N, C): cross-entropy is linear in them, so this is the loss of the formula."""
    import torch

    return torch.lerp(targets[mix.partner], targets, mix.lam)


PART = Refinement(
    name="mixup",
    acts=("images", "labels"),
    fields={PATH: Field(NonNegative, 0.0, "lam ~ Beta(alpha, alpha) per batch; 0 is off")},
    is_off=lambda settings: not settings[PATH],
    on={PATH: 0.2},
)
