"""What re-splits do to intervals: python benchmarks/resplits.py

Every seed draws a split of one data set, 80% to train on and 20% to score, for both arms; two ridge classifiers are compared
on 30 Gaussian features. Prints how often each 95% interval of the difference holds the true one: the expected difference over
data sets and splits, from all of the simulated ones. Unpaired is the table's (`moderated`, one comparison), paired the plain
t-interval of the differences by seed, corrected that of Nadeau and Bengio.
"""

from __future__ import annotations

import math

import numpy as np

from ablate.analysis.compare import compare_with_baseline
from ablate.analysis.resampling import nadeau_bengio
from ablate.analysis.values import Sample

FEATURES, STUDIES = 30, 1500


def scores(draws: np.random.Generator, items: int, n: int, penalties: tuple[float, float]) -> np.ndarray:
    """Accuracies of two arms by seed, shape (2, n), of one data set."""
    labels = np.where(np.arange(items) % 2, 1.0, -1.0)
    data = draws.normal(size=(items, FEATURES)) + labels[:, None] * 0.25
    found = np.empty((2, n))
    for seed in range(n):
        order = draws.permutation(items)
        train, test = order[: items * 4 // 5], order[items * 4 // 5 :]
        for arm, penalty in enumerate(penalties):
            x, y = data[train], labels[train]
            w = np.linalg.solve(x.T @ x + penalty * np.eye(FEATURES), x.T @ y)
            found[arm, seed] = np.mean(np.sign(data[test] @ w) == labels[test])
    return found


def main() -> None:
    draws = np.random.default_rng(0)
    print("items  n   unpaired  paired  corrected")
    for items in (100, 300, 1000):
        for n in (3, 5, 10):
            found = [scores(draws, items, n, (1.0, 300.0)) for _ in range(STUDIES)]
            truth = float(np.mean([one[1].mean() - one[0].mean() for one in found]))
            held: list[list[bool]] = [[], [], []]
            for low, high in found:
                arms = [Sample(key, key, tuple(map(float, values)), n) for key, values in (("a", low), ("b", high))]
                gaps = [float(gap) for gap in high - low]
                unpaired = compare_with_baseline(arms[0], arms[1:], "moderated")["b"].ci95
                intervals = (unpaired, nadeau_bengio(gaps, 0.0).ci95, nadeau_bengio(gaps, 0.25).ci95)
                for kept, interval in zip(held, intervals, strict=True):
                    if interval is not None:  # all equal: none is printed
                        kept.append(interval[0] <= truth <= interval[1])
            print(f"{items:5}  {n:2}  " + "  ".join(f"{100 * np.mean(kept):7.1f}%" for kept in held))
    print(f"Monte Carlo error: {100 * math.sqrt(0.05 * 0.95 / STUDIES):.1f} points")


if __name__ == "__main__":
    main()
