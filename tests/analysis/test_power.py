"""What a study could have seen: the figures of the design, checked by simulation."""

import numpy as np
import pytest

from ablate.analysis import power
from ablate.analysis.compare import compare_with_baseline
from ablate.analysis.values import Sample


def test_the_figures_that_the_documentation_quotes() -> None:
    """n = 3, seven arms beside the baseline, in sd of one run."""
    assert power.detectable(3, 7, "dunnett") == pytest.approx(3.12, abs=0.005)
    assert power.detectable(3, 7, "pooled-holm") == pytest.approx(3.26, abs=0.005)
    assert power.detectable(3, 7, "welch-holm") == pytest.approx(5.25, abs=0.005)
    assert power.detectable(3, 7, "paired-holm") == pytest.approx(12.25, abs=0.005)
    assert power.detectable_main_effect(3, 3) == pytest.approx(1.22, abs=0.005)
    assert power.detectable_main_effect(3, 3, comparisons=6) == pytest.approx(1.61, abs=0.005)


def test_dunnetts_figure_is_decided_four_times_of_five() -> None:
    rng = np.random.default_rng(1)
    shift = power.detectable(3, 3, "dunnett")
    assert shift is not None
    decided = 0
    for _ in range(400):
        values = rng.standard_normal((4, 3))
        values[1] += shift
        arms = [Sample(str(i), str(i), tuple(row), 3) for i, row in enumerate(values)]
        decided += compare_with_baseline(arms[0], arms[1:], "dunnett")["1"].decided
    assert decided / 400 == pytest.approx(0.8, abs=0.06)  # 3 standard errors


def test_more_seeds_see_more_and_more_arms_see_less() -> None:
    by_n = [power.detectable(n, 4) for n in (3, 5, 10, 30)]
    by_arms = [power.detectable(5, k) for k in (1, 3, 9)]
    assert by_n == sorted(by_n, reverse=True)
    assert by_arms == sorted(by_arms)


def test_nothing_is_seen_below_three() -> None:
    assert power.detectable(2, 3) is None
    assert power.detectable_main_effect(1, 2) is None


def test_replicates_needed_is_the_least_that_suffices() -> None:
    n = power.replicates_needed(1.0, 7)
    assert n is not None
    enough, short = power.detectable(n, 7), power.detectable(n - 1, 7)
    assert enough is not None
    assert short is not None
    assert enough <= 1.0 < short
    assert power.replicates_needed(0.01, 7) is None


def test_errors_say_what_is_allowed() -> None:
    with pytest.raises(
        ValueError, match="unknown test 'tukey'; allowed: dunnett, pooled-holm, welch-holm, paired-holm"
    ):
        power.detectable(3, 2, "tukey")
    with pytest.raises(ValueError, match="one arm beside the baseline at least, not 0"):
        power.detectable(3, 0)
    with pytest.raises(ValueError, match="above 0, not 0"):
        power.replicates_needed(0, 2)
