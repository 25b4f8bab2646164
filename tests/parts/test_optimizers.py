"""Lion against its formula written out in numpy, and RMSprop against its own, over several steps and groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ablate.parts.declare import Optimizer
from ablate.parts.found import parts
from ablate.study.recipes.normalise import normalise
from ablate.study.recipes.recipe import fields

STEPS = 6


def made(name: str, groups: list[dict[str, Any]], **settings: Any) -> torch.optim.Optimizer:
    optimizer = parts(Optimizer)[name].make(
        groups, {f"optimizer.{key}": value for key, value in settings.items()}, None
    )
    assert isinstance(optimizer, torch.optim.Optimizer)
    return optimizer


def two_groups() -> list[dict[str, Any]]:
    first = [torch.tensor([[1.0, -2.0], [0.5, 3.0]]), torch.tensor([0.25, -0.75])]
    second = [torch.tensor([2.0, 0.0, -1.0])]
    return [
        {"params": [tensor.double().requires_grad_() for tensor in tensors], "lr": rate, "weight_decay": decay}
        for tensors, rate, decay in ((first, 0.1, 0.5), (second, 0.01, 0.0))
    ]


def gradients(step: int, weight: torch.Tensor) -> torch.Tensor:
    """Changing signs and sizes, so that the running mean disagrees with the gradient now and then."""
    phase = torch.arange(weight.numel(), dtype=torch.float64).reshape(weight.shape)
    return torch.sin(2.3 * step + phase) * (1 + phase)


def trained(optimizer: torch.optim.Optimizer, first: int = 0, last: int = STEPS) -> list[np.ndarray]:
    """Weights after the steps, with a rate that the loop halves half-way."""
    for step in range(first, last):
        for group in optimizer.param_groups:
            group.setdefault("start", group["lr"])
            group["lr"] = group["start"] * (1.0 if step < STEPS // 2 else 0.5)
            for weight in group["params"]:
                weight.grad = gradients(step, weight)
        optimizer.step()
    return [weight.detach().numpy().copy() for group in optimizer.param_groups for weight in group["params"]]


def by_hand(move: Any) -> list[np.ndarray]:
    """The same with `move(w, g, rate, decay, memory) -> w` on numpy arrays."""
    found = []
    for group in two_groups():
        for weight in group["params"]:
            w, memory = weight.detach().numpy().copy(), {}
            for step in range(STEPS):
                rate = group["lr"] * (1.0 if step < STEPS // 2 else 0.5)
                w = move(w, gradients(step, weight).numpy(), rate, group["weight_decay"], memory)
            found.append(w)
    return found


def lion(w: np.ndarray, g: np.ndarray, rate: float, decay: float, memory: dict[str, Any]) -> np.ndarray:
    m = memory.get("m", np.zeros_like(w))
    memory["m"] = 0.99 * m + 0.01 * g
    return np.asarray(w - rate * (np.sign(0.9 * m + 0.1 * g) + decay * w))


def rmsprop(w: np.ndarray, g: np.ndarray, rate: float, decay: float, memory: dict[str, Any]) -> np.ndarray:
    g = g + decay * w
    memory["v"] = 0.9 * memory.get("v", np.zeros_like(w)) + 0.1 * g * g
    memory["b"] = 0.9 * memory.get("b", np.zeros_like(w)) + g / (np.sqrt(memory["v"]) + 0.0316)
    return np.asarray(w - rate * memory["b"])


@pytest.mark.parametrize(("name", "formula", "settings"), [("lion", lion, {}), ("rmsprop", rmsprop, {"momentum": 0.9})])
def test_steps_are_those_of_the_formula(name: str, formula: Any, settings: dict[str, Any]) -> None:
    optimizer = made(name, two_groups(), **settings)
    for found, expected in zip(trained(optimizer), by_hand(formula), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "settings"), [("lion", {}), ("rmsprop", {"momentum": 0.9})])
def test_state_survives_a_checkpoint(name: str, settings: dict[str, Any], tmp_path: Any) -> None:
    whole = trained(made(name, two_groups(), **settings))
    first = made(name, two_groups(), **settings)
    half = trained(first, last=STEPS // 2)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    groups = two_groups()
    for weight, value in zip((one for group in groups for one in group["params"]), half, strict=True):
        weight.data.copy_(torch.from_numpy(value))
    second = made(name, groups, **settings)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for found, expected in zip(trained(second, first=STEPS // 2), whole, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.libraries
def test_lion_is_timms() -> None:
    lion_of_timm = pytest.importorskip("timm.optim.lion").Lion
    theirs = lion_of_timm(two_groups(), lr=0.1, betas=(0.9, 0.99))
    for found, expected in zip(trained(made("lion", two_groups())), trained(theirs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_lion_leaves_a_weight_without_gradient_alone() -> None:
    weight = torch.ones(3, requires_grad=True)
    made("lion", [{"params": [weight], "lr": 0.1, "weight_decay": 0.5}]).step()
    assert weight.tolist() == [1.0, 1.0, 1.0]


def test_lion_calls_its_closure_with_gradients_on() -> None:
    weight = torch.tensor([2.0], requires_grad=True)
    optimizer = made("lion", [{"params": [weight], "lr": 0.5, "weight_decay": 0.0}])

    def loss() -> torch.Tensor:
        value = (weight**2).sum()
        value.backward()
        return value.detach()

    assert float(optimizer.step(loss)) == 4.0
    assert weight.tolist() == [1.5]


def test_settings_of_other_optimizers_have_no_effect() -> None:
    flat = {path: field.default for path, field in fields().items()}
    found, reasons = normalise(flat | {"optimizer.name": "lion", "optimizer.momentum": 0.5, "optimizer.nesterov": True})
    assert (found["optimizer.momentum"], found["optimizer.nesterov"]) == (0.9, False)
    assert reasons["optimizer.momentum"] == "lion has no momentum setting"
    found, reasons = normalise(flat | {"optimizer.name": "rmsprop", "optimizer.momentum": 0.5})
    assert (found["optimizer.momentum"], reasons) == (0.5, {})
