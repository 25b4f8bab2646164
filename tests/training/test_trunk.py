"""Frozen trunks: computed once, shared, and never a bit different."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from ablate.study.records import Outcome
from ablate.study.run import Run
from ablate.training.trainer import fit

NOT_EXACT = ("examples_per_second", "peak_memory")
RESNET = {"model__arch": "resnet18", "model__trainable": ["fc"]}
LITE = {"model__arch": "efficientnet-lite0", "model__trainable": ["_fc"]}
VIT = {
    "model__arch": "timm/vit_tiny_patch16_224",
    "model__args": {"patch_size": 8, "depth": 2},
    "model__trainable": ["head"],
}


@dataclass(frozen=True)
class Trained:
    outcome: Outcome
    weights: Mapping[str, torch.Tensor]
    epochs: Any

    def same_as(self, other: Trained) -> bool:
        metrics = [
            {name: value for name, value in one.outcome.metrics.items() if name not in NOT_EXACT}
            for one in (self, other)
        ]
        equal = all(torch.equal(self.weights[name], other.weights[name]) for name in self.weights)
        return equal and metrics[0] == metrics[1] and self.epochs == other.epochs


@pytest.fixture
def train(room: Any, watched: Any, tmp_path: Path) -> Callable[..., Trained]:
    room.sizes, room.side = {"train": 37, "val": 12, "test": 13}, 32

    def train(run: Run, folder: str = "run", **options: Any) -> Trained:
        here = watched(folder, keep="last", home=str(tmp_path / "home"), **options)
        outcome = fit(run, here.context)
        weights = torch.load(here.context.run_dir / "model-last.pt", weights_only=True)
        return Trained(outcome, weights, here.epochs)

    return train


def kept(tmp_path: Path) -> int:
    return len(list((tmp_path / "home" / "cache").glob("trunk-*/outputs.pt")))


libraries = pytest.mark.libraries


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(RESNET, id="last layer"),
        pytest.param({**RESNET, "model__trainable": ["layer4", "fc"]}, id="last stage, its BatchNorm trains"),
        pytest.param({**RESNET, "model__trainable": ["layer4.1.conv2", "fc"]}, id="within a block"),
        pytest.param({**RESNET, "model__dropout": 0.5}, id="dropout above the cut"),
        pytest.param({**RESNET, "precision": "bf16"}, id="bf16"),
        pytest.param({**RESNET, "ema__decay": 0.9}, id="ema"),
        pytest.param({**RESNET, "sam__rho": 0.05, "loss__label_smoothing": 0.1}, id="sam"),
        pytest.param({**RESNET, "evaluate_every": 2, "select": "val_top1"}, id="select"),
        pytest.param({"model__arch": "convnext_tiny", "model__trainable": ["classifier"]}, id="convnext"),
        pytest.param(
            {"model__arch": "torchvision/mobilenet_v3_small", "model__trainable": ["classifier"]}, id="torchvision"
        ),
        pytest.param({"model__arch": "three-layer-cnn", "model__trainable": ["6"]}, id="small"),
        pytest.param(LITE, id="lite", marks=libraries),
        pytest.param(
            {**LITE, "model__trainable": ["_blocks.15", "_conv_head", "_bn1", "_fc"]},
            id="lite's last block",
            marks=libraries,
        ),
        pytest.param(VIT, id="vit", marks=libraries),
    ],
)
def test_numbers_are_bit_equal_with_and_without(
    settings: dict[str, Any], new_run: Any, train: Any, tmp_path: Path
) -> None:
    run = new_run(batch_size=16, **settings)
    ordinary = train(run, "ordinary", keep_trunk=False)
    assert not kept(tmp_path)
    assert train(run, "once").same_as(ordinary)
    assert kept(tmp_path) == 3
    assert train(run, "again").same_as(ordinary)
    assert kept(tmp_path) == 3
