"""Optimizers, schedules, losses and CutMix from a study file: planned, trained, and mistakes told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ablate.store.store import Store
from ablate.study.loader import Choices, load

METHODS = """
study: methods
about: Does each method train from a study file?
recipe:
  data: {name: digits, limit: 80, split: {train: 0.5, test: 0.5}}
  model: {arch: three-layer-cnn}
  optimizer: {lr: 0.02}
  batch_size: 20
  epochs: 2
factors:
  loss: {path: loss.name, levels: [cross_entropy, binary_cross_entropy, focal]}
  optimizer:
    levels:
      sgd: {optimizer.name: sgd}
      lion: {optimizer.name: lion, optimizer.lr: 0.001}
      rmsprop: {optimizer.name: rmsprop, optimizer.lr: 0.001}
  schedule: {path: schedule.name, levels: [constant, linear, polynomial, one_cycle, step]}
  mixing: {subsets: {m: {mixup.alpha: 0.2}, x: {cutmix.alpha: 1.0}}}
  gamma: {path: loss.gamma, levels: {two: 2.0, one: 1.0}}
  power: {path: schedule.power, levels: {straight: 1.0, bent: 2.0}}
  falls: {path: schedule.step_epochs, levels: {each: 30, listed: [1, 3]}}
design: one-at-a-time
include:
  - {mixing: m+x}
  - {loss: focal, gamma: one}
  - {schedule: polynomial, power: bent}
  - {schedule: step, falls: listed}
  - {loss: binary_cross_entropy, mixing: m+x}
seeds: 1
baseline: {loss: cross_entropy, optimizer: sgd, schedule: constant, mixing: none, gamma: two, power: straight, falls: each}
tables:
  all: {rows: [loss, optimizer, schedule, mixing, gamma, power, falls], columns: [top1, loss]}
"""

WITHOUT_EFFECT = {
    "gamma": "the cross_entropy loss has no gamma setting",
    "power": "the constant schedule has no power setting",
    "falls": "the constant schedule has no step_epochs setting",
}
"""Factors whose level alone changes nothing in the baseline."""


@pytest.fixture
def methods(tmp_path: Path) -> Path:
    path = tmp_path / "methods.yaml"
    path.write_text(METHODS)
    return path


@pytest.mark.slow
def test_each_method_trains_and_none_trains_as_another(call, methods: Path) -> None:
    call("grid", "run", methods, "--executor", "inline", "--threads", "1")
    study = load(methods, Choices())
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        results = store.results([run.run_id for run in study.runs])
    assert {result.state for result in results.values()} == {"done"}
    names = {arm.arm_id: arm.name for arm in study.arms if arm.merged_into is None}
    losses = {names[result.run.arm_id]: result.metrics["loss"] for result in results.values()}
    assert len(losses) == len(results) == 16
    # until it falls, a step is a constant rate, and 30 epochs are not reached here
    same = [name for name in losses if losses[name] == losses["cross_entropy/sgd/constant/none/two/straight/each"]]
    assert sorted(same) == [
        "cross_entropy/sgd/constant/none/two/straight/each",
        "cross_entropy/sgd/step/none/two/straight/each",
    ]
    straight = "cross_entropy/sgd/{}/none/two/straight/each"
    assert losses.pop(straight.format("polynomial")) == losses[straight.format("linear")]  # power 1
    assert len(set(losses.values())) == 14


def test_settings_without_effect_are_merged_with_the_reason(methods: Path) -> None:
    study = load(methods, Choices())
    merged = {arm.name: arm.why for arm in study.arms if arm.merged_into}
    assert sorted(merged.values()) == sorted(WITHOUT_EFFECT.values())
    baseline = next(arm for arm in study.arms if arm.name == "cross_entropy/sgd/constant/none/two/straight/each")
    assert set(baseline.recipe["loss"]) == {"label_smoothing", "class_weights"}
    assert "power" not in baseline.recipe["schedule"]
    assert "cutmix" not in baseline.recipe


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("loss: {name: hinge}", "loss.name must be one of binary_cross_entropy, cross_entropy, focal, not 'hinge'"),
        ("loss: {name: focal, gamma: -1}", "loss.gamma must be at least 0, not -1"),
        ("optimizer: {name: lamb}", "optimizer.name must be one of adam, adamw, lion, rmsprop, sgd, not 'lamb'"),
        ("schedule: {name: onecycle}", "Did you mean 'one_cycle'?"),
        ("schedule: {name: polynomial, power: 0}", "schedule.power must be above 0, not 0"),
        ("schedule: {name: step, step_epochs: [3, 1]}", "or an ascending list of them, as in [100, 150]"),
        ("schedule: {name: step, step_epochs: []}", "schedule.step_epochs must be a number of epochs from 1"),
        ("cutmix: {alpha: -0.1}", "cutmix.alpha must be at least 0, not -0.1"),
    ],
)
def test_a_bad_value_is_told_what_is_allowed(call, tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(f"study: bad\nabout: x\nrecipe:\n  {line}\n")
    assert told in call("grid", "check", path, code=3).err
