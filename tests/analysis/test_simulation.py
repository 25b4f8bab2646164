"""The documented error rates come from whole arrays; here single studies of them are held to the tables themselves."""

import importlib.util
import itertools
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ablate.analysis import build_table
from ablate.analysis.compare import compare_with_baseline
from ablate.analysis.values import Sample

TESTS = ("moderated", "dunnett", "welch-holm")


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "variance_simulation.py"
    spec = importlib.util.spec_from_file_location("variance_simulation", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("test", TESTS)
def test_rows(simulation: ModuleType, test: str) -> None:
    for n, (name, sds) in itertools.product((3, 5), simulation.SPREADS.items()):
        values = simulation.drawn(np.random.default_rng(n), 4, sds(8), n)
        estimate, half = simulation.half_widths(values, simulation.with_baseline(8), test)
        for study, deltas, halves in zip(values, estimate, half, strict=True):
            samples = [Sample(str(i), str(i), tuple(row), n) for i, row in enumerate(study.tolist())]
            found = compare_with_baseline(samples[0], samples[1:], test)
            for key, delta, reach in zip(range(1, 8), deltas, halves, strict=True):
                assert found[str(key)].ci95 == pytest.approx((delta - reach, delta + reach)), name


@pytest.mark.parametrize("test", ["moderated", "welch-holm"])
def test_effects(simulation: ModuleType, maker: Any, factor: Any, test: str) -> None:
    arms = ["/".join(levels) for levels in itertools.product("01", repeat=3)]
    values = simulation.drawn(np.random.default_rng(1), 3, simulation.SPREADS["half x4"](8), 3)
    estimate, half = simulation.half_widths(values, simulation.two_level_effects(3), test)
    for study, deltas, halves in zip(values, estimate, half, strict=True):
        made = maker([factor(name, "0", "1") for name in "abc"], dict(zip(arms, study.tolist(), strict=True)))
        table = build_table(made.study, made.spec(kind="effect", factors=(), test=test), made.results)
        for row, delta, reach in zip(table.rows, deltas, halves, strict=True):
            assert row.cells["top1"].delta_ci95 == pytest.approx((delta - reach, delta + reach))


@pytest.mark.parametrize("test", TESTS)
def test_claims(simulation: ModuleType, maker: Any, factor: Any, claim: Any, test: str) -> None:
    from scipy import stats

    from ablate.analysis.claims import p_text

    names = [f"a{i}" for i in range(8)]
    values = simulation.drawn(np.random.default_rng(2), 3, simulation.SPREADS["half x4"](8), 3)
    weights = np.zeros((1, 8))
    weights[0, [6, 1]] = 1.0, -1.0
    estimate, error, df = simulation.contrasts(values, weights, test)
    said = claim(">", ("a6", {"t": "a6"}), ("a1", {"t": "a1"}))
    for study, delta, sd, free in zip(values, estimate[:, 0], error[:, 0], df[:, 0], strict=True):
        made = maker([factor("t", *names)], dict(zip(names, study.tolist(), strict=True)), baseline={"t": "a0"})
        (found,) = build_table(made.study, made.spec(claims=(said,), test=test), made.results).claims
        assert found.why == f"a6 - a1 = {delta:+.3g} ({p_text(float(2 * stats.t.sf(abs(delta) / sd, free)))})"
