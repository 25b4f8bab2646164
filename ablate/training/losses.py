"""The training objective: cross-entropy with label smoothing, mixup and class weights in any combination.

With class weights w the loss is sum_i sum_c w_c q_ic (-log p_ic) / sum_i w_(y_i), which is what
`torch.nn.CrossEntropyLoss(weight, label_smoothing)` computes for labels. PyTorch divides by N instead as soon as targets are
probabilities, which would rescale the learning rate of every mixup arm; here the normaliser is shared by all cases. Mixup
pairs a batch with itself in another order, so the sum of the weights of the first labels is that of the second labels too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ablate.errors import BadData
from ablate.study.recipe import Loss
from ablate.training.refinements.label_smoothing import smooth_targets
from ablate.training.refinements.mixup import Mix, mix_targets
from ablate.training.registry import recipe_error

_TINY = 1e-12


@dataclass(frozen=True)
class Objective:
    """What is minimised. `weights` has shape (classes,), on the device of the logits."""

    classes: int
    epsilon: float = 0.0
    weights: torch.Tensor | None = None

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor, mix: Mix | None = None) -> torch.Tensor:
        """The scalar loss, float32, of logits (N, classes) in any precision and labels (N,)."""
        logits = logits.float()
        if not self.epsilon and mix is None and self.weights is None:
            return F.cross_entropy(logits, labels)
        targets = smooth_targets(labels, self.classes, self.epsilon)
        if mix is not None:
            targets = mix_targets(targets, mix)
        logs = F.log_softmax(logits, dim=1)
        if self.weights is None:
            return -(targets * logs).sum() / len(labels)
        # a batch that holds only classes of weight 0 teaches nothing, rather than NaN
        return -(targets * self.weights * logs).sum() / self.weights[labels].sum().clamp_min(_TINY)

    @property
    def plain(self) -> bool:
        """Whether the objective is the plain cross-entropy when nothing is mixed."""
        return not self.epsilon and self.weights is None


def class_weights(loss: Loss, labels: torch.Tensor, classes: Sequence[str]) -> torch.Tensor | None:
    """Weights of shape (classes,), float32, or None. `balanced` is N / (C * count), which averages to 1 over the images.

    Raises StudyError where the list does not have one weight a class, BadData where a class without images is balanced.
    """
    if loss.class_weights == "none":
        return None
    if loss.class_weights != "balanced":
        if len(loss.class_weights) != len(classes):
            raise recipe_error(
                "loss.class_weights", f"has {len(loss.class_weights)} weights, the data has {len(classes)} classes"
            )
        return torch.tensor(loss.class_weights, dtype=torch.float32)
    counts = torch.bincount(labels, minlength=len(classes))
    if not bool(counts.all()):
        empty = classes[int(counts.argmin())]
        raise BadData(f"loss.class_weights: class {empty!r} has no training images, so it has no balanced weight")
    return (len(labels) / (len(classes) * counts.double())).float()
