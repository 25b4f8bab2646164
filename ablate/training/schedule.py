"""The learning rate as a closed form of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

from dataclasses import dataclass

from ablate.study.recipe import Schedule
from ablate.training.refinements.cosine import cosine
from ablate.training.registry import recipe_error


@dataclass(frozen=True)
class LearningRate:
    """`scale(step)` times a parameter group's own rate is its rate at that step. Steps count from 0."""

    name: str
    warmup_steps: int
    total_steps: int
    steps_per_epoch: int
    step_epochs: int = 30
    gamma: float = 0.1

    def scale(self, step: int) -> float:
        """The share of the initial rate at `step`.

        Warm-up is linear: step t of w takes (t + 1) / w, so the first step is not lost and step w - 1 has the full rate
        (Goyal et al. 2017, arXiv 1706.02677). Then constant; cosine from 1 to 0 at `total_steps`; or `gamma` for every
        `step_epochs` whole epochs since the start of the training. Beyond the last step a cosine stays at 0.
        """
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if self.name == "cosine":
            left = self.total_steps - self.warmup_steps
            return cosine(min(1.0, (step - self.warmup_steps) / left)) if left else 0.0
        if self.name == "step":
            return float(self.gamma ** (step // self.steps_per_epoch // self.step_epochs))
        return 1.0


def learning_rate(schedule: Schedule, *, epochs: int, steps_per_epoch: int) -> LearningRate:
    """The recipe's schedule for a training of that length. Raises StudyError where the warm-up is longer than it."""
    if schedule.warmup_epochs > epochs:
        raise recipe_error(
            "schedule.warmup_epochs", f"{schedule.warmup_epochs:g} is more than the {epochs} epochs of the training"
        )
    return LearningRate(
        name=schedule.name,
        warmup_steps=round(schedule.warmup_epochs * steps_per_epoch),
        total_steps=epochs * steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
        step_epochs=schedule.step_epochs,
        gamma=schedule.gamma,
    )
