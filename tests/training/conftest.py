"""A small data room and small recipes, so that these tests train on the CPU in fractions of a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from ablate.parts import streams
from ablate.study.recipes.digest import arm_id, run_id
from ablate.study.recipes.recipe import Data, fields, written
from ablate.study.records import Context, EpochRecord
from ablate.study.values.run import Run
from ablate.training import sources


@dataclass(frozen=True)
class TinySplit:
    images: torch.Tensor
    labels: torch.Tensor
    ids: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class TinySplits:
    train: TinySplit
    val: TinySplit | None
    test: TinySplit | None
    classes: tuple[str, ...]
    reported: str
    mean: torch.Tensor
    std: torch.Tensor
    digest: str = "d" * 64
    skipped: tuple[tuple[str, str], ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


@dataclass
class TinyRoom:
    """Stands in for `ablate.training.data`: classes are colours with noise, so they can be learnt."""

    classes: int = 6
    sizes: dict[str, int] = field(default_factory=lambda: {"train": 26, "val": 12, "test": 13})
    side: int = 8
    digest: str = "d" * 64
    made: dict[Any, TinySplits] = field(default_factory=dict)

    def load_data(self, data: Data, seed: int, *, home: Path, data_root: Path) -> TinySplits:
        key = (repr(data), seed, repr(self.sizes), self.classes, self.side)
        if key not in self.made:
            splits = {name: self._split(name, size, seed) for name, size in self.sizes.items() if size}
            self.made[key] = TinySplits(
                train=splits["train"],
                val=splits.get("val"),
                test=splits.get("test"),
                classes=tuple(f"class{number}" for number in range(self.classes)),
                reported="test" if "test" in splits else "val",
                mean=torch.tensor([0.5, 0.5, 0.5]),
                std=torch.tensor([0.25, 0.25, 0.25]),
                digest=self.digest,
            )
        return self.made[key]

    def _split(self, name: str, size: int, seed: int) -> TinySplit:
        generator = streams.generator(seed, "tiny", name)
        labels = torch.arange(size) % self.classes
        colours = torch.randint(0, 256, (self.classes, 3), generator=streams.generator(0, "colours"))
        noise = torch.randint(-30, 31, (size, 3, self.side, self.side), generator=generator)
        images = (colours[labels][:, :, None, None] + noise).clamp(0, 255).to(torch.uint8)
        return TinySplit(images, labels, torch.arange(size) + 1000)

    def augment_batch(
        self, images: torch.Tensor, ids: torch.Tensor, transforms: Sequence[Any], *, seed: int, epoch: int
    ) -> torch.Tensor:
        assert [next(iter(transform)) for transform in transforms] == ["horizontal_flip"]
        flipped = streams.uniforms(streams.derive(seed, "augment", epoch), ids, 1)[:, 0] < 0.5
        return torch.where(flipped[:, None, None, None], images.flip(3), images)

    def normalize_batch(self, images: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
        return (images.float() / 255 - mean[:, None, None]) / std[:, None, None]


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> TinyRoom:
    tiny = TinyRoom()
    monkeypatch.setattr(sources, "data", tiny)
    return tiny


def make_run(seed: int = 0, **overrides: Any) -> Run:
    """A run of the two-layer network; `optimizer__lr=0.1` sets `optimizer.lr`."""
    flat = {path: known.default for path, known in fields().items()}
    flat |= {
        "model.arch": "two-layer-fc",
        "model.args": {"hidden": 8},
        "batch_size": 8,
        "epochs": 2,
        "optimizer.lr": 0.05,
    }
    given = {name.replace("__", "."): value for name, value in overrides.items()}
    assert set(given) <= set(flat)
    flat |= given
    if "model.args" not in given and flat["model.arch"] != "two-layer-fc":
        flat["model.args"] = {}
    recipe = written({path: fields()[path].parse(value) for path, value in flat.items()})
    arm = arm_id(recipe)
    return Run(run_id=run_id(arm, seed), arm_id=arm, seed=seed, recipe=recipe)


@dataclass
class Watched:
    """A context, and what the trainer reported through it."""

    context: Context
    epochs: list[list[EpochRecord]]

    def metric(self, split: str, name: str) -> list[float]:
        return [record.metrics[name] for records in self.epochs for record in records if record.split == split]


@pytest.fixture
def new_run() -> Callable[..., Run]:
    return make_run


@pytest.fixture
def watched(tmp_path: Path) -> Callable[..., Watched]:
    def make(folder: str = "run", *, stop_after: int | None = None, **options: Any) -> Watched:
        """A context of its own folder; `stop_after` asks to stop at that poll, as SIGTERM does."""
        epochs: list[list[EpochRecord]] = []
        polls = [0]

        def should_stop() -> int:
            polls[0] += 1
            return 15 if stop_after is not None and polls[0] > stop_after else 0

        given = {"home": str(tmp_path / "home"), **options}
        context = Context(
            run_dir=tmp_path / folder,
            on_epoch=lambda records: epochs.append(list(records)),
            should_stop=should_stop,
            options=given,
        )
        return Watched(context, epochs)

    return make
