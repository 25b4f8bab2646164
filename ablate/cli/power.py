"""`grid plan --power`: what a study of this size could see, before anything is trained."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ablate.analysis.compare import LEAST_N
from ablate.analysis.power import detectable, detectable_main_effect, replicates_needed

if TYPE_CHECKING:
    from rich.console import Console

    from ablate.study.study import Study

SHOWN_N = (3, 5, 10)
ONE_SD = 1.0


def print_power(study: Study, console: Console) -> None:
    """The smallest differences that are decided in four studies of five, by the number of seeds, in sd of one run."""
    others = len({arm.arm_id for arm in study.arms}) - 1
    if others < 1:
        console.print("\nWith one arm there is nothing to compare.")
        return
    planned, factors = len(study.seeds), _two_level_factors(study)
    console.print("\nThe smallest difference that n seeds decide (80% power), in sd of one run:")
    console.print(f"  n   from the baseline{'   main effect' if factors else ''}")
    for n in sorted({planned, *SHOWN_N}):
        effect = f"{_shown(_main_effect(n, factors)):>14}" if factors else ""
        mark = "   (this study)" if n == planned else ""
        console.print(f"{n:>3}{_shown(detectable(n, others)):>20}{effect}{mark}", highlight=False)
    needed = replicates_needed(ONE_SD, others)
    if needed is not None:
        console.print(f"A difference of one sd from the baseline is decided with {needed} seeds.")
    if planned < LEAST_N:
        console.print(f"Below {LEAST_N} seeds nothing is decided.")


def _two_level_factors(study: Study) -> int:
    """How many two-level factors a full grid has, members of subsets among them; 0 for any other design."""
    simple = all(factor.members or len(factor.levels) == 2 for factor in study.factors)
    count = sum(len(factor.members) or 1 for factor in study.factors)
    return count if simple and len({arm.arm_id for arm in study.arms}) == 2**count else 0


def _main_effect(n: int, factors: int) -> float | None:
    """As in a table of effects: main effects and two-way interactions share the 5%."""
    return detectable_main_effect(n, factors, comparisons=factors + math.comb(factors, 2))


def _shown(smallest: float | None) -> str:
    return "nothing" if smallest is None else f"{smallest:.1f}"
