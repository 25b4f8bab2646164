"""Label smoothing.

Paper    Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision" (arXiv 1512.00567), section 7;
         used by He et al. 2019 (arXiv 1812.01187), section 5.2, with epsilon 0.1.
Formula  q = (1 - epsilon) * onehot(y) + epsilon / C, over all C classes: the true one gets 1 - epsilon + epsilon / C.
         He et al. print epsilon / (C - 1) on the other classes; we follow Szegedy et al. and PyTorch.
Recipe   loss.label_smoothing: 0.1
When     Long trainings that reach high training accuracy. It lowers the confidence, so compare accuracies, not losses
         (`loss` stays the plain cross-entropy). Few epochs, or few classes, gain little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Refinement, Settings
from ablate.parts.hooks import Hook, Setup
from ablate.parts.types import Share

if TYPE_CHECKING:
    from torch import Tensor

PATH = "loss.label_smoothing"


class LabelSmoothing(Hook):
    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon

    def targets(self, targets: Tensor) -> Tensor:
        """Probabilities (N, classes), each row adding up to 1, of which each class has given epsilon / classes to all."""
        return targets * (1 - self.epsilon) + self.epsilon / targets.shape[1]


def make(settings: Settings, setup: Setup) -> Hook:
    return LabelSmoothing(settings[PATH])


PART = Refinement(
    name="label_smoothing",
    acts=("labels",),
    fields={PATH: Field(Share, 0.0, "epsilon, spread as epsilon/C over all C classes")},
    is_off=lambda settings: not settings[PATH],
    make=make,
    on={PATH: 0.1},
)
