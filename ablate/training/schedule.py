"""The learning rate as a closed form of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

from dataclasses import dataclass

from ablate.parts.declare import At, Schedule, Settings
from ablate.parts.found import parts
from ablate.study.recipes.recipe import Recipe
from ablate.study.recipes.uses import settings_of
from ablate.training.registry import recipe_error


@dataclass(frozen=True)
class LearningRate:
    """`scale(step)` times a parameter group's own rate is its rate at that step. Steps count from 0."""

    schedule: Schedule
    settings: Settings
    warmup_steps: int
    total_steps: int
    steps_per_epoch: int

    def scale(self, step: int) -> float:
        """The share of the initial rate at `step`.

        Warm-up is linear: step t of w takes (t + 1) / w, so the first step is not lost and step w - 1 has the full rate
        (Goyal et al. 2017, arXiv 1706.02677). Then the schedule has its way; beyond the last step it stays where it ended.
        """
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        left = self.total_steps - self.warmup_steps
        done = min(1.0, (step - self.warmup_steps) / left) if left else 1.0
        at = At(step, done, self.steps_per_epoch, self.warmup_steps, self.total_steps)
        return self.schedule.scale(at, self.settings)


def learning_rate(recipe: Recipe, *, steps_per_epoch: int) -> LearningRate:
    """The recipe's schedule. Raises StudyError where the warm-up is longer than the training."""
    schedule = recipe.schedule
    if schedule.warmup_epochs > recipe.epochs:
        raise recipe_error(
            "schedule.warmup_epochs",
            "out-of-range",
            f"{schedule.warmup_epochs:g} is more than the {recipe.epochs} epochs of the run",
        )
    part = parts(Schedule)[schedule.name]
    return LearningRate(
        part,
        settings_of(part, recipe),
        warmup_steps=round(schedule.warmup_epochs * steps_per_epoch),
        total_steps=recipe.epochs * steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
    )
