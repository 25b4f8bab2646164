"""What a study could have seen: the smallest difference that is decided in four studies of five.

All figures are in sd of one run, for a planned study with equal n; the cells of a table carry the same worked out from
their own spread. "Decided" is at the strictest place of the family: the one arm that differs, where no other does.
"""

from __future__ import annotations

import math

from ablate.analysis import distributions
from ablate.analysis.compare import LEAST_N
from ablate.analysis.distributions import ALPHA, POWER

TESTS = ("dunnett", "pooled-holm", "welch-holm", "paired-holm")


def detectable(n: int, comparisons: int, test: str = "dunnett", *, power: float = POWER) -> float | None:
    """The smallest difference from the baseline, in sd of one run; None below n = 3, where nothing is decided.

    n             replicates of each arm
    comparisons   arms of the family beside the baseline
    test          `dunnett`; `pooled-holm`, the steps of a path; `welch-holm`, equal spreads assumed; or `paired-holm`,
                  differences by seed of unrelated runs, which no table uses and which shows what pairing costs
    """
    if comparisons < 1:
        raise ValueError(f"a family has one arm beside the baseline at least, not {comparisons}")
    if test not in TESTS:
        raise ValueError(f"unknown test {test!r}; allowed: {', '.join(TESTS)}")
    if n < LEAST_N:
        return None
    df = {"welch-holm": 2 * (n - 1), "paired-holm": n - 1}.get(test, (comparisons + 1) * (n - 1))
    if test == "dunnett":
        critical = distributions.dunnett_critical(df, n, (n,) * comparisons)
    else:
        critical = distributions.t_critical(df, ALPHA / comparisons)
    return math.sqrt(2 / n) * distributions.noncentrality(critical, df, power)


def detectable_main_effect(n: int, factors: int, *, comparisons: int = 1, power: float = POWER) -> float | None:
    """The smallest main effect of a full grid of two-level factors, in sd of one run.

    n             replicates of each of the 2^factors arms, taken as blocks
    comparisons   effects that share the 5%: 1 for an effect by itself, the number of rows for a table with Holm

    The model has the main effects, the two-way interactions and the blocks. None where it leaves no run over.
    """
    runs = n * 2**factors
    df = runs - n - factors - math.comb(factors, 2)
    if df < 1:
        return None
    critical = distributions.t_critical(df, ALPHA / comparisons)
    return distributions.noncentrality(critical, df, power) * 2 / math.sqrt(runs)


def replicates_needed(difference: float, comparisons: int, test: str = "dunnett", *, most: int = 1000) -> int | None:
    """The least n at which `difference`, in sd of one run, is detectable; None where `most` do not suffice."""
    if difference <= 0:
        raise ValueError(f"a difference to be seen is above 0, not {difference!r}")

    def enough(n: int) -> bool:
        smallest = detectable(n, comparisons, test)
        return smallest is not None and smallest <= difference

    if not enough(most):
        return None
    low, high = LEAST_N, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
