"""A learning rate that falls in steps.

Paper    He et al. 2016, "Deep Residual Learning for Image Recognition" (arXiv 1512.03385), section 3.4: by 0.1.
Formula  rate(t) = initial * gamma ** (whole epochs since the start of the training // step_epochs).
Recipe   schedule: {name: step, step_epochs: 30, gamma: 0.1}
When     Long trainings whose phases are known. A cosine has no drops to place.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field as Range

from ablate.parts.declare import At, Field, Schedule, Settings
from ablate.parts.types import Count

FIELDS = {
    "schedule.step_epochs": Field(Count, 30, "step: the rate falls every so many epochs"),
    "schedule.gamma": Field(Annotated[float, Range(gt=0, le=1)], 0.1, "step: the factor by which it falls"),
}


def scale(at: At, settings: Settings) -> float:
    return float(settings["schedule.gamma"] ** (at.step // at.steps_per_epoch // settings["schedule.step_epochs"]))


PART = Schedule(name="step", fields=FIELDS, scale=scale)
