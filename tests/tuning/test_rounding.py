"""Numbers for a command: six significant digits, by every sampler, and the same ones when an asker is built again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from ablate.store.values import StoredTrial
from ablate.study.tuning.tuning import load_tuning
from ablate.study.values.trials import Tuning
from ablate.tuning.asker import Asker
from ablate.tuning.samplers import rounded

STUDY = """
study: own
recipe: {lr: 0.5, decay: 0, width: 3}
trainer: {python: "own:fit", metrics: {val_bpc: {better: lower}}}
seeds: 1
"""


@pytest.fixture
def tuning(tmp_path: Path, request: pytest.FixtureRequest) -> Tuning:
    (tmp_path / "own.yaml").write_text(STUDY)
    (tmp_path / "tune.yaml").write_text(
        "study: own.yaml\nspace: {lr: {float: [1e-4, 1], log: true}, decay: {float: [0, 0.1]}, width: {int: [1, 2000000]}}\n"
        f"metric: val_bpc\nsampler: {{name: {request.param}, seed: 3}}\nbudget: {{trials: 99}}\n"
    )
    return load_tuning(tmp_path / "tune.yaml")


@pytest.mark.parametrize("tuning", ["tpe", "random", "cmaes"], indirect=True)
def test_every_sampler_is_rounded_and_goes_on_from_what_is_stored(tuning: Tuning) -> None:
    arm = tuning.arms[0]
    asker = Asker(tuning, arm, "key", 0)
    trials: list[StoredTrial] = []
    for number in range(13):
        asked = asker.ask()
        if number in (1, 5, 12):
            again = Asker(tuning, arm, "key", 0)
            again.recall(trials, lambda trial: {})
            assert again.ask() == asked
        params = asked[1]
        assert all(params[path] == float(f"{params[path]:.6g}") for path in ("lr", "decay"))
        value = params["lr"] + params["decay"] + params["width"] / 1e6
        asker.tell(number, "complete", value)
        asked_for = StoredTrial("key", number, "own", None, arm.name, params, asker.distributions, (), seen=number)
        trials.append(replace(asked_for, state="complete", told=number, value=value))
    assert len({trial.params["lr"] for trial in trials}) == 13
    assert max(trial.params["width"] for trial in trials) > 1_000_000  # whole numbers stay whole


@pytest.mark.parametrize(
    ("value", "distribution", "expected"),
    [
        (0.0123456789, FloatDistribution(1e-4, 1, log=True), 0.0123457),
        (123456.789, FloatDistribution(0, 1e6), 123457.0),
        (0.12345645, FloatDistribution(0.1234564, 1), 0.1234564),
        (0.99999999, FloatDistribution(0, 0.99999998), 0.99999998),
        (0.1 + 0.2, FloatDistribution(0, 1, step=0.1), 0.3),
        (1000.0003, FloatDistribution(1000, 1001, step=0.0001), 1000.0003),
        (1234567, IntDistribution(1, 2_000_000), 1234567),
        ("a", CategoricalDistribution(("a", "b")), "a"),
    ],
)
def test_what_is_rounded(value: object, distribution: object, expected: object) -> None:
    assert rounded(value, distribution) == expected
