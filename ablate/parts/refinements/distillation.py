"""Knowledge distillation.

Paper    Hinton et al. 2015, "Distilling the Knowledge in a Neural Network" (arXiv 1503.02531); used by He et al. 2019
         (arXiv 1812.01187), section 5.3, with temperature 20.
Formula  loss = (1 - alpha) * loss + alpha * T^2 * KL(softmax(teacher / T) || softmax(student / T)), the mean over the images. The
         teacher sees the images as the student does, augmented and mixed, and is in evaluation mode.
Recipe   distillation: {teacher: {study: teacher.yaml, arm: baseline}, alpha: 0.5, temperature: 4.0}
When     A larger network, or one trained longer, is there. The teacher's forward pass is paid at every step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Refinement, Settings
from ablate.parts.hooks import Hook, Setup
from ablate.parts.types import Positive, Probability
from ablate.parts.weights import TEACHER

if TYPE_CHECKING:
    from torch import Tensor, nn

PATH = "distillation.teacher"


class Distillation(Hook):
    def __init__(self, teacher: nn.Module, alpha: float, temperature: float, setup: Setup) -> None:
        self.forward = setup.forward(teacher)
        self.alpha = alpha
        self.temperature = temperature

    def loss(self, loss: Tensor, logits: Tensor, images: Tensor) -> Tensor:
        import torch

        with torch.no_grad():
            wanted = self.forward(images).float()
        return (1 - self.alpha) * loss + self.alpha * divergence(wanted, logits, self.temperature)


def divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """T^2 * KL of the softened probabilities of logits (N, classes), the mean over the images."""
    from torch.nn.functional import kl_div, log_softmax

    theirs = log_softmax(teacher / temperature, dim=1)
    ours = log_softmax(student / temperature, dim=1)
    return kl_div(ours, theirs, reduction="batchmean", log_target=True) * temperature**2


def make(settings: Settings, setup: Setup) -> Hook:
    teacher = setup.load_network(settings[PATH])
    return Distillation(teacher, settings["distillation.alpha"], settings["distillation.temperature"], setup)


PART = Refinement(
    name="distillation",
    acts=("loss",),
    fields={
        PATH: TEACHER,
        "distillation.alpha": Field(Probability, 0.5, "weight of the teacher in the loss", before=0.5),
        "distillation.temperature": Field(Positive, 1.0, "softens both sides' probabilities", before=1.0),
    },
    is_off=lambda settings: settings[PATH] is None,
    make=make,
)
