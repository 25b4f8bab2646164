"""A learning rate that falls in steps.

Paper    He et al. 2016, "Deep Residual Learning for Image Recognition" (arXiv 1512.03385), section 3.4: by 0.1.
Formula  rate(t) = initial * gamma ** (whole epochs since the start of the training // step_epochs); with a list of milestones the
         exponent is the number of them that have been reached.
Recipe   schedule: {name: step, step_epochs: 30, gamma: 0.1}, or step_epochs: [100, 150]
When     Long trainings whose phases are known. A cosine has no drops to place.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic import Field as Range

from ablate.parts.declare import At, Field, Schedule, Settings


def _read_falls(value: object) -> Any:
    epochs = value if isinstance(value, list) else [value]
    whole = all(isinstance(epoch, int) and not isinstance(epoch, bool) and epoch >= 1 for epoch in epochs)
    if not epochs or not whole or any(earlier >= later for earlier, later in pairwise(epochs)):
        raise ValueError("must be a number of epochs from 1, or an ascending list of them, as in [100, 150]")
    return value


_EPOCH = {"type": "integer", "minimum": 1}
Falls = Annotated[
    Any,
    BeforeValidator(_read_falls),
    WithJsonSchema({"anyOf": [_EPOCH, {"type": "array", "items": _EPOCH, "minItems": 1}]}),
]

FIELDS = {
    "schedule.step_epochs": Field(Falls, 30, "step: the rate falls every so many epochs, or at a list of them"),
    "schedule.gamma": Field(Annotated[float, Range(gt=0, le=1)], 0.1, "step: the factor by which it falls"),
}


def scale(at: At, settings: Settings) -> float:
    epochs, falls = at.step // at.steps_per_epoch, settings["schedule.step_epochs"]
    fallen = bisect_right(falls, epochs) if isinstance(falls, list) else epochs // falls
    return float(settings["schedule.gamma"] ** fallen)


PART = Schedule(name="step", fields=FIELDS, scale=scale)
