"""Cosine decay of the learning rate.

Paper    Loshchilov and Hutter 2017, "SGDR" (arXiv 1608.03983), without restarts; He et al. 2019 (arXiv 1812.01187),
         section 5.1.
Formula  rate(t) = initial / 2 * (1 + cos(pi * t / T)) at step t of T: the initial rate at t = 0, none at t = T.
Recipe   schedule: {name: cosine}, warm-up optional; t and T then count from the end of the warm-up.
When     The default choice where the number of epochs is known. It has no drops to tune. A run that stops early has not
         seen the low rates, so compare runs of equal length.
"""

from __future__ import annotations

import math

from ablate.parts.declare import At, Schedule, Settings


def scale(at: At, settings: Settings) -> float:
    return 0.5 * (1 + math.cos(math.pi * at.done))


PART = Schedule(name="cosine", scale=scale)
