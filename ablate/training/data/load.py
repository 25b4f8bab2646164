"""`load_data`: from the recipe's `data` section to train, val and test, decoded, split and counted."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ablate.errors import BadData
from ablate.parts.reading.source import Labels
from ablate.study.recipes.normalise import default_split
from ablate.study.recipes.recipe import Data
from ablate.training.data.cache import Decoded, decode, write_rows
from ablate.training.data.catalog import find_source
from ablate.training.data.notes import data_notes
from ablate.training.data.split import saved_rows, subset

IN_MEMORY = 2**30
"""A part that is no run of rows is copied to memory up to this many bytes, and to a mapped file above."""
KEPT_SPLITS = 4
"""Loaded data sets that a process keeps; the oldest goes first."""
KEPT_BYTES = 2 * 2**30
"""Bytes of copies in memory that the kept ones may hold; the newest stays whatever its size."""

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and std of the ImageNet weights of torchvision."""


@dataclass(frozen=True)
class Split:
    """Some images: uint8 (N, 3, H, W) on the CPU, perhaps mapped from a file; int64 (N,) labels; int64 (N,) ids.

    An id names its image within the data set, in whatever split it is.
    """

    images: torch.Tensor
    labels: torch.Tensor
    ids: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class DataSplits:
    """A data set as one run sees it.

    `reported` is the part that results are of: test where there is one, else val. `mean` and `std`, float32 (3,) on the
    scale 0 to 1, are what `data.normalize` asks for (`dataset`: over the training images of this split). `digest` is
    the SHA-256 of the decoded content, before it is split. `skipped` is (path, reason) of images that could not be
    decoded.
    """

    train: Split
    val: Split | None
    test: Split | None
    classes: tuple[str, ...]
    reported: str
    mean: torch.Tensor
    std: torch.Tensor
    digest: str
    skipped: tuple[tuple[str, str], ...]
    details: dict[str, Any] = field(default_factory=dict)


_kept: OrderedDict[str, tuple[DataSplits, int]] = OrderedDict()
_lock = threading.RLock()


def load_data(data: Data, seed: int, *, home: Path, data_root: Path) -> DataSplits:
    """The data set of a recipe, decoded under `home` and split for `seed`; `data_root` is ABLATE_DATA.

    Kept in this process, so that a worker's next run of the same data pays nothing; a data set that changes on disk
    while a worker runs is noticed by the next process. Raises `NotFound`, `BadData` and `NoSpaceOrPermission`.
    """
    if data.split is None:
        data = data.model_copy(update={"split": default_split(data.name) or "official"})
    key = _key(data, seed, home, data_root)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key][0]
        splits, copied = _load(data, seed, home, data_root)
        _kept[key] = (splits, copied)
        while len(_kept) > KEPT_SPLITS or (len(_kept) > 1 and sum(size for _, size in _kept.values()) > KEPT_BYTES):
            _kept.popitem(last=False)
        return splits


def forget_data() -> None:
    """Drops what `load_data` keeps in this process."""
    with _lock:
        _kept.clear()


def _key(data: Data, seed: int, home: Path, data_root: Path) -> str:
    """What the loaded data follows from; the seed only where something is drawn."""
    drawn = data.split != "official" or data.fraction < 1 or data.limit is not None
    fields = data.model_dump(mode="json", exclude={"augment"})
    return json.dumps([fields, seed if drawn else None, str(home), str(data_root)], sort_keys=True)


def _load(data: Data, seed: int, home: Path, data_root: Path) -> tuple[DataSplits, int]:
    source = find_source(data.name, data.path, data_root)
    decoded = decode(source, data.image_size, home)
    if decoded.bad and data.on_bad_image == "fail":
        raise BadData(_bad_text(decoded, source.where))
    rows, file = saved_rows(decoded, data.split, seed, data.name, home, source.unlabelled)
    whole = len(rows["train"])
    rows["train"] = subset(rows["train"], decoded, seed, data.fraction, data.limit)
    parts: dict[str, Split] = {}
    copied = decoded.images.nbytes if decoded.folder is None else 0
    for part, chosen in rows.items():
        images, size = _take(decoded, chosen)
        copied += size
        parts[part] = Split(images, torch.from_numpy(decoded.labels[chosen]), torch.from_numpy(decoded.ids[chosen]))
    mean, std = _scale(data.normalize, decoded, rows["train"])
    details = {
        "source": source.form,
        "images": {part: len(chosen) for part, chosen in rows.items()},
        "train_before_subset": whole,
        "size": list(decoded.images.shape[1:]),
        "split_file": file,
        "ignored_files": len(source.ignored),
        "ignored": list(source.ignored[:20]),
        "notes": list(data_notes(source, decoded, data.split)),
        "classes_without_training_images": _absent(decoded, rows["train"]),
    }
    reported = "test" if "test" in parts else "val"
    splits = DataSplits(
        parts["train"],
        parts.get("val"),
        parts.get("test"),
        decoded.classes,
        reported,
        mean,
        std,
        decoded.digest,
        decoded.bad,
        details,
    )
    return splits, copied


def _bad_text(decoded: Decoded, where: str) -> str:
    shown = "; ".join(f"{path} ({reason})" for path, reason in decoded.bad[:5])
    rest = f"; and {len(decoded.bad) - 5} more" if len(decoded.bad) > 5 else ""
    return (
        f"{where}: {len(decoded.bad):,} of {decoded.total:,} images cannot be decoded: {shown}{rest}. "
        "Replace or remove them, or set data.on_bad_image: skip to train without them"
    )


def _take(decoded: Decoded, rows: Labels) -> tuple[torch.Tensor, int]:
    """The images of `rows`, and how many bytes of memory they were copied to (none for a view or a mapped file)."""
    first = int(rows[0])
    if len(rows) == int(rows[-1]) - first + 1:
        return decoded.images[first : first + len(rows)], 0
    size = len(rows) * int(np.prod(decoded.images.shape[1:]))
    if size <= IN_MEMORY or decoded.folder is None:
        return decoded.images.index_select(0, torch.from_numpy(rows)), size  # three times the speed of images[rows]
    name = hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()[:16]
    return write_rows(decoded.images, rows, decoded.folder / f"rows-{name}.u8"), 0


def _scale(normalize: Any, decoded: Decoded, train: Labels) -> tuple[torch.Tensor, torch.Tensor]:
    """float32 (3,) mean and std by channel, over all pixels of the training images for `dataset`.

    A channel of one value has no spread; its std is then 1, so that it becomes 0 everywhere.
    """
    if normalize == "imagenet":
        return _three(IMAGENET[0]), _three(IMAGENET[1])
    if normalize == "dataset":
        pixels = len(train) * decoded.images.shape[2] * decoded.images.shape[3]
        first, squares = decoded.sums[train].sum(axis=0).astype(np.float64) / pixels
        spread = np.sqrt(np.maximum(squares - first**2, 0.0))
        return _three(first / 255), _three(np.where(spread < 1e-6, 1.0, spread / 255))
    return _three(normalize["mean"]), _three(normalize["std"])


def _three(values: Any) -> torch.Tensor:
    return torch.tensor([float(value) for value in values], dtype=torch.float32).expand(3).contiguous()


def _absent(decoded: Decoded, train: Labels) -> list[str]:
    counts = np.bincount(decoded.labels[train], minlength=len(decoded.classes))
    return [decoded.classes[c] for c in np.flatnonzero(counts == 0)]


def class_counts(split: Split, n_classes: int) -> torch.Tensor:
    """int64 (n_classes,): how many images of each class `split` holds."""
    return torch.bincount(split.labels, minlength=n_classes)
