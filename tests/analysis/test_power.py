"""What a study could have seen: the figures of the design, checked by simulation."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from golden_texts import raising

from ablate.analysis import build_table, power
from ablate.analysis.compare import compare_steps, compare_with_baseline
from ablate.analysis.values import Sample


def main_effect(n: int, factors: int, *, comparisons: int = 1, test: str = "moderated") -> float | None:
    """The smallest main effect of a full grid of two-level factors; the model has the main effects, the two-way interactions and
    the blocks."""
    arms = 2**factors
    weights = [2 / arms if i % 2 else -2 / arms for i in range(arms)]
    rank = 1 + factors + math.comb(factors, 2)
    return power.detectable_effect(weights, n, comparisons, test, rank=rank)


def test_the_figures_that_the_documentation_quotes() -> None:
    """n = 3, seven arms beside the baseline, in sd of one run."""
    assert power.detectable(3, 7, "moderated") == pytest.approx(4.1, abs=0.05)
    assert power.detectable(3, 7, "dunnett") == pytest.approx(3.12, abs=0.005)
    assert power.detectable(3, 7, "pooled-holm") == pytest.approx(3.26, abs=0.005)
    assert power.detectable(3, 7, "welch-holm") == pytest.approx(7.1, abs=0.05)
    assert power.detectable(3, 7, "paired-holm") == pytest.approx(12.25, abs=0.005)
    assert power.detectable(5, 7, "welch-holm") == pytest.approx(3.1, abs=0.05)
    assert power.detectable(3, 15, "welch-holm") == pytest.approx(9.5, abs=0.05)
    assert main_effect(3, 3, test="dunnett") == pytest.approx(1.22, abs=0.005)
    assert main_effect(3, 3, comparisons=6, test="dunnett") == pytest.approx(1.61, abs=0.005)
    assert main_effect(3, 3, comparisons=6) == pytest.approx(2.02, abs=0.02)


def decided(test: str, n: int, arms: int, shift: float, studies: int, *, path: bool = False) -> float:
    """The share of studies in which one arm that lies `shift` higher is decided."""
    rng = np.random.default_rng(1)
    count = 0
    for _ in range(studies):
        values = rng.standard_normal((arms, n))
        values[-1] += shift
        samples = [Sample(str(i), str(i), tuple(row), n) for i, row in enumerate(values.tolist())]
        if path:
            found = compare_steps(list(itertools.pairwise(samples)), test)
        else:
            found = compare_with_baseline(samples[0], samples[1:], test)
        count += found[str(arms - 1)].decided
    return count / studies


@pytest.mark.parametrize(("n", "arms"), [(3, 4), (5, 3)])
@pytest.mark.parametrize("test", ["moderated", "dunnett", "welch-holm"])
def test_the_figure_is_decided_four_times_of_five(test: str, n: int, arms: int) -> None:
    shift = power.detectable(n, arms - 1, test)
    assert shift is not None
    assert decided(test, n, arms, shift, 400) == pytest.approx(0.8, abs=0.06)  # 3 standard errors


@pytest.mark.parametrize(("test", "figure"), [("moderated", "moderated"), ("dunnett", "pooled-holm")])
def test_a_paths_figure_as_well(test: str, figure: str) -> None:
    shift = power.detectable(3, 4, figure)
    assert shift is not None
    assert decided(test, 3, 5, shift, 400, path=True) == pytest.approx(0.8, abs=0.06)


@pytest.mark.slow
@pytest.mark.parametrize("test", ["moderated", "dunnett", "welch-holm"])
def test_an_effects_figure_is_decided_four_times_of_five(maker: Any, factor: Any, test: str) -> None:
    rng = np.random.default_rng(2)
    shift = main_effect(3, 3, comparisons=6, test=test)
    assert shift is not None
    arms = ["/".join(levels) for levels in itertools.product("01", repeat=3)]
    count = 0
    for _ in range(250):
        values = {arm: (rng.standard_normal(3) + shift * (arm[0] == "1")).tolist() for arm in arms}
        made = maker([factor(name, "0", "1") for name in "abc"], values)
        table = build_table(made.study, made.spec(kind="effect", factors=(), test=test), made.results)
        count += next(row for row in table.rows if row.name == "a=1").cells["top1"].decided
    assert count / 250 == pytest.approx(0.8, abs=0.076)  # 3 standard errors


@pytest.mark.slow
def test_more_seeds_see_more_and_more_arms_see_less() -> None:
    for test in ("moderated", "dunnett", "welch-holm"):
        by_n = [power.detectable(n, 4, test) for n in (3, 5, 10, 30)]
        by_arms = [power.detectable(5, k, test) for k in (1, 3, 9)]
        assert by_n == sorted(by_n, reverse=True)
        assert by_arms == sorted(by_arms)


def test_nothing_is_seen_below_three() -> None:
    assert power.detectable(2, 3) is None
    assert main_effect(1, 2) is None


@pytest.mark.slow
def test_replicates_needed_is_the_least_that_suffices() -> None:
    n = power.replicates_needed(1.0, 7)
    assert n is not None
    enough, short = power.detectable(n, 7), power.detectable(n - 1, 7)
    assert enough is not None
    assert short is not None
    assert enough <= 1.0 < short
    assert power.replicates_needed(0.01, 7) is None


def test_errors_say_what_is_allowed() -> None:
    with raising(ValueError):
        power.detectable(3, 2, "tukey")
    with raising(ValueError):
        power.detectable(3, 0)
    with raising(ValueError):
        power.replicates_needed(0, 2)
