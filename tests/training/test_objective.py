"""Smoothing, mixup, class weights and schedules, by hand-worked values."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_texts import raising
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ablate.errors import BadData, StudyError
from ablate.parts.hooks import Mix, Place
from ablate.parts.refinements.label_smoothing import LabelSmoothing
from ablate.parts.refinements.mixup import draw_mix, mix_images
from ablate.study.recipes.recipe import Loss, Optimizer, Recipe, parse_recipe
from ablate.training.losses import Objective, class_weights
from ablate.training.optimizer import build_optimizer, parameter_groups, set_rates
from ablate.training.schedule import learning_rate

CPU = torch.device("cpu")


def objective(classes: int, epsilon: float = 0.0, weights: torch.Tensor | None = None) -> Objective:
    return Objective(classes, weights=weights, labels=(LabelSmoothing(epsilon),) if epsilon else ())


def with_optimizer(**settings: Any) -> Recipe:
    return parse_recipe({"optimizer": settings})


def test_smoothing_spreads_epsilon_over_all_classes_once() -> None:
    smooth = LabelSmoothing(0.2).targets(F.one_hot(torch.tensor([2, 0]), 4).float())
    assert smooth == pytest.approx(torch.tensor([[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05]]))


def test_mixup_by_hand() -> None:
    images = torch.tensor([0.0, 10.0, 20.0]).view(3, 1, 1, 1)
    mix = Mix(0.7, torch.tensor([2, 0, 1]))
    assert mix_images(images, mix).flatten().tolist() == pytest.approx([6.0, 7.0, 17.0])
    # probabilities e^0, e^-1, e^-2 (but for a common factor): the loss is lam * k + (1 - lam) * k' + log sum for labels k, k'
    logits = torch.tensor([[0.0, -1.0, -2.0]]).expand(3, 3)
    log_sum = math.log(1 + math.exp(-1) + math.exp(-2))
    worked = (0.7 * (0 + 1 + 2) + 0.3 * (2 + 0 + 1)) / 3 + log_sum
    assert float(objective(3)(logits, torch.tensor([0, 1, 2]), mix)) == pytest.approx(worked, abs=1e-6)


def test_mixup_draws_by_seed_epoch_and_step() -> None:
    mix = draw_mix(0.2, 50, Place(3, 1, 2))
    again = draw_mix(0.2, 50, Place(3, 1, 2))
    assert mix.lam == again.lam
    assert torch.equal(mix.partner, again.partner)
    assert sorted(mix.partner.tolist()) == list(range(50))
    others = [(4, 1, 2), (3, 2, 2), (3, 1, 3)]
    assert all(draw_mix(0.2, 50, Place(s, e, t)).lam != mix.lam for s, e, t in others)


def test_lam_follows_its_beta_distribution() -> None:
    """Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1)): 0.1786 for a = 0.2."""
    lams = np.array([draw_mix(0.2, 1, Place(0, 0, step)).lam for step in range(2000)])
    assert lams.mean() == pytest.approx(0.5, abs=0.03)
    assert lams.var() == pytest.approx(1 / 5.6, abs=0.01)


def test_the_mixed_loss_by_hand() -> None:
    """Two images, two classes, probabilities 0.8 and 0.2 for both: -log 0.8 = 0.22314, -log 0.2 = 1.60944."""
    logits = torch.tensor([[0.8, 0.2], [0.8, 0.2]]).log()
    labels = torch.tensor([0, 1])
    mix = Mix(0.75, torch.tensor([1, 0]))
    first = 0.75 * 0.22314 + 0.25 * 1.60944
    second = 0.75 * 1.60944 + 0.25 * 0.22314
    assert float(objective(2)(logits, labels, mix)) == pytest.approx((first + second) / 2, abs=1e-5)
    assert float(objective(2)(logits, labels)) == pytest.approx((0.22314 + 1.60944) / 2, abs=1e-5)
    smoothed = 0.9 * 0.22314 + 0.1 * 1.60944 + 0.1 * 0.22314 + 0.9 * 1.60944
    assert float(objective(2, 0.2)(logits, labels)) == pytest.approx(smoothed / 2, abs=1e-5)
    weighted = (3 * 0.22314 + 1 * 1.60944) / (3 + 1)
    assert float(objective(2, 0.0, torch.tensor([3.0, 1.0]))(logits, labels)) == pytest.approx(weighted, abs=1e-5)


@given(
    seed=st.integers(0, 10_000),
    epsilon=st.sampled_from([0.0, 0.1, 0.4]),
    lam=st.sampled_from([0.0, 0.3, 1.0]),
    weighted=st.booleans(),
)
def test_the_objective_is_lam_times_pytorchs_loss_of_each_label(
    seed: int, epsilon: float, lam: float, weighted: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(9, 5, generator=generator)
    labels = torch.randint(0, 5, (9,), generator=generator)
    partner = torch.randperm(9, generator=generator)
    weights = torch.rand(5, generator=generator) + 0.1 if weighted else None
    ours = objective(5, epsilon, weights)(logits, labels, Mix(lam, partner))
    theirs = lam * F.cross_entropy(logits, labels, weights, label_smoothing=epsilon)
    theirs += (1 - lam) * F.cross_entropy(logits, labels[partner], weights, label_smoothing=epsilon)
    assert torch.allclose(ours, theirs, rtol=1e-5)
    plain = F.cross_entropy(logits, labels, weights, label_smoothing=epsilon)
    assert torch.allclose(objective(5, epsilon, weights)(logits, labels), plain, rtol=1e-5)


def test_class_weights_do_not_rescale_mixup() -> None:
    """PyTorch's own loss on probabilities divides by N, so equal weights of 10 make it 10 times as large; ours not."""
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    labels, mix = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1]), Mix(0.5, torch.tensor([1, 2, 3, 4, 5, 6, 7, 0]))
    ones = objective(3)(logits, labels, mix)
    tens = objective(3, 0.0, torch.full((3,), 10.0))(logits, labels, mix)
    assert float(tens) == pytest.approx(float(ones), rel=1e-5)
    hot = F.one_hot(labels, 3).float()
    theirs = F.cross_entropy(logits, torch.lerp(hot[mix.partner], hot, mix.lam), torch.full((3,), 10.0))
    assert float(theirs) == pytest.approx(10 * float(ones), rel=1e-5)


def test_a_batch_of_weightless_classes_teaches_nothing() -> None:
    loss = objective(2, 0.0, torch.tensor([0.0, 1.0]))(torch.zeros(2, 2), torch.tensor([0, 0]))
    assert float(loss) == 0.0


def test_the_loss_is_taken_in_fp32() -> None:
    assert objective(2, 0.1)(torch.zeros(2, 2, dtype=torch.bfloat16), torch.tensor([0, 1])).dtype == torch.float32


def test_balanced_weights_by_hand() -> None:
    weights = class_weights(Loss(class_weights="balanced"), torch.tensor([0, 0, 0, 1]), ("a", "b"))
    assert weights is not None
    assert weights.tolist() == pytest.approx([4 / 6, 2.0])
    assert class_weights(Loss(), torch.tensor([0]), ("a",)) is None
    listed = class_weights(Loss(class_weights=[1, 3]), torch.tensor([0]), ("a", "b"))
    assert listed is not None
    assert listed.tolist() == [1.0, 3.0]
    with raising(StudyError):
        class_weights(Loss(class_weights=[1, 3]), torch.tensor([0]), ("a", "b", "c"))
    with raising(BadData):
        class_weights(Loss(class_weights="balanced"), torch.tensor([0, 2]), ("a", "b", "c"))


def scales(epochs: int, steps: int, **schedule: Any) -> list[float]:
    rate = learning_rate(parse_recipe({"schedule": schedule, "epochs": epochs}), steps_per_epoch=steps)
    return [rate.scale(step) for step in range(epochs * steps + 2)]


def test_schedules_by_hand() -> None:
    assert scales(2, 2) == [1.0] * 6
    half = math.sqrt(0.5) / 2
    assert scales(2, 2, name="cosine") == pytest.approx([1.0, 0.5 + half, 0.5, 0.5 - half, 0.0, 0.0])
    assert scales(4, 1, name="step", step_epochs=2, gamma=0.1) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert scales(2, 2, name="step", step_epochs=1, gamma=0.5) == pytest.approx([1, 1, 0.5, 0.5, 0.25, 0.25])


def test_warm_up_by_hand() -> None:
    assert scales(2, 4, warmup_epochs=1)[:6] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])
    warmed = scales(3, 4, name="cosine", warmup_epochs=1)
    assert warmed[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert warmed[8] == pytest.approx(0.5)
    assert warmed[12] == pytest.approx(0.0)
    assert scales(1, 4, name="cosine", warmup_epochs=1) == pytest.approx([0.25, 0.5, 0.75, 1.0, 0.0, 0.0])
    assert scales(2, 3, warmup_epochs=0.5)[:3] == pytest.approx([0.5, 1.0, 1.0])
    with raising(StudyError):
        scales(2, 4, warmup_epochs=3)


@given(
    epochs=st.integers(1, 20),
    steps=st.integers(1, 30),
    warmup=st.floats(0, 1),
    name=st.sampled_from(["cosine", "step"]),
)
def test_a_rate_never_rises_after_the_warm_up(epochs: int, steps: int, warmup: float, name: str) -> None:
    rate = learning_rate(
        parse_recipe({"schedule": {"name": name, "warmup_epochs": warmup}, "epochs": epochs}), steps_per_epoch=steps
    )
    after = [rate.scale(step) for step in range(rate.warmup_steps, 2 * epochs * steps)]
    assert all(0 <= later <= earlier <= 1 for earlier, later in pairwise(after))
    if name == "cosine" and rate.warmup_steps < rate.total_steps:
        assert rate.scale(rate.total_steps) == pytest.approx(0, abs=1e-12)


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def test_no_decay_on_norm_and_bias(network: nn.Module) -> None:
    recipe = Optimizer(weight_decay=0.1, no_decay_on_norm_and_bias=True)
    decayed, free = parameter_groups(network, recipe)
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert [p.ndim for p in decayed["params"]] == [4, 2]
    assert [p.ndim for p in free["params"]] == [1, 1, 1, 1]
    (single,) = parameter_groups(network, Optimizer(weight_decay=0.1))
    assert len(single["params"]) == 6


def test_groups_by_glob(network: nn.Module) -> None:
    head, rest = sorted(
        parameter_groups(network, Optimizer(lr=0.1, groups={"3.*": 0.01})), key=lambda group: group["lr"]
    )
    assert (head["lr"], len(head["params"]), rest["lr"], len(rest["params"])) == (0.01, 2, 0.1, 4)
    with raising(StudyError):
        parameter_groups(network, Optimizer(groups={"layer1.*": 0.1}))
    with raising(StudyError):
        parameter_groups(network, Optimizer(groups={"3.*": 0.1, "*.bias": 0.2}))
    network[0].requires_grad_(False)
    with raising(StudyError):
        parameter_groups(network, Optimizer(groups={"0.*": 0.1}))
    assert sum(len(group["params"]) for group in parameter_groups(network, Optimizer())) == 4
    network.requires_grad_(False)
    with raising(StudyError):
        parameter_groups(network, Optimizer())


def test_rates_scale_each_group_from_its_own(network: nn.Module) -> None:
    optimizer = build_optimizer(network, with_optimizer(lr=0.1, groups={"3.*": 0.01}), CPU)
    set_rates(optimizer, 0.5)
    set_rates(optimizer, 0.25)
    assert sorted(group["lr"] for group in optimizer.param_groups) == pytest.approx([0.0025, 0.025])


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"nesterov": True}, torch.optim.SGD),
        ({"name": "adam", "weight_decay": 0.1}, torch.optim.Adam),
        ({"name": "adamw", "weight_decay": 0.1}, torch.optim.AdamW),
    ],
)
def test_the_optimizers(settings: dict[str, Any], kind: type, network: nn.Module) -> None:
    optimizer = build_optimizer(network, with_optimizer(**settings), CPU)
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["weight_decay"] == settings.get("weight_decay", 0.0)
    assert optimizer.param_groups[0].get("nesterov", False) == settings.get("nesterov", False)


def test_nesterov_needs_momentum(network: nn.Module) -> None:
    with raising(StudyError):
        build_optimizer(network, with_optimizer(nesterov=True, momentum=0.0), CPU)
