"""Early stopping and the choice of an epoch, both by a validation metric.

A test set never selects. Without one, validation both selects and is reported: lint and the table say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ablate.errors import nearest
from ablate.study.values.metrics import METRICS
from ablate.training.metrics import TOP5_CLASSES
from ablate.training.registry import recipe_error

_WATCHED = ("val_top1", "val_top5", "val_loss", "val_mean_class_accuracy")


@dataclass
class Watch:
    """Follows one validation metric. `waited` counts the evaluations since the best one."""

    metric: str
    best: float | None = None
    best_epoch: int | None = None
    waited: int = 0

    def update(self, epoch: int, value: float) -> bool:
        """Take the value of an epoch; True where it is strictly better than all before, so ties keep the earlier epoch."""
        higher = METRICS[self.metric].better == "higher"
        better = self.best is None or (value > self.best if higher else value < self.best)
        if better:
            self.best, self.best_epoch, self.waited = value, epoch, 0
        else:
            self.waited += 1
        return better

    def state(self) -> dict[str, Any]:
        return {"metric": self.metric, "best": self.best, "best_epoch": self.best_epoch, "waited": self.waited}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Watch:
        return cls(**state)

    @property
    def name(self) -> str:
        """The metric's name inside the records of the validation split."""
        return self.metric.removeprefix("val_")


def watch(path: str, metric: str, *, classes: int, has_validation: bool) -> Watch:
    """A watch for the recipe field `path`.

    Raises StudyError where the metric is not one of validation, or where there are no validation images.
    """
    allowed = [name for name in _WATCHED if name != "val_top5" or classes >= TOP5_CLASSES]
    if metric not in allowed:
        raise recipe_error(
            path,
            "unknown-metric",
            f"{metric!r} cannot be used to select; allowed: {', '.join(allowed)}.{nearest(metric, allowed)}",
        )
    if not has_validation:
        raise recipe_error(
            "data.split",
            "missing",
            f"{path} watches {metric}, but there are no validation images; split off a set for it, "
            "as in {train: 0.64, val: 0.16, test: 0.2} or {val: 0.1, test: official}",
        )
    return Watch(metric)
