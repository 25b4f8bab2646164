"""The training objective: the recipe's loss over targets that refinements may smooth and mix, with class weights.

With class weights w the loss is sum_i sum_c w_c q_ic (-log p_ic) / sum_i w_(y_i), which is what
`torch.nn.CrossEntropyLoss(weight, label_smoothing)` computes for labels. PyTorch divides by N instead as soon as targets are
probabilities, which would rescale the learning rate of every mixup arm; here the normaliser is shared by all cases. Mixing
pairs a batch with itself in another order, so the sum of the weights of the first labels is that of the second labels too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from ablate.errors import BadData
from ablate.parts.declare import Loss, Settings
from ablate.parts.found import parts
from ablate.parts.hooks import Hook, Mix
from ablate.study.recipes import recipe as recipes
from ablate.training.registry import recipe_error

_TINY = 1e-12
PLAIN = "cross_entropy"
"""The loss that is also a metric, whatever is minimised."""


@dataclass(frozen=True)
class Objective:
    """What is minimised. `weights` has shape (classes,), on the device of the logits; `labels` act on the targets, in order."""

    classes: int
    loss: Loss = field(default_factory=lambda: parts(Loss)[PLAIN])
    settings: Settings = field(default_factory=dict)
    weights: torch.Tensor | None = None
    labels: Sequence[Hook] = ()

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor, mix: Mix | None = None) -> torch.Tensor:
        """The scalar loss, float32, of logits (N, classes) in any precision and labels (N,)."""
        logits = logits.float()
        if mix is None and not self.labels and self.weights is None and self.loss.of_labels is not None:
            plain: torch.Tensor = self.loss.of_labels(logits, labels, self.settings)
            return plain
        targets = F.one_hot(labels, self.classes).to(torch.float32)
        for hook in self.labels:
            targets = hook.targets(targets)
        if mix is not None:
            targets = torch.lerp(targets[mix.partner], targets, mix.lam)
        terms: torch.Tensor = self.loss.terms(logits, targets, self.weights, self.settings)
        if self.weights is None:
            return terms.sum() / len(labels)
        # a batch that holds only classes of weight 0 teaches nothing, rather than NaN
        return terms.sum() / self.weights[labels].sum().clamp_min(_TINY)

    @property
    def plain(self) -> bool:
        """Whether the objective is the plain cross-entropy when nothing is mixed."""
        return self.loss.name == PLAIN and not self.labels and self.weights is None


def class_weights(loss: recipes.Loss, labels: torch.Tensor, classes: Sequence[str]) -> torch.Tensor | None:
    """Weights of shape (classes,), float32, or None. `balanced` is N / (C * count), which averages to 1 over the images.

    Raises StudyError where the list does not have one weight a class, BadData where a class without images is balanced.
    """
    if loss.class_weights == "none":
        return None
    if loss.class_weights != "balanced":
        if len(loss.class_weights) != len(classes):
            raise recipe_error(
                "loss.class_weights",
                "wrong-count",
                f"has {len(loss.class_weights)} weights, but the data has {len(classes)} classes",
            )
        return torch.tensor(loss.class_weights, dtype=torch.float32)
    counts = torch.bincount(labels, minlength=len(classes))
    if not bool(counts.all()):
        empty = classes[int(counts.argmin())]
        raise BadData(f"loss.class_weights: class {empty!r} has no training images, so it has no balanced weight")
    return (len(labels) / (len(classes) * counts.double())).float()
