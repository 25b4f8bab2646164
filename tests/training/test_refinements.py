"""Clipping, SAM, averaging, distillation and float16 in the loop, held to values worked by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from golden_texts import raising
from torch import nn
from trained import untimed, weights

from ablate.errors import Interrupted, StudyError
from ablate.parts.declare import Field, Optimizer, Refinement
from ablate.parts.found import parts, register, unregister
from ablate.parts.hooks import Hook
from ablate.parts.refinements.clip_norm import ClipNorm
from ablate.parts.refinements.distillation import Distillation, divergence
from ablate.parts.refinements.ema import MovingAverage
from ablate.parts.refinements.sam import SharpnessAware
from ablate.study.recipes.contradictions import contradictions
from ablate.study.recipes.recipe import fields
from ablate.training.loop import Fed, Loop
from ablate.training.trainer import fit


class Two(nn.Module):
    """Two weights, whose loss is w1^2 / 2 + 2 w2^2."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(values))

    def lose(self) -> None:
        self.zero_grad()
        (0.5 * self.weight[0] ** 2 + 2 * self.weight[1] ** 2).backward()


# Clipping -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "expected"), [(1.0, [0.6, 0.8]), (2.5, [1.5, 2.0]), (6.0, [3.0, 4.0])])
def test_clipping_by_hand(norm: float, expected: list[float]) -> None:
    """The gradient (3, 4) has norm 5."""
    network = nn.ParameterList([torch.zeros(1), torch.zeros(1), torch.zeros(1)])
    network[2].requires_grad_(False)
    network[0].grad, network[1].grad = torch.tensor([3.0]), torch.tensor([4.0])
    ClipNorm(norm, SimpleNamespace(network=network)).gradient(lambda: None)
    assert [float(network[0].grad), float(network[1].grad)] == pytest.approx(expected, rel=1e-6)


def test_clipping_comes_after_the_second_gradient_of_sam(new_run: Any, watched: Any) -> None:
    """With plain SGD at a rate of 1 a step is as long as the clipped gradient."""
    settings = {"optimizer__momentum": 0.0, "optimizer__lr": 1.0, "epochs": 1, "batch_size": 26}
    here = watched(keep="last")
    fit(new_run(optimizer__clip_norm=0.01, sam__rho=0.05, **settings), here.context)
    still = watched("still", keep="last")
    fit(new_run(**{**settings, "optimizer__lr": 1e-30}), still.context)
    moved = torch.cat([(weights(here)[name] - value).flatten() for name, value in weights(still).items()])
    assert float(moved.norm()) == pytest.approx(0.01, rel=1e-3)


# SAM ------------------------------------------------------------------------------------------------------------------


def test_sam_by_hand() -> None:
    """At (3, 1) the gradient is (3, 4), so e = 0.5 * (0.6, 0.8); at (3.3, 1.4) the gradient is (3.3, 5.6)."""
    network = Two(3.0, 1.0)
    network.lose()
    SharpnessAware(0.5, network).gradient(network.lose)
    assert network.weight.tolist() == [3.0, 1.0]
    assert network.weight.grad is not None
    assert network.weight.grad.tolist() == pytest.approx([3.3, 5.6])


def test_sam_stays_where_there_is_no_gradient() -> None:
    network = Two(0.0, 0.0)
    network.lose()
    SharpnessAware(0.5, network).gradient(network.lose)
    assert network.weight.tolist() == [0.0, 0.0]
    assert network.weight.grad is not None
    assert network.weight.grad.tolist() == [0.0, 0.0]


@pytest.mark.slow
def test_the_statistics_of_a_norm_move_once_a_step_under_sam(new_run: Any, watched: Any) -> None:
    """One step of all images: they are the same with SAM and without, for both first look at the first weights."""
    settings = {"model__arch": "resnet18", "model__small_stem": True, "epochs": 1, "batch_size": 26}
    one, other = watched("sam", keep="last"), watched("plain", keep="last")
    fit(new_run(sam__rho=0.05, **settings), one.context)
    fit(new_run(**settings), other.context)
    found, plain = weights(one), weights(other)
    assert int(found["bn1.num_batches_tracked"]) == 1
    assert all(torch.equal(found[name], plain[name]) for name in found if "running" in name)
    assert not torch.equal(found["conv1.weight"], plain["conv1.weight"])


def test_sam_takes_both_gradients_with_the_same_dropout(new_run: Any, watched: Any, monkeypatch: Any) -> None:
    """With a radius of nearly nothing it is plain training, dropout and mixup included."""
    settings = {"model__dropout": 0.5, "mixup__alpha": 0.3, "epochs": 2}
    one, other = watched("sam", keep="last"), watched("plain", keep="last")
    fit(new_run(sam__rho=1e-12, **settings), one.context)
    fit(new_run(**settings), other.context)
    for name, value in weights(other).items():
        torch.testing.assert_close(weights(one)[name], value)


def test_sam_in_fp16_is_a_contradiction() -> None:
    flat = {path: field.default for path, field in fields().items()} | {"data.name": "digits", "sam.rho": 0.05}
    assert contradictions(flat | {"precision": "bf16"}) == contradictions(flat)
    said = dict(contradictions(flat | {"precision": "fp16"}))
    assert said["sam.rho"].startswith("sam cannot go with precision: fp16")
    assert "sam.rho" not in dict(contradictions(flat | {"precision": "fp16", "sam.rho": 0.0}))


def test_sam_in_fp16_is_not_trained(new_run: Any, watched: Any) -> None:
    with raising(StudyError):
        fit(new_run(sam__rho=0.05, precision="fp16"), watched().context)


# Averaging ------------------------------------------------------------------------------------------------------------


def test_an_average_by_hand() -> None:
    """From (1, 2) with decay 0.75: to (5, -2) it is (2, 1), to (6, 5) it is (3, 2)."""
    network = Two(1.0, 2.0)
    network.register_buffer("seen", torch.tensor(0))
    average = MovingAverage(0.75, network)
    for value, expected in (([5.0, -2.0], [2.0, 1.0]), ([6.0, 5.0], [3.0, 2.0])):
        with torch.no_grad():
            network.weight.copy_(torch.tensor(value))
            network.seen += 7
        average.weights()
        assert average.evaluated().weight.tolist() == expected
    assert int(average.evaluated().seen) == 14
    assert network.weight.tolist() == [6.0, 5.0]


def test_a_weight_that_two_layers_share_is_averaged_once() -> None:
    network = nn.Module()
    network.one = nn.Linear(1, 1, bias=False)
    network.two = nn.Linear(1, 1, bias=False)
    network.two.weight = network.one.weight
    nn.init.constant_(network.one.weight, 1.0)
    average = MovingAverage(0.5, network)
    nn.init.constant_(network.one.weight, 3.0)
    average.weights()
    assert float(average.evaluated().two.weight) == 2.0


@pytest.mark.slow
@pytest.mark.libraries
def test_an_average_is_timms() -> None:
    timm = pytest.importorskip("timm.utils")
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(5))
    images = torch.randn(6, 3, 8, 8)
    network(images)
    ours, theirs = MovingAverage(0.9, network), timm.ModelEmaV2(network, decay=0.9)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    for _ in range(4):
        optimizer.zero_grad()
        network(images).square().mean().backward()
        optimizer.step()
        ours.weights()
        theirs.update(network)
    found = ours.evaluated().state_dict()
    for name, value in theirs.module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue  # timm averages the counter as well, cut off to whole numbers; ours is the network's
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-7)


def test_the_average_is_what_is_evaluated_and_kept(new_run: Any, watched: Any) -> None:
    """One step from w0 to w1: the weights that are kept are 0.9 w0 + 0.1 w1."""
    settings = {"epochs": 1, "batch_size": 26, "optimizer__lr": 0.5}
    first, plain, averaged = (watched(name, keep="last") for name in ("first", "plain", "averaged"))
    fit(new_run(**{**settings, "optimizer__lr": 1e-30}), first.context)
    without = fit(new_run(**settings), plain.context)
    outcome = fit(new_run(ema__decay=0.9, **settings), averaged.context)
    assert outcome.metrics["train_loss"] == without.metrics["train_loss"]
    assert outcome.metrics["loss"] != without.metrics["loss"]
    for name, value in weights(averaged).items():
        torch.testing.assert_close(value, 0.9 * weights(first)[name] + 0.1 * weights(plain)[name])


def test_the_average_of_the_selected_epoch_is_kept(new_run: Any, watched: Any) -> None:
    here, alone = watched("here", keep="all"), watched("alone", keep="last")
    outcome = fit(new_run(ema__decay=0.5, epochs=6, optimizer__lr=0.3, select="val_loss"), here.context)
    assert outcome.selected_epoch is not None
    fit(new_run(ema__decay=0.5, epochs=outcome.selected_epoch, optimizer__lr=0.3), alone.context)
    assert all(torch.equal(value, weights(alone)[name]) for name, value in weights(here, "selected").items())


@pytest.mark.slow
def test_frozen_layers_are_what_they_were_in_the_average(new_run: Any, watched: Any) -> None:
    settings = {"model__arch": "resnet18", "model__small_stem": True, "model__trainable": ["fc"], "epochs": 1}
    one, other = watched("one", keep="last"), watched("other", keep="last")
    fit(new_run(ema__decay=0.3, **settings), one.context)
    fit(new_run(**settings), other.context)
    kept = weights(other)
    assert all(torch.equal(value, kept[name]) for name, value in weights(one).items() if not name.startswith("fc."))


# Distillation ---------------------------------------------------------------------------------------------------------


def test_a_divergence_by_hand() -> None:
    """The teacher says 3/4 and 1/4, the student a half each: KL = 3/4 ln(3/2) + 1/4 ln(1/2)."""
    teacher, student = torch.tensor([[math.log(3.0), 0.0]]), torch.zeros(1, 2)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert float(divergence(teacher, student, 1.0)) == pytest.approx(expected, rel=1e-6)
    assert float(divergence(2 * teacher, student, 2.0)) == pytest.approx(4 * expected, rel=1e-6)  # T^2
    assert float(divergence(teacher.repeat(3, 1), student.repeat(3, 1), 1.0)) == pytest.approx(expected, rel=1e-6)
    assert float(divergence(teacher, teacher, 4.0)) == 0.0


def test_the_share_of_the_teacher_by_hand() -> None:
    teacher, student = torch.tensor([[math.log(3.0), 0.0]]), torch.zeros(1, 2)
    setup: Any = SimpleNamespace(forward=lambda network: lambda images: teacher)
    found = Distillation(nn.Identity(), 0.25, 1.0, setup).loss(torch.tensor(2.0), student, torch.zeros(1))
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert float(found) == pytest.approx(0.75 * 2.0 + 0.25 * kl, rel=1e-6)


def described(watched: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((watched.context.run_dir / "model-last.json").read_text())
    return found


def teacher_of(new_run: Any, watched: Any, **settings: Any) -> tuple[Path, Any]:
    here = watched("teacher", keep="last")
    fit(new_run(seed=5, **settings), here.context)
    return here.context.run_dir / "model-last.pt", here


def test_without_a_share_of_the_teacher_it_is_plain_training(new_run: Any, watched: Any) -> None:
    file, _ = teacher_of(new_run, watched)
    one, other = watched("one", keep="last"), watched("other", keep="last")
    fit(new_run(distillation__teacher=str(file), distillation__alpha=0.0), one.context)
    fit(new_run(), other.context)
    assert all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


@pytest.mark.slow
def test_a_student_moves_to_its_teacher(new_run: Any, watched: Any) -> None:
    """With the teacher's word alone it comes to say what the teacher says, right or wrong, mixed images included."""
    file, _teacher = teacher_of(new_run, watched, epochs=8)
    settings = {"distillation__teacher": str(file), "distillation__alpha": 1.0, "epochs": 30, "optimizer__lr": 0.02}
    for mixed in ({}, {"mixup__alpha": 0.3}):
        here = watched(f"student {len(mixed)}")
        fit(new_run(**settings, **mixed), here.context)
        objective = here.metric("train", "objective")
        assert objective[-1] < 0.3 * objective[0]


def test_the_teacher_sees_the_mixed_images(new_run: Any, watched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file, _ = teacher_of(new_run, watched)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    backward, lose = Loop._backward, Distillation.loss

    def watched_backward(self: Loop, batch: Any, fed: Fed) -> Any:
        assert fed.mix is not None
        seen.append((fed.inputs, fed.inputs))
        return backward(self, batch, fed)

    def watched_loss(
        self: Distillation, loss: torch.Tensor, logits: torch.Tensor, images: torch.Tensor
    ) -> torch.Tensor:
        seen[-1] = (seen[-1][0], images)
        with torch.no_grad():
            theirs = self.forward(images)
        assert not theirs.requires_grad
        return lose(self, loss, logits, images)

    monkeypatch.setattr(Loop, "_backward", watched_backward)
    monkeypatch.setattr(Distillation, "loss", watched_loss)
    fit(new_run(distillation__teacher=str(file), mixup__alpha=0.3, epochs=1), watched("student").context)
    assert len(seen) == 4
    assert all(torch.equal(theirs, ours) for ours, theirs in seen)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{"model__activation": "gelu"}, {"model__tweak": "D", "model__norm": "group"}, {"model__squeeze_excitation": True}],
    ids=["gelu", "tweak D, group norm", "squeeze-and-excitation"],
)
def test_a_teacher_is_built_as_its_weights_say(
    settings: dict[str, Any], new_run: Any, watched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its outputs for the training images are those of the network that was trained, whatever the student is."""
    small = {"model__arch": "resnet18", "model__small_stem": True, "epochs": 1}
    file, teacher = teacher_of(new_run, watched, **small, **settings)
    loaded: list[nn.Module] = []
    init = Distillation.__init__

    def keep(self: Distillation, network: nn.Module, *given: Any) -> None:
        loaded.append(network)
        init(self, network, *given)

    monkeypatch.setattr(Distillation, "__init__", keep)
    fit(new_run(distillation__teacher=str(file), epochs=1), watched("student").context)
    (network,) = loaded
    trained = weights(teacher)
    assert not network.training
    assert all(torch.equal(value, trained[name]) for name, value in network.state_dict().items())
    kinds = {type(module) for module in network.modules()}
    if "model__activation" in settings:
        assert nn.GELU in kinds
        assert nn.ReLU not in kinds
    if "model__tweak" in settings:
        assert nn.GroupNorm in kinds
        assert nn.AvgPool2d in kinds
    assert described(teacher)["model"]["small_stem"] is True


def test_a_teacher_of_other_classes_is_refused(room: Any, new_run: Any, watched: Any) -> None:
    file, _ = teacher_of(new_run, watched)
    room.classes = 4
    with raising(StudyError):
        fit(new_run(distillation__teacher=str(file)), watched("student").context)


# Hooks ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def add(request: pytest.FixtureRequest) -> Callable[[Hook, tuple[str, ...]], None]:
    def adding(hook: Hook, acts: tuple[str, ...]) -> None:
        part = Refinement(
            name="shake",
            acts=acts,
            fields={"shake.rate": Field(float, 0.0, "a part of this test", before=0.0)},
            is_off=lambda settings: not settings["shake.rate"],
            make=lambda settings, setup: hook,
        )
        register(part, __name__)
        request.addfinalizer(lambda: unregister(part))

    return adding


class Counting(Hook):
    """Counts the ends of epochs that it sees."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def epoch(self, done: int) -> None:
        self.seen.append(done)

    def state(self) -> dict[str, Any]:
        return {"seen": list(self.seen)}

    def load(self, state: Any) -> None:
        self.seen = list(state["seen"])


@pytest.mark.parametrize("stop_after", [3, 4, 5, 6])
def test_the_end_of_an_epoch_is_seen_once(stop_after: int, add: Any, new_run: Any, watched: Any) -> None:
    """Polls 0 to 3 are the steps of epoch 1; 4 and 5 are in its evaluation, when its end was seen already."""
    hook = Counting()
    add(hook, ("epoch",))
    with pytest.raises(Interrupted):
        fit(new_run(shake__rate=1.0), watched(stop_after=stop_after).context)
    hook.seen = [99]
    fit(new_run(shake__rate=1.0), watched().context)
    assert hook.seen == [1, 2]


@pytest.mark.parametrize(
    ("method", "wanted"),
    [("gradient", "gradient"), ("weights", "weights"), ("mix", "images and labels"), ("loss", "loss")],
)
def test_a_method_that_would_never_be_called_is_refused(
    method: str, wanted: str, add: Any, new_run: Any, watched: Any
) -> None:
    hook = type("Shake", (Hook,), {method: lambda self, *given: None})()
    add(hook, ("epoch",))
    with raising(StudyError):
        fit(new_run(shake__rate=1.0), watched().context)


def test_a_mixer_without_a_mix_is_refused(add: Any, new_run: Any, watched: Any) -> None:
    add(Hook(), ("images", "labels"))
    with raising(StudyError):
        fit(new_run(shake__rate=1.0), watched().context)


# Float16 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", parts(Optimizer))
def test_fp16_trains_on_the_cpu(name: str, new_run: Any, watched: Any) -> None:
    here = watched(keep="last")
    settings = {"optimizer__name": name, "optimizer__lr": 1e-3, "optimizer__clip_norm": 1.0, "ema__decay": 0.5}
    outcome = fit(new_run(precision="fp16", model__arch="three-layer-cnn", epochs=1, **settings), here.context)
    assert math.isfinite(outcome.metrics["loss"])
    assert {tensor.dtype for tensor in weights(here).values()} == {torch.float32}


def test_clipping_in_fp16_is_of_unscaled_gradients(new_run: Any, watched: Any) -> None:
    settings = {"optimizer__momentum": 0.0, "optimizer__lr": 1.0, "epochs": 1, "batch_size": 26, "precision": "fp16"}
    one, other = watched("one", keep="last"), watched("other", keep="last")
    fit(new_run(optimizer__clip_norm=0.01, **settings), one.context)
    fit(new_run(**{**settings, "optimizer__lr": 1e-30}), other.context)
    moved = torch.cat([(weights(one)[name] - value).flatten() for name, value in weights(other).items()])
    assert float(moved.norm()) == pytest.approx(0.01, rel=1e-3)


def test_a_step_that_overflows_is_left_out(new_run: Any, watched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four steps the second has a gradient that is not finite: neither weights, nor optimizer, nor average know of it."""
    told: list[bool] = []
    backward, stepped, average = Loop._backward, Loop._stepped, MovingAverage.weights
    averaged: list[int] = []
    adam: list[Any] = []

    def overflowing(self: Loop, *given: Any) -> Any:
        found = backward(self, *given)
        if self.step == 1:
            next(self.network.parameters()).grad.fill_(math.inf)  # type: ignore[union-attr]
        return found

    def watched_step(self: Loop) -> bool:
        before = [parameter.detach().clone() for parameter in self.network.parameters()]
        scale = self.scaler.get_scale()  # type: ignore[union-attr]
        done = stepped(self)
        told.append(done)
        moved = any(not torch.equal(a, b) for a, b in zip(before, self.network.parameters(), strict=True))
        assert moved == done
        assert self.scaler.get_scale() == (scale if done else scale / 2)  # type: ignore[union-attr]
        adam[:] = [int(state["step"]) for state in self.optimizer.state.values()]
        return done

    def counted(self: MovingAverage) -> None:
        averaged.append(1)
        average(self)

    monkeypatch.setattr(Loop, "_backward", overflowing)
    monkeypatch.setattr(Loop, "_stepped", watched_step)
    monkeypatch.setattr(MovingAverage, "weights", counted)
    here = watched()
    settings = {"ema__decay": 0.5, "optimizer__name": "adam", "optimizer__lr": 1e-3}
    outcome = fit(new_run(precision="fp16", epochs=1, **settings), here.context)
    assert told == [True, False, True, True]
    assert len(averaged) == 3
    assert set(adam) == {3}
    assert math.isfinite(outcome.metrics["train_loss"])


def test_the_scale_survives_a_resume(new_run: Any, watched: Any) -> None:
    settings = {"precision": "fp16", "ema__decay": 0.9, "optimizer__clip_norm": 0.5}
    straight = watched("straight", keep="last")
    expected = fit(new_run(**settings), straight.context)
    with pytest.raises(Interrupted):
        fit(new_run(**settings), watched("stopped", stop_after=2).context)
    resumed = watched("stopped", keep="last")
    assert untimed(fit(new_run(**settings), resumed.context)) == untimed(expected)
    assert all(torch.equal(value, weights(straight)[name]) for name, value in weights(resumed).items())


# On a GPU -------------------------------------------------------------------------------------------------------------

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("name", parts(Optimizer))
def test_each_optimizer_trains_on_a_gpu(name: str, precision: str, new_run: Any, watched: Any) -> None:
    """With fused kernels where torch has them, clipping and averaging included."""
    here = watched(keep="last")
    here.context.device = "cuda"
    settings = {"optimizer__name": name, "optimizer__lr": 1e-3, "optimizer__clip_norm": 1.0, "ema__decay": 0.9}
    outcome = fit(new_run(precision=precision, model__arch="three-layer-cnn", **settings), here.context)
    assert math.isfinite(outcome.metrics["loss"])
    assert {tensor.dtype for tensor in weights(here).values()} == {torch.float32}


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize(
    "settings", [{"ema__decay": 0.9}, {"sam__rho": 0.05}, {"optimizer__clip_norm": 0.1}, {"precision": "fp16"}]
)
def test_refinements_train_on_a_gpu_as_on_the_cpu(settings: dict[str, Any], new_run: Any, watched: Any) -> None:
    one, other = watched("gpu", keep="last", deterministic=True), watched("cpu", keep="last")
    one.context.device = "cuda"
    fit(new_run(**settings), one.context)
    fit(new_run(**settings), other.context)
    for name, value in weights(other).items():
        torch.testing.assert_close(weights(one)[name].cpu(), value, rtol=2e-2, atol=2e-3)


@pytest.mark.gpu
@needs_cuda
def test_an_fp16_run_resumes_on_a_gpu(new_run: Any, watched: Any) -> None:
    settings = {"precision": "fp16", "ema__decay": 0.9, "sam__rho": 0.0}
    outcomes = []
    for folder, stops in (("straight", ()), ("stopped", (2,))):
        for stop in stops:
            here = watched(folder, stop_after=stop, deterministic=True)
            here.context.device = "cuda"
            with pytest.raises(Interrupted):
                fit(new_run(**settings), here.context)
        here = watched(folder, deterministic=True)
        here.context.device = "cuda"
        outcomes.append(untimed(fit(new_run(**settings), here.context)))
    assert outcomes[0] == outcomes[1]
