"""The simulation behind docs/statistics.md judges as tables do, and small ones of its kind."""

import importlib.util
import itertools
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from ablate.analysis import build_table

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "variance_simulation.py"
TESTS = ("moderated", "dunnett", "welch-holm")


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("variance_simulation", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells(table: Any) -> list[Any]:
    return [cell for row in table.rows for cell in row.cells.values() if cell.delta is not None]


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize(("arms", "n", "spread"), [(3, 3, "equal"), (8, 3, "baseline x4"), (5, 4, "half x2")])
def test_rows_are_those_of_a_table(
    simulation: ModuleType, maker: Any, factor: Any, test: str, arms: int, n: int, spread: str
) -> None:
    values = simulation.drawn(np.random.default_rng(arms), 3, simulation.SPREADS[spread](arms), n)
    estimates, halves = simulation.half_widths(values, simulation.with_baseline(arms), test)
    for study, estimate, half in zip(values, estimates, halves, strict=True):
        given = {f"arm{i}": row for i, row in enumerate(study.tolist())}
        made = maker([factor("tweak", *given)], given, seeds=range(n), baseline={"tweak": "arm0"})
        found = cells(build_table(made.study, made.spec(test=test), made.results))
        assert [cell.delta for cell in found] == pytest.approx(estimate, abs=1e-9)
        assert [cell.delta_ci95 for cell in found] == [
            pytest.approx((e - h, e + h), abs=1e-9) for e, h in zip(estimate, half, strict=True)
        ]
        if test != "welch-holm":  # Holm's later steps decide more than the interval
            assert [cell.decided for cell in found] == (np.abs(estimate) > half).tolist()
        assert any(cell.decided for cell in found) == bool((np.abs(estimate) > half).any())


@pytest.mark.parametrize("test", ["moderated", "welch-holm"])
@pytest.mark.parametrize(("factors", "spread"), [(2, "equal"), (3, "one arm x4")])
def test_effects_are_those_of_a_table(
    simulation: ModuleType, maker: Any, factor: Any, test: str, factors: int, spread: str
) -> None:
    names = ["/".join(levels) for levels in itertools.product("01", repeat=factors)]
    values = simulation.drawn(np.random.default_rng(factors), 3, simulation.SPREADS[spread](2**factors), 3)
    estimates, halves = simulation.half_widths(values, simulation.two_level_effects(factors), test)
    for study, estimate, half in zip(values, estimates, halves, strict=True):
        made = maker([factor(f, "0", "1") for f in "abcd"[:factors]], dict(zip(names, study.tolist(), strict=True)))
        found = cells(build_table(made.study, made.spec(kind="effect", factors=(), test=test), made.results))
        assert [cell.delta for cell in found] == pytest.approx(estimate, abs=1e-9)
        assert [cell.delta_ci95 for cell in found] == [
            pytest.approx((e - h, e + h), abs=1e-9) for e, h in zip(estimate, half, strict=True)
        ]


@pytest.mark.parametrize("test", TESTS)
def test_claims_are_those_of_a_table(simulation: ModuleType, maker: Any, factor: Any, claim: Any, test: str) -> None:
    weights = np.zeros((1, 4))
    weights[0, [3, 1]] = 1.0, -1.0
    values = simulation.drawn(np.random.default_rng(5), 12, [1.0, 1.0, 1.0, 2.0], 3)
    values[6:, 3] += 4.0
    estimate, error, df = simulation.contrasts(values, weights, test)
    p = 2 * special.stdtr(df, -np.abs(estimate) / error)
    asked = claim(">", ("arm3", {"tweak": "arm3"}), ("arm1", {"tweak": "arm1"}))
    verdicts = []
    for study in values:
        given = {f"arm{i}": row for i, row in enumerate(study.tolist())}
        made = maker([factor("tweak", *given)], given, baseline={"tweak": "arm0"})
        table = build_table(made.study, made.spec(test=test, claims=(asked,)), made.results)
        verdicts.append(table.claims[0].verdict == "holds")
    assert verdicts == ((estimate > 0) & (p < 0.05))[:, 0].tolist()
    assert 0 < sum(verdicts) < len(verdicts)
    claimed = [simulation.holds(study[None], weights, test) for study in values]
    assert claimed == [float(verdict) for verdict in verdicts]


@pytest.mark.parametrize("spread", ["equal", "one arm x4", "half x4", "half x4, baseline too"])
def test_few_tables_decide_what_is_not_there(simulation: ModuleType, spread: str) -> None:
    """Whole columns of n = 3: no more than chance makes of a rate of 7%. A pooled variance errs three times as often."""
    rng = np.random.default_rng(8)
    values = simulation.drawn(rng, 400, simulation.SPREADS[spread](8), 3)
    alarms = simulation.rate(values, simulation.with_baseline(8), "moderated") * 400
    assert alarms <= stats.binom.ppf(0.999, 400, 0.07)


def test_a_pooled_variance_is_seen_to_fail(simulation: ModuleType) -> None:
    values = simulation.drawn(np.random.default_rng(8), 400, simulation.SPREADS["baseline x4"](8), 3)
    assert simulation.rate(values, simulation.with_baseline(8), "dunnett") * 400 > stats.binom.ppf(0.999, 400, 0.07)
