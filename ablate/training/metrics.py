"""Numbers from logits. Everything is summed on the device and read once, at the end of a pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

TOP5_CLASSES = 5
"""Below so many classes top-5 is absent: it would always be 1."""


@dataclass(frozen=True)
class Evaluation:
    """The metrics of one split and its confusion counts, true class by row, (C, C) int64 on the CPU."""

    metrics: dict[str, float]
    confusion: torch.Tensor


class Tally:
    """Sums over one pass: plain cross-entropy, top-5 hits and the confusion counts."""

    def __init__(self, classes: int, device: torch.device) -> None:
        self.classes = classes
        self._sums = torch.zeros(2, dtype=_exact(device), device=device)
        self._confusion = torch.zeros(classes * classes, dtype=torch.int64, device=device)

    def add(self, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Count a batch: logits (N, C) in any precision, labels (N,)."""
        logits = logits.float()
        loss = F.cross_entropy(logits, labels, reduction="sum")
        best = logits.argmax(dim=1)
        if self.classes >= TOP5_CLASSES:
            five = logits.topk(5, dim=1).indices
            hits = (five == labels.unsqueeze(1)).any(dim=1).sum()
        else:
            hits = torch.zeros_like(loss)
        self._sums += torch.stack((loss, hits.to(loss.dtype)))
        self._confusion.index_add_(0, labels * self.classes + best, torch.ones_like(labels))

    def result(self) -> Evaluation:
        """Means weighted by count. Raises ValueError where nothing was counted."""
        confusion = self._confusion.view(self.classes, self.classes).cpu()
        loss, hits = self._sums.tolist()
        total = int(confusion.sum())
        if not total:
            raise ValueError("no image was evaluated")
        metrics = {"loss": loss / total, **from_confusion(confusion)}
        if self.classes >= TOP5_CLASSES:
            metrics["top5"] = hits / total
        return Evaluation(metrics, confusion)


def from_confusion(confusion: torch.Tensor) -> dict[str, float]:
    """`top1`, and `mean_class_accuracy` over the classes that have images, of counts (C, C)."""
    right = confusion.diagonal().double()
    support = confusion.sum(dim=1).double()
    present = support > 0
    return {
        "top1": float(right.sum() / support.sum()),
        "mean_class_accuracy": float((right[present] / support[present]).mean()),
    }


class TrainingSums:
    """What one epoch adds up on the device: objective, right guesses, plain cross-entropy, and how many images.

    `state` can be checkpointed in the middle of an epoch.
    """

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(3, dtype=_exact(device), device=device)
        self.images = 0

    def add(self, objective: torch.Tensor, right: torch.Tensor, plain: torch.Tensor, images: int) -> None:
        """Means of a batch and its number of right guesses, all scalars on the device."""
        self._sums += torch.stack((objective * images, right.to(objective.dtype), plain * images))
        self.images += images

    def means(self) -> tuple[float, float, float]:
        """Objective, share of right guesses and plain cross-entropy so far. This waits for the device."""
        objective, right, plain = (value / max(1, self.images) for value in self._sums.tolist())
        return objective, right, plain

    def state(self) -> dict[str, object]:
        return {"sums": self._sums.cpu(), "images": self.images}

    def load(self, state: dict[str, object]) -> None:
        sums, images = state["sums"], state["images"]
        if not isinstance(sums, torch.Tensor) or not isinstance(images, int):
            raise TypeError("not the state of training sums")
        self._sums.copy_(sums)
        self.images = images


def evaluate(
    forward: Callable[[torch.Tensor], torch.Tensor],
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    classes: int,
    device: torch.device,
) -> Evaluation:
    """Metrics over all batches of (images, labels); `forward` gives logits and is in evaluation mode already."""
    tally = Tally(classes, device)
    with torch.no_grad():
        for images, labels in batches:
            tally.add(forward(images), labels)
    return tally.result()


def finite(*values: float) -> bool:
    return all(math.isfinite(value) for value in values)


def _exact(device: torch.device) -> torch.dtype:
    """Sums in double precision where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64
