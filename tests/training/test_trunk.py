"""Frozen trunks: computed once, shared, and never a bit different."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ablate.errors import Interrupted
from ablate.study.records import Outcome
from ablate.study.values.run import Run
from ablate.training import trunk
from ablate.training.cut import NoCut, cut
from ablate.training.freeze import freeze
from ablate.training.trainer import fit

NOT_EXACT = ("examples_per_second", "peak_memory")
RESNET = {"model__arch": "resnet18", "model__trainable": ["fc"]}
SMALL = {"model__arch": "three-layer-cnn", "model__trainable": ["6"]}
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

    def train(run: Run, folder: str = "run", device: str = "cpu", **options: Any) -> Trained:
        here = watched(folder, keep="last", home=str(tmp_path / "home"), **options)
        here.context.device = device
        outcome = fit(run, here.context)
        weights = torch.load(here.context.run_dir / "model-last.pt", weights_only=True)
        return Trained(outcome, weights, here.epochs)

    return train


def kept(tmp_path: Path) -> int:
    return len(list((tmp_path / "home" / "cache").glob("trunk-*/outputs.pt")))


libraries = pytest.mark.libraries


@pytest.mark.slow
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
        pytest.param(SMALL, id="small"),
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


def test_arms_with_one_trunk_share_its_outputs(new_run: Any, train: Any, tmp_path: Path, capfd: Any) -> None:
    train(new_run(batch_size=16, **SMALL))
    assert capfd.readouterr().err.count("computing the frozen layers") == 3
    train(new_run(batch_size=16, loss__label_smoothing=0.1, schedule__name="cosine", epochs=3, **SMALL), "other")
    assert "computing" not in capfd.readouterr().err
    assert kept(tmp_path) == 3


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"batch_size": 12},
        {"precision": "bf16"},
        {"model__trainable": ["2", "6"]},
    ],
)
def test_other_layers_images_or_arithmetic_have_outputs_of_their_own(
    other: dict[str, Any], new_run: Any, train: Any, tmp_path: Path
) -> None:
    train(new_run(batch_size=16, **SMALL))
    train(new_run(**{"batch_size": 16, **SMALL, **other}), "other")
    assert kept(tmp_path) > 3


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"data__augment": ["horizontal_flip"]}, "images are augmented"),
        ({"mixup__alpha": 0.2}, "images are mixed"),
        ({"cutmix__alpha": 1.0}, "images are mixed"),
        ({"model__trainable": ["0", "6"]}, "none of its first layers is frozen"),
        ({"batch_size": 64}, "there are fewer images than a batch takes"),
    ],
)
def test_what_cannot_be_kept_trains_as_ever_and_the_log_says_why(
    settings: dict[str, Any], why: str, new_run: Any, train: Any, tmp_path: Path, capfd: Any
) -> None:
    run = new_run(**{"batch_size": 16, **SMALL, **settings})
    assert train(run).same_as(train(run, "ordinary", keep_trunk=False))
    assert f"frozen layers are computed in each step: {why}" in capfd.readouterr().err
    assert not kept(tmp_path)


@pytest.mark.slow
def test_a_network_that_trains_whole_says_nothing(new_run: Any, train: Any, tmp_path: Path, capfd: Any) -> None:
    train(new_run(batch_size=16, model__arch="resnet18"))
    assert "frozen" not in capfd.readouterr().err
    assert not kept(tmp_path)


def test_a_run_that_was_stopped_ends_as_an_undisturbed_one(new_run: Any, train: Any, tmp_path: Path) -> None:
    run = new_run(batch_size=16, **SMALL)
    ordinary = train(run, "ordinary", keep_trunk=False)
    for polls in (1, 4, 9):  # while the outputs are computed, and in both epochs
        with pytest.raises(Interrupted):
            train(run, f"stopped{polls}", stop_after=polls)
        assert not list((tmp_path / "home" / "cache").glob("*/.ablate-*"))
        resumed = train(run, f"stopped{polls}")
        assert all(torch.equal(resumed.weights[name], ordinary.weights[name]) for name in ordinary.weights)


@pytest.mark.parametrize("damage", [b"", b"not a file of torch's", None])
def test_a_damaged_file_is_made_again(damage: bytes | None, new_run: Any, train: Any, tmp_path: Path) -> None:
    run = new_run(batch_size=16, **SMALL)
    good = train(run)
    for path in (tmp_path / "home" / "cache").glob("trunk-*/outputs.pt"):
        path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    assert train(run, "again").same_as(good)
    for path in (tmp_path / "home" / "cache").glob("trunk-*/outputs.pt"):
        assert set(torch.load(path, weights_only=True)) == {"outputs"}


def test_outputs_of_other_layers_are_noticed(new_run: Any, train: Any, tmp_path: Path, capfd: Any) -> None:
    """As after an update of a package that computes something else under the same names."""
    run = new_run(batch_size=16, **SMALL)
    good = train(run)
    for path in (tmp_path / "home" / "cache").glob("trunk-*/outputs.pt"):
        outputs = torch.load(path, weights_only=True)["outputs"]
        torch.save({"outputs": outputs.nextafter(outputs + 1)}, path)
    assert train(run, "again").same_as(good)
    assert "depends on the other images" in capfd.readouterr().err


def test_a_home_that_cannot_be_written_costs_time_only(
    new_run: Any, train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    run = new_run(batch_size=16, **SMALL)
    good = train(run, "ordinary", keep_trunk=False)
    monkeypatch.setattr(trunk, "save_weights", full)
    assert train(run).same_as(good)
    assert "not kept on disk" in capfd.readouterr().err


def test_outputs_larger_than_the_limit_are_not_kept(
    new_run: Any, train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(trunk, "LARGEST", 37 * 4 - 1)
    train(new_run(batch_size=16, **SMALL))
    assert "take more than" in capfd.readouterr().err
    assert not kept(tmp_path)


# --- where a network is cut


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class Skipping(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.one(x)
        return self.three(x + self.two(x))


class SkippingTheCut(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.one(x)
        return x + self.three(self.two(x))


class Dropping(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.three(self.two(self.drop(self.one(x))))


class DroppingByFunction(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.three(self.two(nn.functional.dropout(self.one(x), 0.5, self.training)))


class Counting(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.three(self.two(self.one(x)).reshape(x.size(0), -1))


class Deciding(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.three(self.two(x) if x.sum() > 0 else self.one(x))


class Optional(Net):
    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        x = self.one(x)
        return self.three(self.two(x) if mask is None else self.two(x) * mask)


@pytest.mark.parametrize(
    ("network", "last"),
    [
        (Skipping(), "add"),
        (SkippingTheCut(), "one"),
        (Dropping(), "one"),
        (DroppingByFunction(), "one"),
        (Counting(), "reshape"),
        (Optional(), "two"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_network_is_cut_as_high_as_one_value_crosses(network: Net, last: str) -> None:
    frozen = freeze(network, ["three"])
    network.train()
    halves = cut(network, frozen.norms)
    assert halves.last == last
    x = torch.randn(5, 4)
    torch.manual_seed(0)
    whole = network(x)
    torch.manual_seed(0)
    assert torch.equal(halves.head(halves.trunk(x)), whole)


def test_a_network_that_decides_by_its_input_is_not_cut() -> None:
    network = Deciding()
    with pytest.raises(NoCut, match="cannot be traced"):
        cut(network, freeze(network, ["three"]).norms)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    ("arch", "precision"),
    [
        (arch, precision)
        for arch in ("resnet18", "resnet50", "convnext_tiny")
        for precision in ("fp32", "bf16", "fp16")
        if (arch, precision) != ("resnet50", "fp16")  # 50 frozen layers at their first statistics leave float16's range
    ],
)
def test_numbers_are_bit_equal_on_a_gpu(
    arch: str, precision: str, new_run: Any, train: Any, tmp_path: Path, capfd: Any
) -> None:
    top = "classifier" if arch == "convnext_tiny" else "fc"
    run = new_run(batch_size=16, model__arch=arch, model__trainable=[top], precision=precision)
    ordinary = train(run, "ordinary", device="cuda", keep_trunk=False, deterministic=True)
    assert train(run, "once", device="cuda", deterministic=True).same_as(ordinary)
    assert train(run, "again", device="cuda", deterministic=True).same_as(ordinary)
    assert kept(tmp_path) == 3 or "computed in each step" in capfd.readouterr().err
