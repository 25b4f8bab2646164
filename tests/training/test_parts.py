"""Batches, metrics, freezing, selection, numerics and the record of where a run trained."""

from __future__ import annotations

import json
import math
import mmap
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from golden_texts import raising
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ablate.errors import BadData, StudyError
from ablate.parts.declare import Network
from ablate.parts.found import parts
from ablate.study.recipes.normalise import known_names
from ablate.study.records import Context
from ablate.training.batches import Feed, bounds, order
from ablate.training.environment import environment, fingerprint
from ablate.training.freeze import Frozen, check_unmoved, digest, freeze, train_mode
from ablate.training.metrics import Tally, TrainingSums, evaluate, from_confusion
from ablate.training.numerics import memory_peak, numerics, settings, start_memory_peak
from ablate.training.selection import Watch, watch

CPU = torch.device("cpu")


def test_the_networks_are_those_that_studies_may_name() -> None:
    assert tuple(parts(Network)) == known_names()["model.arch"].known


@given(images=st.integers(2, 300), batch_size=st.integers(1, 70))
def test_batches_cover_every_image_once_and_none_is_single(images: int, batch_size: int) -> None:
    plan = bounds(images, batch_size)
    assert [start for start, _ in plan] == [0, *(end for _, end in plan[:-1])]
    assert plan[-1][1] == images
    assert all(end - start <= batch_size + 1 for start, end in plan)
    if batch_size > 1:
        assert min(end - start for start, end in plan) > 1


def test_a_single_last_image_joins_the_batch_before() -> None:
    assert bounds(9, 4) == [(0, 4), (4, 9)]
    assert bounds(10, 4) == [(0, 4), (4, 8), (8, 10)]
    with raising(BadData):
        bounds(0, 4)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    assert torch.equal(order(50, seed=1, epoch=2), order(50, seed=1, epoch=2))
    assert sorted(order(50, seed=1, epoch=2).tolist()) == list(range(50))
    assert not torch.equal(order(50, seed=1, epoch=2), order(50, seed=1, epoch=3))
    assert not torch.equal(order(50, seed=1, epoch=2), order(50, seed=2, epoch=2))


def small_split(images: int = 21) -> Any:
    pixels = torch.arange(images * 3, dtype=torch.uint8).view(images, 3, 1, 1).expand(images, 3, 2, 2).contiguous()
    return SimpleNamespace(images=pixels, labels=torch.arange(images) % 5, ids=torch.arange(images) + 100)


@pytest.mark.parametrize("resident", [True, False])
def test_a_split_that_streams_gives_the_same_batches(resident: bool) -> None:
    feed = Feed(small_split(), CPU, resident=resident)
    batches = list(feed.shuffled(8, seed=0, epoch=3, first=1))
    expected = order(21, seed=0, epoch=3)
    assert [len(batch.ids) for batch in batches] == [8, 5]
    assert torch.equal(torch.cat([batch.ids for batch in batches]), expected[8:] + 100)
    assert all(torch.equal(b.images[:, 0, 0, 0].long(), (b.ids - 100) * 3) for b in batches)
    assert all(torch.equal(b.labels, (b.ids - 100) % 5) for b in batches)
    assert torch.equal(torch.cat([batch.ids for batch in feed.in_order(8)]), torch.arange(21) + 100)


def test_a_stream_can_be_left_early() -> None:
    feed = Feed(small_split(), CPU, resident=False)
    for batch in feed.shuffled(4, seed=0, epoch=0):
        assert len(batch.ids) == 4
        break


def test_metrics_by_hand() -> None:
    """Four images of class 0, one of class 2; three guesses of class 0 are right, the rest say class 1."""
    tally = Tally(3, CPU)
    sure = math.log(2)
    logits = torch.tensor([[sure, 0, 0], [sure, 0, 0], [sure, 0, 0], [0, sure, 0], [0, sure, 0]])
    labels = torch.tensor([0, 0, 0, 0, 2])
    tally.add(logits[:4], labels[:4])
    tally.add(logits[4:], labels[4:])
    found = tally.result()
    assert found.metrics == pytest.approx(
        {"loss": (3 * math.log(2) + 2 * math.log(4)) / 5, "top1": 0.6, "mean_class_accuracy": (0.75 + 0) / 2}
    )
    assert found.confusion.tolist() == [[3, 1, 0], [0, 0, 0], [0, 1, 0]]


def test_top5_by_hand() -> None:
    tally = Tally(7, CPU)
    tally.add(torch.arange(7.0).expand(7, 7), torch.arange(7))
    assert tally.result().metrics["top5"] == pytest.approx(5 / 7)
    assert tally.result().metrics["top1"] == pytest.approx(1 / 7)


def test_evaluation_weighs_by_count_and_drops_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(23, 6, generator=generator), torch.randint(0, 6, (23,), generator=generator)
    whole = evaluate(lambda x: x, [(logits, labels)], 6, CPU)
    parts = evaluate(lambda x: x, zip(logits.split(10), labels.split(10), strict=True), 6, CPU)
    assert int(parts.confusion.sum()) == 23
    assert parts.metrics == pytest.approx(whole.metrics)
    assert whole.metrics["loss"] == pytest.approx(float(F.cross_entropy(logits, labels)))
    assert whole.metrics["top1"] == pytest.approx(float((logits.argmax(1) == labels).float().mean()))


def test_nothing_evaluated_is_an_error() -> None:
    with raising(ValueError):
        evaluate(lambda x: x, [], 6, CPU)
    assert from_confusion(torch.tensor([[1, 0], [0, 0]])) == {"top1": 1.0, "mean_class_accuracy": 1.0}


def test_training_sums_weigh_by_count_and_survive_a_checkpoint() -> None:
    sums = TrainingSums(CPU)
    sums.add(torch.tensor(1.0), torch.tensor(2), torch.tensor(0.5), 4)
    other = TrainingSums(CPU)
    other.load(sums.state())
    other.add(torch.tensor(4.0), torch.tensor(1), torch.tensor(2.0), 2)
    assert other.means() == pytest.approx((2.0, 0.5, 1.0))


def nested() -> nn.Module:
    model = nn.Module()
    for name in ("stem", "layer1", "layer2"):
        model.add_module(name, nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.Dropout()))
    model.add_module("fc", nn.Linear(1, 1))
    return model


@pytest.mark.parametrize(
    ("trainable", "expected"),
    [
        ("all", {"stem", "layer1", "layer2", "fc"}),
        (["fc"], {"fc"}),
        (["layer[12]", "fc"], {"layer1", "layer2", "fc"}),
        ("layer2.1", {"layer2"}),
        (["*.bias"], {"stem", "layer1", "layer2", "fc"}),
    ],
)
def test_layers_train_by_name_or_glob(trainable: Any, expected: set[str]) -> None:
    model = nested()
    freeze(model, trainable)
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad} == expected


def test_a_frozen_norm_stays_in_evaluation_mode_and_dropout_stays_on() -> None:
    model = nested()
    frozen = freeze(model, ["layer2", "fc"])
    train_mode(model, frozen)
    assert [model.stem[1].training, model.layer1[1].training, model.layer2[1].training] == [False, False, True]
    assert model.stem[2].training
    assert "stem.1.running_mean" in frozen.tensors
    assert "layer2.1.running_mean" not in frozen.tensors


def test_a_layer_that_is_not_there_is_an_error() -> None:
    with raising(StudyError):
        freeze(nested(), ["layer4", "fc"])


@pytest.mark.parametrize("name", ["stem.0.weight", "stem.1.running_var", "stem.1.num_batches_tracked"])
def test_the_digest_sees_parameters_and_buffers(name: str) -> None:
    model = nested()
    frozen = freeze(model, ["fc"])
    before = digest(model, frozen)
    with torch.no_grad():
        model.fc.weight.add_(1)
    check_unmoved(model, frozen, before)
    model.state_dict()[name].add_(1)
    with raising(Exception):
        check_unmoved(model, frozen, before)
    assert digest(model, Frozen((), ())) == ""


def test_a_watch_keeps_the_first_of_equals() -> None:
    follows = Watch("val_top1")
    assert [follows.update(epoch, value) for epoch, value in enumerate([0.5, 0.6, 0.6, 0.4], 1)] == [
        True,
        True,
        False,
        False,
    ]
    assert (follows.best, follows.best_epoch, follows.waited) == (0.6, 2, 2)
    lower = Watch("val_loss")
    assert [lower.update(1, 0.5), lower.update(2, 0.6), lower.update(3, 0.4)] == [True, False, True]
    assert Watch.from_state(json.loads(json.dumps(lower.state()))) == lower


def test_top5_cannot_select_below_five_classes() -> None:
    with raising(StudyError):
        watch("select", "val_top5", classes=4, has_validation=True)
    assert watch("select", "val_top5", classes=5, has_validation=True).name == "top5"


def test_settings_are_put_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    with settings(Context(tmp_path, threads=before + 1, options={"deterministic": True})):
        assert torch.get_num_threads() == before + 1
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == before
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_layout_is_for_convolutions(tmp_path: Path) -> None:
    context = Context(tmp_path)
    assert numerics(context, precision="fp32", has_convolutions=True).layout is torch.channels_last
    assert numerics(context, precision="fp32", has_convolutions=False).layout is torch.contiguous_format
    off = Context(tmp_path, options={"channels_last": False})
    assert numerics(off, precision="fp32", has_convolutions=True).layout is torch.contiguous_format


def test_bf16_is_autocast(tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    run = numerics(Context(tmp_path), precision="bf16", has_convolutions=False).forward(layer)
    assert run(torch.zeros(1, 2)).dtype is torch.bfloat16
    assert layer.weight.dtype is torch.float32


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can count a process's peak anew")
def test_the_memory_peak_is_counted_anew() -> None:
    start_memory_peak(CPU)
    before = memory_peak(CPU)
    with mmap.mmap(-1, 40_000_000) as block:  # fresh pages: an allocator may hand out some that were resident already
        block.write(b"x" * 40_000_000)
    during = memory_peak(CPU)
    assert during - before > 30e6
    start_memory_peak(CPU)
    assert memory_peak(CPU) < during - 30e6


def test_a_fingerprint_changes_with_the_arithmetic_and_with_nothing_else() -> None:
    def line(threads: int = 1, precision: str = "fp32", **options: Any) -> str:
        return fingerprint("cpu", options, precision=precision, threads=threads)

    assert line() == line(keep="all", home="/somewhere", checkpoint_seconds=5)
    others = [
        line(threads=2),
        line(precision="bf16"),
        line(channels_last=False),
        line(compile=True),
        line(deterministic=True),
        line(packing=2),
    ]
    assert len({line(), *others}) == 7
    assert torch.__version__ in line()


def test_the_environment_is_ready_for_json() -> None:
    found = environment(
        "cpu", {"compile": False, "home": "/private", "study_dir": "/private", "call": print}, threads=3
    )
    json.dumps(found, allow_nan=False)
    assert found["packages"]["torch"] == torch.__version__
    assert found["threads"] == 3
    assert found["options"] == {"compile": False}, "nothing of where things lie"
    assert found["cpu"]
