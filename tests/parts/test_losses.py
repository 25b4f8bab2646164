"""Binary cross-entropy and focal loss by hand, against torch and timm, with smoothing, mixing and class weights."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from ablate.errors import StudyError
from ablate.parts.declare import Loss
from ablate.parts.found import parts
from ablate.study.recipes.normalise import normalise
from ablate.study.recipes.recipe import fields, flatten, parse_recipe


def terms(
    name: str, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None = None, **given: Any
) -> torch.Tensor:
    part = parts(Loss)[name]
    settings = {path: field.default for path, field in part.fields.items()}
    found = part.terms(logits, targets, weights, settings | {f"loss.{key}": value for key, value in given.items()})
    assert isinstance(found, torch.Tensor)
    assert found.shape == logits.shape
    return found


def example(seed: int = 0, size: int = 9, classes: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, labels, and soft targets as smoothing and mixing leave them."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(size, classes, generator=generator)
    labels = torch.randint(0, classes, (size,), generator=generator)
    smooth = F.one_hot(labels, classes) * 0.9 + 0.1 / classes
    return logits, labels, torch.lerp(smooth.flip(0), smooth, 0.3)


def test_binary_cross_entropy_by_hand() -> None:
    """Sigmoids 0.8 and 0.5, targets 1 and 0: (-log 0.8 - log 0.5) / 2."""
    logits = torch.tensor([[math.log(4.0), 0.0]])
    assert float(terms("binary_cross_entropy", logits, torch.tensor([[1.0, 0.0]])).sum()) == pytest.approx(
        (0.223144 + 0.693147) / 2, abs=1e-6
    )
    mixed = torch.tensor([[0.75, 0.25]])
    expected = -(0.75 * math.log(0.8) + 0.25 * math.log(0.2) + 0.25 * math.log(0.5) + 0.75 * math.log(0.5)) / 2
    assert float(terms("binary_cross_entropy", logits, mixed).sum()) == pytest.approx(expected, abs=1e-6)
    whole = -(math.log(0.8) + math.log(0.5)) / 2
    both = terms("binary_cross_entropy", logits, mixed, target_threshold=0.2)
    assert float(both.sum()) == pytest.approx(whole, abs=1e-6)


@pytest.mark.libraries
@pytest.mark.parametrize("threshold", [None, 0.2])
def test_binary_cross_entropy_is_timms(threshold: float | None) -> None:
    timm = pytest.importorskip("timm.loss")
    logits, labels, targets = example()
    theirs = timm.BinaryCrossEntropy(smoothing=0.1, target_threshold=threshold)
    ours = terms("binary_cross_entropy", logits, targets, target_threshold=threshold).sum() / len(logits)
    assert float(ours) == pytest.approx(float(theirs(logits, targets)), rel=1e-6)
    smooth = F.one_hot(labels, 5) * 0.9 + 0.1 / 5
    ours = terms("binary_cross_entropy", logits, smooth, target_threshold=threshold).sum() / len(logits)
    assert float(ours) == pytest.approx(float(theirs(logits, labels)), rel=1e-6)


def test_weights_weigh_the_terms_of_a_class() -> None:
    logits, _, targets = example()
    weights = torch.tensor([1.0, 2.0, 0.0, 0.5, 3.0])
    for name in ("binary_cross_entropy", "focal", "cross_entropy"):
        assert torch.allclose(terms(name, logits, targets, weights), terms(name, logits, targets) * weights), name


def test_focal_by_hand() -> None:
    """Probabilities 0.8 and 0.2: 0.2 ** 2 * -log 0.8 for the first class, 0.8 ** 2 * -log 0.2 for the second."""
    logits = torch.tensor([[0.8, 0.2]]).log()
    right, wrong = 0.04 * 0.223144, 0.64 * 1.609438
    for targets, expected in (([1.0, 0.0], right), ([0.0, 1.0], wrong), ([0.75, 0.25], 0.75 * right + 0.25 * wrong)):
        assert float(terms("focal", logits, torch.tensor([targets])).sum()) == pytest.approx(expected, abs=1e-6)
    assert float(terms("focal", logits, torch.tensor([[1.0, 0.0]]), gamma=0.5).sum()) == pytest.approx(
        math.sqrt(0.2) * 0.223144, abs=1e-6
    )


def test_focal_is_torchvisions_for_two_classes() -> None:
    """A softmax over (x, 0) is the sigmoid of x."""
    ops = pytest.importorskip("torchvision.ops")
    x = torch.linspace(-4, 4, 9)
    labels = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 1])
    theirs = ops.sigmoid_focal_loss(x, labels.float(), alpha=-1, gamma=2.0, reduction="none")
    ours = terms("focal", torch.stack([torch.zeros(9), x], dim=1), F.one_hot(labels, 2).float()).sum(dim=1)
    assert torch.allclose(ours, theirs, rtol=1e-5)


def test_focal_with_gamma_0_is_the_cross_entropy() -> None:
    logits, labels, targets = example()
    assert torch.equal(terms("focal", logits, targets, gamma=0.0), terms("cross_entropy", logits, targets))
    of_labels = terms("focal", logits, F.one_hot(labels, 5).float(), gamma=0.0).sum() / len(labels)
    assert float(of_labels) == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_focal_has_a_slope_where_an_image_is_surely_right_or_wrong(gamma: float) -> None:
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    terms("focal", logits, torch.tensor([[1.0, 0.0], [1.0, 0.0]]), gamma=gamma).sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1].tolist() == pytest.approx([-1.0, 1.0])


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_slope_of_focal_is_that_of_its_values(gamma: float) -> None:
    logits, _, targets = example(size=3)
    assert torch.autograd.gradcheck(
        lambda given: terms("focal", given, targets.double(), gamma=gamma), logits.double().requires_grad_()
    )


@pytest.mark.parametrize(
    ("leaf", "value", "allowed"),
    [
        ("gamma", -1.0, "greater than or equal to 0"),
        ("target_threshold", 1.0, "less than 1"),
        ("name", "hinge", "'binary_cross_entropy', 'cross_entropy' or 'focal'"),
    ],
)
def test_a_bad_value_is_told_what_is_allowed(leaf: str, value: Any, allowed: str) -> None:
    with pytest.raises(StudyError, match=allowed):
        parse_recipe({"loss": {leaf: value}})


def test_settings_of_other_losses_have_no_effect() -> None:
    flat = {path: field.default for path, field in fields().items()}
    given = {"loss": {"gamma": 1.0, "target_threshold": 0.2}}
    found, reasons = normalise(flat | flatten(given))
    assert (found["loss.gamma"], found["loss.target_threshold"]) == (2.0, None)
    assert reasons["loss.gamma"] == "the cross_entropy loss has no gamma setting"
    found, reasons = normalise(flat | flatten(given) | {"loss.name": "focal"})
    assert found["loss.gamma"] == 1.0
    assert set(reasons) == {"loss.target_threshold"}
