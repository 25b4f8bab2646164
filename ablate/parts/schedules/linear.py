"""Linear decay of the learning rate to 0.

Paper    Li et al. 2020, "Budgeted Training: Rethinking Deep Neural Network Training Under Resource Constraints" (arXiv 1905.04753).
Formula  rate(t) = initial * (1 - t / T) at step t of T: the initial rate at t = 0, none at t = T.
Recipe   schedule: {name: linear}, warm-up optional; t and T then count from the end of the warm-up.
When     Short budgets, where it is as good as a cosine or better. As with every decay over the whole training, compare runs of
         equal length.
"""

from __future__ import annotations

from ablate.parts.declare import At, Schedule, Settings


def scale(at: At, settings: Settings) -> float:
    return 1 - at.done


PART = Schedule(name="linear", scale=scale)
