"""One cycle of the learning rate: up to `optimizer.lr` and down to almost nothing.

Paper    Smith and Topin 2019, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates"
         (arXiv 1708.07120).
Formula  From lr / 25 to lr over the first 30% of the steps, then to lr / 250000 at the last, both along half a cosine: the defaults of
         `torch.optim.lr_scheduler.OneCycleLR`. The paper lets momentum fall while the rate rises; here it stays as it is.
Recipe   schedule: {name: one_cycle}. It has a warm-up of its own, so `warmup_epochs` has no effect.
When     Few epochs at a high rate. `optimizer.lr` is the peak: mostly above what a constant rate bears.
"""

from __future__ import annotations

import math

from ablate.parts.declare import At, Schedule, Settings

RISE = 0.3
FIRST = 1 / 25
LAST = FIRST / 10_000


def scale(at: At, settings: Settings) -> float:
    peak, end = RISE * at.total_steps - 1, at.total_steps - 1
    if at.step <= peak:
        return _between(FIRST, 1.0, at.step / peak)
    return _between(1.0, LAST, min(1.0, (at.step - peak) / (end - peak)))


def _between(start: float, stop: float, share: float) -> float:
    """Half a cosine from `start` at share 0 to `stop` at share 1."""
    return stop + (start - stop) / 2 * (1 + math.cos(math.pi * share))


PART = Schedule(name="one_cycle", scale=scale, warms_up=True)
