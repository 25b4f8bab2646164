"""Polynomial decay of the learning rate to 0.

Paper    Chen et al. 2018, "DeepLab" (arXiv 1606.00915), section 4.1, with power 0.9; You et al. 2017, "Large Batch Training of
         Convolutional Networks" (arXiv 1708.03888), with power 2.
Formula  rate(t) = initial * (1 - t / T) ** power at step t of T.
Recipe   schedule: {name: polynomial, power: 2.0}, warm-up optional; t and T then count from the end of the warm-up.
When     To follow recipes that name it. Power 1 is `linear`.
"""

from __future__ import annotations

from ablate.parts.declare import At, Field, Schedule, Settings
from ablate.parts.types import Positive

POWER = "schedule.power"


def scale(at: At, settings: Settings) -> float:
    return float((1 - at.done) ** settings[POWER])


PART = Schedule(
    name="polynomial",
    fields={POWER: Field(Positive, 1.0, "polynomial: the exponent of the decay", before=1.0)},
    scale=scale,
)
