"""What the trainer needs of `ablate.training.data`, in one place."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from ablate.study.recipe import Data


class Split(Protocol):
    """Images uint8 (N, C, H, W) on the CPU, perhaps memory-mapped; labels and ids int64 (N,)."""

    @property
    def images(self) -> torch.Tensor: ...
    @property
    def labels(self) -> torch.Tensor: ...
    @property
    def ids(self) -> torch.Tensor: ...
    def __len__(self) -> int: ...


class DataSplits(Protocol):
    """The images of one run. `reported` is `test`, or `val` where there is no test set."""

    @property
    def train(self) -> Split: ...
    @property
    def val(self) -> Split | None: ...
    @property
    def test(self) -> Split | None: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def reported(self) -> str: ...
    @property
    def mean(self) -> torch.Tensor: ...
    @property
    def std(self) -> torch.Tensor: ...
    @property
    def digest(self) -> str: ...
    @property
    def skipped(self) -> Sequence[tuple[str, str]]: ...


def _room() -> Any:
    return importlib.import_module("ablate.training.data")


def load_data(data: Data, seed: int, options: Mapping[str, Any]) -> DataSplits:
    """The splits of `data`; `options` may name `home` and `data_root`, else ABLATE_HOME and ABLATE_DATA do."""
    root = Path(str(options.get("data_root") or os.environ.get("ABLATE_DATA", "data")))
    splits: DataSplits = _room().load_data(data, seed, home=home(options), data_root=root)
    return splits


def home(options: Mapping[str, Any]) -> Path:
    """The folder of caches and weights."""
    return Path(str(options.get("home") or os.environ.get("ABLATE_HOME", "~/.cache/ablate"))).expanduser()


def augment_batch(
    images: torch.Tensor, ids: torch.Tensor, transforms: Sequence[Mapping[str, Any]], *, seed: int, epoch: int
) -> torch.Tensor:
    """Augmented images (B, C, H, W): what each sample draws depends on (seed, epoch, id) alone."""
    augmented: torch.Tensor = _room().augment_batch(images, ids, tuple(transforms), seed=seed, epoch=epoch)
    return augmented


def normalize_batch(images: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Float32 images (B, C, H, W), from 0 to 1, less `mean`, over `std`."""
    normalised: torch.Tensor = _room().normalize_batch(images, mean, std)
    return normalised
