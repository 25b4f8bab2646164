"""How often do tables decide what is not there? The tables of docs/statistics.md, simulated; about a minute on one core.

Every study has normal values and no difference between its arms; only the spreads differ. Rates are given with the
width of intervals relative to those of a pooled variance with the same adjustment, the median over studies and
comparisons. The variances are the project's own
`variance.fit` and `variance.larger` on whole arrays; tests/analysis/test_simulation.py holds the rest to `build_table`.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import special, stats

from ablate.analysis import distributions, variance

ALPHA = 0.05
ARMS, NS = (3, 8, 16), (3, 5, 10)
STRICT_STUDIES = 40_000
Array = np.ndarray[Any, np.dtype[np.float64]]
SPREADS: dict[str, Callable[[int], list[float]]] = {
    "equal": lambda k: [1.0] * k,
    "baseline x2": lambda k: [2.0, *[1.0] * (k - 1)],
    "baseline x4": lambda k: [4.0, *[1.0] * (k - 1)],
    "one arm x2": lambda k: [*[1.0] * (k - 1), 2.0],
    "one arm x4": lambda k: [*[1.0] * (k - 1), 4.0],
    "half x2": lambda k: [*[1.0] * (k - k // 2), *[2.0] * (k // 2)],
    "half x4": lambda k: [*[1.0] * (k - k // 2), *[4.0] * (k // 2)],
    "half x4, baseline too": lambda k: [*[4.0] * (k // 2), *[1.0] * (k - k // 2)],
}
"""The sd of each arm of a family of k; the first is the baseline."""


def judged(values: Array, test: str) -> tuple[Array, Array]:
    """Variance and degrees of freedom that each arm is judged by, both [studies, arms]; `values` [studies, arms, n]."""
    _, arms, n = values.shape
    own = values.var(axis=2, ddof=1)
    if test == "welch-holm":
        return own, np.full_like(own, n - 1)
    if test == "dunnett":
        return np.repeat(own.mean(axis=1, keepdims=True), arms, axis=1), np.full_like(own, arms * (n - 1))
    d0, s0_squared = variance.fit(own, n - 1)
    q = variance.larger(own, n - 1, d0[:, None], s0_squared[:, None])
    df = np.minimum(d0 + n - 1, arms * (n - 1))
    return np.asarray(q), np.repeat(df[:, None], arms, axis=1)


def contrasts(values: Array, weights: Array, test: str) -> tuple[Array, Array, Array]:
    """Estimate, standard error and degrees of freedom, [studies, contrasts]; `weights` [contrasts, arms]."""
    q, dfs = judged(values, test)
    shares = weights[None] ** 2 * q[:, None, :] / values.shape[2]
    total = shares.sum(axis=2)
    if test == "welch-holm":
        df = total**2 / (shares**2 / dfs[:, None, :]).sum(axis=2)
    else:
        df = np.where(weights[None] != 0, dfs[:, None, :], np.inf).min(axis=2)
    return values.mean(axis=2) @ weights.T, np.sqrt(total), df


def half_widths(values: Array, weights: Array, test: str) -> tuple[Array, Array]:
    """Estimates, and half the width of their simultaneous intervals. Dunnett's are for comparisons with a baseline."""
    estimate, error, df = contrasts(values, weights, test)
    _, arms, n = values.shape
    if test == "dunnett":
        return estimate, distributions.dunnett_critical(arms * (n - 1), n, (n,) * len(weights)) * error
    return estimate, -special.stdtrit(df, ALPHA / len(weights) / 2) * error


def with_baseline(arms: int) -> Array:
    return np.hstack([-np.ones((arms - 1, 1)), np.eye(arms - 1)])


def two_level_effects(factors: int) -> Array:
    """Weights of the main effects and two-way interactions on the arms of a full grid, [effects, 2^factors]."""
    codes = np.array(list(itertools.product((-1.0, 1.0), repeat=factors)))
    columns = [*codes.T, *(a * b for a, b in itertools.combinations(codes.T, 2))]
    return np.array(columns) * 2 / len(codes)


def drawn(rng: np.random.Generator, studies: int, sds: list[float], n: int) -> Array:
    return rng.standard_normal((studies, len(sds), n)) * np.array(sds)[None, :, None]


def rate(values: Array, weights: Array, test: str) -> float:
    """The share of studies in which anything is decided. Holm's first step is Bonferroni's."""
    estimate, half = half_widths(values, weights, test)
    return float((np.abs(estimate) > half).any(axis=1).mean())


def holds(values: Array, weights: Array, test: str) -> float:
    """The share of studies in which one claim, `weights` [1, arms] above zero, holds: p < 0.05, not adjusted."""
    estimate, error, df = contrasts(values, weights, test)
    return float((estimate > -special.stdtrit(df, ALPHA / 2) * error).mean())


def shown(rates: list[float]) -> str:
    return " / ".join(f"{100 * value:.1f}" for value in rates)


def rows_of_families(rng: np.random.Generator, studies: int) -> Iterator[str]:
    yield "| arms | spread | moderated | Dunnett | Welch, Holm | width | Bartlett's note |"
    yield "|---|---|---|---|---|---|---|"
    for arms, (name, sds) in itertools.product(ARMS, SPREADS.items()):
        weights = with_baseline(arms)
        rates: dict[str, list[float]] = {test: [] for test in variance.TESTS}
        widths, noted = [], []
        for n in NS:
            values = drawn(rng, studies, sds(arms), n)
            for test, found in rates.items():
                found.append(rate(values, weights, test))
            pooled = contrasts(values, weights, "dunnett")[1] * -special.stdtrit(arms * (n - 1), ALPHA / (arms - 1) / 2)
            ratio = half_widths(values, weights, "moderated")[1] / pooled
            widths.append(float(np.median(ratio)))
            noted.append(float(np.mean(stats.bartlett(*np.moveaxis(values, 1, 0), axis=1).pvalue < variance.SUSPECT)))
        width = " / ".join(f"{value:.2f}" for value in widths)
        yield f"| {arms} | {name} | {' | '.join(map(shown, rates.values()))} | {width} | {shown(noted)} |"


def rows_of_effects(rng: np.random.Generator, studies: int) -> Iterator[str]:
    yield "| grid | spread | moderated | Welch |"
    yield "|---|---|---|---|"
    for factors, (name, sds) in itertools.product((2, 3, 4), SPREADS.items()):
        if not name.endswith("x2"):
            weights = two_level_effects(factors)
            drawings = [drawn(rng, studies, sds(2**factors), n) for n in NS]
            found = [[rate(values, weights, test) for values in drawings] for test in ("moderated", "welch-holm")]
            yield f"| 2^{factors}, {len(weights)} effects | {name} | {' | '.join(map(shown, found))} |"


def rows_of_claims(rng: np.random.Generator, studies: int) -> Iterator[str]:
    """Eight arms, half of them four times as noisy: `a > b` between two quiet ones, two noisy ones, and one of each."""
    yield "| claim | moderated | Dunnett | Welch |"
    yield "|---|---|---|---|"
    pairs = {"two quiet arms": (0, 1), "two noisy arms": (6, 7), "a noisy and a quiet arm": (6, 1)}
    for name, (a, b) in pairs.items():
        weights = np.zeros((1, 8))
        weights[0, [a, b]] = 1.0, -1.0
        drawings = [drawn(rng, studies, SPREADS["half x4"](8), n) for n in NS]
        found = [[holds(values, weights, test) for values in drawings] for test in variance.TESTS]
        yield f"| {name} | {' | '.join(map(shown, found))} |"


def rows_of_the_strictest(seed: int) -> Iterator[str]:
    """The places of the first table where moderated variances err most, n = 3, from more studies."""
    rng = np.random.default_rng(seed)
    error = 100 * math.sqrt(0.08 * 0.92 / STRICT_STUDIES)
    yield f"| arms | spread | moderated, {STRICT_STUDIES:,} studies (standard error {error:.2f} at 8%) |"
    yield "|---|---|---|"
    for arms, name in itertools.product(ARMS, ("baseline x4", "one arm x4", "half x4, baseline too")):
        batches = [drawn(rng, 5000, SPREADS[name](arms), 3) for _ in range(STRICT_STUDIES // 5000)]
        found = np.mean([rate(values, with_baseline(arms), "moderated") for values in batches])
        yield f"| {arms} | {name} | {100 * found:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    error = 100 * math.sqrt(0.05 * 0.95 / asked.studies)
    print(f"{asked.studies} studies a row, n = 3 / 5 / 10; percent, standard error {error:.1f} at 5%.\n")
    for title, rows in (("Rows", rows_of_families), ("Effects", rows_of_effects), ("Claims", rows_of_claims)):
        print(f"{title}:\n")
        print("\n".join(rows(rng, asked.studies)) + "\n", flush=True)
    print("The strictest places, n = 3:\n")
    print("\n".join(rows_of_the_strictest(asked.seed + 1)))


if __name__ == "__main__":
    main()
