"""Verdicts: each kind of claim, both variance rules, what leaves them undecided, and the rate of false verdicts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from golden_texts import worded
from scipy import stats

from ablate.analysis.claims import Comparison, judge, p_text, verdict
from ablate.analysis.table import ClaimResult
from ablate.analysis.values import Replicates

TWEAKS = {
    "A": [0.66, 0.68, 0.67],
    "B": [0.79, 0.80, 0.78],
    "C": [0.63, 0.64, 0.62],
    "D": [0.66, 0.67, 0.665],
}
A, B, C, D = (("A", {"tweak": "A"}), ("B", {"tweak": "B"}), ("C", {"tweak": "C"}), ("D", {"tweak": "D"}))


@pytest.fixture
def court(maker: Any, factor: Any) -> Callable[..., ClaimResult]:
    """Judges one claim on the four tweaks, or on other values."""

    def say(claim: Any, values: Any = TWEAKS, **spec: Any) -> ClaimResult:
        made = maker([factor("tweak", *values)], values, baseline={"tweak": "A"})
        (found,) = judge(made.study, made.spec(claims=(claim,), **spec), Replicates(made.study, made.results))
        return found

    return say


@pytest.mark.parametrize("test", ["moderated", "dunnett", "welch-holm"])
class TestVerdicts:
    def test_greater_and_less(self, court: Any, claim: Any, test: str) -> None:
        assert court(claim(">", B, A), test=test).verdict == "holds"
        assert court(claim("<", B, A), test=test).verdict == "contradicted"
        assert court(claim("<", A, B), test=test).verdict == "holds"
        assert court(claim(">", A, D), test=test).verdict == "undecided"

    def test_by_a_margin(self, court: Any, claim: Any, test: str) -> None:
        assert court(claim(">", B, A, by=0.05), test=test).verdict == "holds"
        assert court(claim(">", B, A, by=0.12), test=test).verdict == "undecided"
        assert court(claim(">", B, A, by=0.20), test=test).verdict == "contradicted"

    def test_best_and_worst_of_all(self, court: Any, claim: Any, test: str) -> None:
        assert court(claim("best", B, A, C, D), test=test).verdict == "holds"
        assert court(claim("worst", C, A, B, D), test=test).verdict == "holds"
        assert court(claim("best", A, B, C, D), test=test).verdict == "contradicted"
        assert court(claim("best", A, C, D), test=test).verdict == "undecided"  # A and D are too close

    def test_best_follows_the_direction(self, court: Any, claim: Any, test: str) -> None:
        losses = {arm: {"loss": values} for arm, values in TWEAKS.items()}
        assert court(claim("best", C, A, B, D, metric="loss"), losses, test=test).verdict == "holds"
        assert court(claim("worst", B, A, C, D, metric="loss"), losses, test=test).verdict == "holds"
        assert court(claim(">", B, A, metric="loss"), losses, test=test).verdict == "holds"  # > compares numbers

    def test_gains(self, court: Any, claim: Any, test: str) -> None:
        assert court(claim("gain", B, A, D, A), test=test).verdict == "holds"
        assert court(claim("gain", D, A, B, A), test=test).verdict == "contradicted"
        assert court(claim("gain", A, C, D, C), test=test).verdict == "undecided"


def test_a_pooled_contrast_by_hand(court: Any, claim: Any) -> None:
    """Variances 1e-4, 1e-4, 1e-4 and 0.25e-4 pool to 0.8125e-4 on 8 degrees of freedom."""
    found = court(claim(">", A, C), test="dunnett")
    t = 0.04 / np.sqrt(0.8125e-4 * 2 / 3)
    assert found.why == f"A - C = +0.04 ({p_text(2 * stats.t.sf(t, 8))})"
    (gain,) = [court(claim("gain", B, D, A, C), test="dunnett")]
    t = (0.125 - 0.04) / np.sqrt(0.8125e-4 * 4 / 3)
    assert 2 * stats.t.sf(t, 8) < 0.001
    assert gain.why == "(B - D) - (A - C) = +0.085 (p < 0.001)"


def test_a_welch_contrast_is_scipys(court: Any, claim: Any) -> None:
    found = court(claim(">", D, C), test="welch-holm")
    p = stats.ttest_ind(TWEAKS["D"], TWEAKS["C"], equal_var=False).pvalue
    assert found.why == f"D - C = +0.035 ({p_text(p)})"


class TestUndecided:
    def test_prose_and_costs_without_direction(self, court: Any, claim: Any) -> None:
        prose = court(claim("prose"))
        assert prose.verdict == "not testable"
        worded(prose.why, "prose: ")
        lr = court(claim("best", B, A, metric="lr"))
        assert lr.verdict == "not testable"
        worded(lr.why, " lr ")

    def test_arms_that_are_the_same_run(self, maker: Any, factor: Any, claim: Any) -> None:
        made = maker([factor("tweak", "A", "B")], {"A": [0.1, 0.2, 0.3], "B": []}, merged={"B": "A"})
        spec = made.spec(claims=(claim(">", B, A), claim("best", B, A)))
        for found in judge(made.study, spec, Replicates(made.study, made.results)):
            assert found.verdict == "not testable"
            worded(found.why, "B - A: ", "same run")

    def test_a_gain_over_one_shared_run(self, court: Any, claim: Any) -> None:
        found = court(claim("gain", B, A, B, A))
        assert found.verdict == "not testable"
        worded(found.why, "(B - A) - (B - A): ", "same run")

    def test_a_lost_run(self, court: Any, claim: Any) -> None:
        found = court(claim(">", B, A), TWEAKS | {"B": [0.79, 0.80]})
        assert (found.verdict, found.why) == ("undecided", "B - A = +0.125: B has 2 of 3 runs")

    def test_no_runs(self, court: Any, claim: Any) -> None:
        found = court(claim(">", B, A), TWEAKS | {"B": []})
        assert (found.verdict, found.why) == ("undecided", "B - A: B has 0 of 3 runs")

    def test_bit_equal_replicates(self, court: Any, claim: Any) -> None:
        found = court(claim(">", B, A), TWEAKS | {"B": [0.9, 0.9, 0.9]})
        assert found.verdict == "undecided"
        worded(found.why, "B - A = +0.23: no p: ", "3 values of B")

    def test_one_lost_arm_cannot_hide_a_contradiction(self, court: Any, claim: Any) -> None:
        found = court(claim("best", A, B, C, D), TWEAKS | {"D": []})
        assert (found.verdict, found.why) == ("contradicted", "A - B = -0.12 (p < 0.001)")

    def test_an_arm_that_the_design_leaves_out(self, court: Any, claim: Any) -> None:
        found = court(claim(">", B, ("Z", {"tweak": "Z"})))
        assert found.verdict == "undecided"
        worded(found.why, "B - Z: ", "arm Z")


def test_best_is_among_the_arms_that_there_are(maker: Any, factor: Any, claim: Any) -> None:
    """A grid with an exclusion: the file's `best` names every combination, the design has three of four."""
    values = {"A/off": [0.6, 0.61, 0.62], "A/on": [0.9, 0.91, 0.92], "B/off": [0.7, 0.71, 0.72]}
    made = maker([factor("tweak", "A", "B"), factor("mixup", "off", "on")], values)

    def term(name: str) -> tuple[str, dict[str, str]]:
        return name, dict(zip(("tweak", "mixup"), name.split("/"), strict=True))

    said = claim("best", *map(term, ("A/on", "A/off", "B/off", "B/on")))
    (found,) = judge(made.study, made.spec(claims=(said,)), Replicates(made.study, made.results))
    assert found.verdict == "holds"
    assert "B/on" not in found.why
    only = claim("best", *map(term, ("A/on", "B/on")))
    (found,) = judge(made.study, made.spec(claims=(only,)), Replicates(made.study, made.results))
    assert found.verdict == "undecided"
    worded(found.why)


def test_where_wins_over_the_levels_that_a_row_left_out(maker: Any, factor: Any, claim: Any) -> None:
    """`on > off where tweak=B`: the rows' names were filled up with the baseline's tweak, A."""
    values = {
        f"{t}/{m}": [0.1 + d, 0.2 + d, 0.15 + d]
        for t, m, d in (("A", "off", 0.9), ("A", "on", 0.0), ("B", "off", 0.0), ("B", "on", 0.9))
    }
    made = maker([factor("tweak", "A", "B"), factor("mixup", "off", "on")], values)
    on, off = (("on", {"tweak": "A", "mixup": "on"}), ("off", {"tweak": "A", "mixup": "off"}))
    spec = made.spec(claims=(claim(">", on, off, where={"tweak": "B"}), claim(">", on, off)))
    found = judge(made.study, spec, Replicates(made.study, made.results))
    assert [result.verdict for result in found] == ["holds", "contradicted"]


def test_the_pool_holds_the_baseline_outside_the_table(court: Any, claim: Any) -> None:
    """C and D with the variances 1e-4 and 0.25e-4, and A's 1e-4: the mean is 0.75e-4, on 6 degrees of freedom."""
    t = 0.035 / np.sqrt(0.75e-4 * 2 / 3)
    found = court(claim(">", D, C), where={"tweak": ("C", "D")}, test="dunnett")
    assert found.why == f"D - C = +0.035 ({p_text(2 * stats.t.sf(t, 6))})"


def test_class_metrics_are_macro_means(maker: Any, factor: Any, matrix: Any, claim: Any) -> None:
    made = maker([factor("tweak", "A", "B")], {"A": [0.1, 0.2, 0.3], "B": [0.1, 0.2, 0.3]})
    for seed, wrong in enumerate((4, 5, 6)):
        made.change("A", seed, confusions=(matrix([[10 - wrong, wrong], [wrong, 10 - wrong]]),))
        made.change("B", seed, confusions=(matrix([[13 - wrong, wrong - 3], [wrong - 3, 13 - wrong]]),))
    spec = made.spec(kind="class", columns=("recall",), claims=(claim(">", B, A, metric="recall"),), test="dunnett")
    (found,) = judge(made.study, spec, Replicates(made.study, made.results))
    assert (found.verdict, found.why) == ("holds", "B - A = +0.3 (p = 0.021)")


def test_a_table_without_where_asks_at_every_level(maker: Any, factor: Any, claim: Any) -> None:
    from dataclasses import replace

    values = {f"{t}/{m}": [0.1, 0.2, 0.15] for t in "AB" for m in ("off", "on")}
    made = maker([factor("tweak", "A", "B"), factor("mixup", "off", "on")], values)
    spec = replace(made.spec(claims=(claim(">", B, A),)), where={})
    (found,) = judge(made.study, spec, Replicates(made.study, made.results))
    assert found.why == "B - A at mixup=off = +0 (p = 1.000); B - A at mixup=on = +0 (p = 1.000)"


def test_the_weakest_comparisons_are_spelled_first() -> None:
    comparisons = [Comparison(f"a - {i}", 0.1, p) for i, p in enumerate((0.001, 0.04, 0.02, 0.03, 0.002))]
    found = verdict("a is best", comparisons)
    assert found.why == "a - 1 = +0.1 (p = 0.040); a - 3 = +0.1 (p = 0.030); a - 2 = +0.1 (p = 0.020); and 2 more"


def test_against_is_adjusted_by_holm_and_for_is_not() -> None:
    three = [Comparison("a - b", 0.1, 0.02), Comparison("a - c", 0.1, 0.03), Comparison("a - d", -0.1, 0.02)]
    assert verdict("x", three[:2]).verdict == "holds"
    assert verdict("x", three).verdict == "undecided"  # 0.02 times 3 is not below 0.05
    assert verdict("x", three[2:]).verdict == "contradicted"


def test_a_factor_left_open_is_asked_at_each_level(maker: Any, factor: Any, claim: Any) -> None:
    values = {
        "A/off": [0.60, 0.61, 0.62],
        "A/on": [0.70, 0.71, 0.72],
        "B/off": [0.80, 0.81, 0.82],
        "B/on": [0.70, 0.71, 0.725],
    }
    made = maker([factor("tweak", "A", "B"), factor("mixup", "off", "on")], values)
    on, off = ("on", {"mixup": "on"}), ("off", {"mixup": "off"})

    def say(said: Any, **where: Any) -> ClaimResult:
        return judge(made.study, made.spec(claims=(said,), where=where), Replicates(made.study, made.results))[0]

    everywhere = say(claim(">", on, off))
    assert everywhere.verdict == "contradicted"
    worded(everywhere.why, "on - off at tweak=B = -0.0983 (p")
    assert say(claim(">", on, off, where={"tweak": "A"})).verdict == "holds"
    assert say(claim(">", on, off), tweak=("A",)).verdict == "holds"


@pytest.mark.slow
@pytest.mark.parametrize("test", ["moderated", "dunnett", "welch-holm"])
def test_chance_makes_few_verdicts(maker: Any, factor: Any, claim: Any, test: str) -> None:
    """Nothing differs: `a > b` holds in 2.5% of studies and is contradicted in as many; `best of 3` far less."""
    rng = np.random.default_rng(3)
    made = maker([factor("tweak", *"ABCD")], TWEAKS)
    spec = made.spec(claims=(claim(">", A, B), claim("best", A, B, C, D)), test=test)
    count = 600
    tally = {"holds": [0, 0], "contradicted": [0, 0], "undecided": [0, 0]}
    for _ in range(count):
        for run_id, result in made.results.items():
            object.__setattr__(result, "metrics", {"top1": float(rng.standard_normal())})
            made.results[run_id] = result
        for index, found in enumerate(judge(made.study, spec, Replicates(made.study, made.results))):
            tally[found.verdict][index] += 1
    margin = 3 * np.sqrt(0.025 * 0.975 / count)
    for said in ("holds", "contradicted"):
        assert tally[said][0] / count <= 0.025 + margin
    if test == "dunnett":
        assert tally["holds"][0] / count >= 0.025 - margin
    assert tally["holds"][1] / count <= 0.025
    assert tally["contradicted"][1] / count <= 0.05 + margin


def test_p_in_words() -> None:
    said = {0.0004: "p < 0.001", 0.0049: "p = 0.0049", 0.0123: "p = 0.012", 0.5: "p = 0.500", 0.04996: "p = 0.04996"}
    assert {p: p_text(p) for p in said} == said
