"""Each schedule equals torch's scheduler of that name at every step, and has hand-worked values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from ablate.errors import StudyError
from ablate.parts.declare import At, Schedule
from ablate.parts.found import fields_of, parts
from ablate.study.recipes.normalise import normalise
from ablate.study.recipes.recipe import fields, flatten, parse_recipe

EPOCHS, STEPS = 7, 11
TOTAL = EPOCHS * STEPS
RATE = 0.3


def ours(name: str, *, total: int = TOTAL, per_epoch: int = STEPS, warmup: int = 0, **given: Any) -> list[float]:
    settings = {path: declared.default for path, declared in fields_of(Schedule).items()}
    settings |= {f"schedule.{key}": value for key, value in given.items()}
    scale = parts(Schedule)[name].scale
    rates = []
    for step in range(warmup, total):
        at = At(step, (step - warmup) / (total - warmup), per_epoch, warmup, total)
        rates.append(RATE * scale(at, settings))
    return rates


def torchs(make: Callable[[torch.optim.Optimizer], Any], *, total: int = TOTAL) -> list[float]:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=RATE)
    scheduler = make(optimizer)
    rates = []
    for step in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < total - 1:
            scheduler.step()
    return rates


def test_linear_is_torchs() -> None:
    expected = torchs(lambda o: lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=TOTAL))
    assert ours("linear") == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert ours("linear", total=4) == pytest.approx([0.3, 0.225, 0.15, 0.075])


@pytest.mark.parametrize("power", [0.5, 0.9, 1.0, 2.0])
def test_polynomial_is_torchs(power: float) -> None:
    expected = torchs(lambda o: lr_scheduler.PolynomialLR(o, total_iters=TOTAL, power=power))
    assert ours("polynomial", power=power) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_polynomial_by_hand() -> None:
    assert ours("polynomial", total=4, power=2.0) == pytest.approx(
        [RATE * share for share in (1, 9 / 16, 1 / 4, 1 / 16)]
    )
    assert ours("polynomial") == ours("linear")


@pytest.mark.parametrize("total", [1, 2, 3, 4, 5, 10, 100, TOTAL])
def test_one_cycle_is_torchs(total: int) -> None:
    expected = torchs(
        lambda o: lr_scheduler.OneCycleLR(o, max_lr=RATE, total_steps=total, cycle_momentum=False), total=total
    )
    assert ours("one_cycle", total=total) == pytest.approx(expected, rel=1e-9)


def test_one_cycle_by_hand() -> None:
    """Of 20 steps the 6th (number 5) has the peak, and the last a 250000th of it."""
    rates = ours("one_cycle", total=20)
    assert rates[0] == pytest.approx(RATE / 25)
    assert rates[5] == max(rates) == pytest.approx(RATE)
    assert rates[-1] == pytest.approx(RATE / 250_000)
    past_the_end = At(step=25, done=1.0, steps_per_epoch=20, warmup_steps=0, total_steps=20)
    assert parts(Schedule)["one_cycle"].scale(past_the_end, {}) == pytest.approx(1 / 250_000)


@pytest.mark.parametrize("milestones", [[1], [2, 5], [3, 6, 9]])
def test_milestones_are_torchs(milestones: list[int]) -> None:
    in_steps = [epoch * STEPS for epoch in milestones]
    expected = torchs(lambda o: lr_scheduler.MultiStepLR(o, in_steps, gamma=0.2))
    assert ours("step", step_epochs=milestones, gamma=0.2) == pytest.approx(expected, rel=1e-9)


def test_a_number_is_its_multiples_as_milestones() -> None:
    assert ours("step", step_epochs=2) == ours("step", step_epochs=[2, 4, 6])


@pytest.mark.parametrize(
    ("path", "value", "allowed"),
    [
        ("schedule.step_epochs", [5, 2], "an ascending list"),
        ("schedule.step_epochs", [2, 2], "an ascending list"),
        ("schedule.step_epochs", [], "an ascending list"),
        ("schedule.step_epochs", [0, 2], "an ascending list"),
        ("schedule.step_epochs", 0, "a number of epochs from 1"),
        ("schedule.step_epochs", True, "a number of epochs from 1"),
        ("schedule.step_epochs", [1.5, 2], "an ascending list"),
        ("schedule.power", 0.0, "greater than 0"),
        ("schedule.name", "triangle", "'linear', 'one_cycle', 'polynomial'"),
    ],
)
def test_a_bad_value_is_told_what_is_allowed(path: str, value: Any, allowed: str) -> None:
    section, _, leaf = path.partition(".")
    with pytest.raises(StudyError, match=re.escape(allowed)):
        parse_recipe({section: {leaf: value}})


def normalised(**schedule: Any) -> tuple[dict[str, Any], dict[str, str]]:
    flat = {path: field.default for path, field in fields().items()}
    return normalise(flat | flatten({"schedule": schedule}))


def test_what_a_schedule_does_not_read_loses_its_value() -> None:
    flat, reasons = normalised(name="linear", power=2.0, step_epochs=[3, 6])
    assert (flat["schedule.power"], flat["schedule.step_epochs"]) == (1.0, 30)
    assert reasons["schedule.power"] == "the linear schedule has no power setting"
    flat, reasons = normalised(name="polynomial", power=2.0, warmup_epochs=1.0)
    assert (flat["schedule.power"], flat["schedule.warmup_epochs"], reasons) == (2.0, 1.0, {})


def test_one_cycle_has_its_own_warm_up() -> None:
    flat, reasons = normalised(name="one_cycle", warmup_epochs=1.0)
    assert flat["schedule.warmup_epochs"] == 0.0
    assert reasons == {"schedule.warmup_epochs": "the one_cycle schedule has a warm-up of its own"}
