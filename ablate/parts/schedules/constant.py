"""A constant learning rate, after the warm-up.

Formula  rate(t) = initial.
Recipe   schedule: {name: constant}
When     Short trainings, and as the baseline that a decay is compared with.
"""

from __future__ import annotations

from ablate.parts.declare import At, Schedule, Settings


def scale(at: At, settings: Settings) -> float:
    return 1.0


PART = Schedule(name="constant", scale=scale)
