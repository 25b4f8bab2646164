"""Data sets that come as arrays, and npz files with MedMNIST's keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ablate.errors import BadData
from ablate.parts.reading.images import Pixels, check_pixels, resize_square, resized_shape, to_planes
from ablate.parts.reading.npz import load_npz
from ablate.parts.reading.source import PARTS, WHOLE, Block, Labels, Reading, Source, some

BLOCK = 4096
BLOCK_BYTES = 2**28
"""At most so many images, or bytes of them, are converted at a time; bounds the memory that decoding takes."""
KEYS = "train_images, train_labels, val_images, val_labels, test_images, test_labels, class_names"
Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Part:
    """One part of a data set as arrays: uint8 images (N, H, W[, 1 or 3]) and int64 labels (N,)."""

    name: str
    images: npt.NDArray[Any]
    labels: Labels


def stat_line(path: Path, name: str) -> str:
    """A line of a fingerprint: name, bytes and modification time in nanoseconds."""
    stat = path.stat()
    return f"{name}\t{stat.st_size}\t{stat.st_mtime_ns}"


def reading(parts: list[Part], classes: tuple[str, ...] | None, where: str, image_size: int | None) -> Reading:
    """Checked parts as blocks. Without `classes` they are numbered from 0 to the largest label."""
    for part in parts:
        _check_part(part, where)
    names = _numbered(parts, where) if classes is None else classes
    if len(names) < 2:
        raise BadData(
            f"{where}: {len(names)} class found, at least 2 are needed; allowed: labels from 0, one number for each class"
        )
    for part in parts:
        low, high = _range(part)
        if low < 0 or high >= len(names):
            raise BadData(
                f"{where}: {part.name} has labels from {low} to {high}; "
                f"allowed: 0 to {len(names) - 1} for {len(names)} classes{_from_one(low, high, len(names))}"
            )
    if image_size is None:
        _check_sizes(parts, where)
    return Reading(names, sum(len(part.labels) for part in parts), _blocks(parts, where, image_size))


def _check_part(part: Part, where: str) -> None:
    check_pixels(part.images, f"{where}: {part.name}")
    if len(part.images) != len(part.labels):
        raise BadData(f"{where}: {part.name} has {len(part.images)} images but {len(part.labels)} labels")
    if not len(part.labels):
        raise BadData(f"{where}: {part.name} holds no images; leave the part out or fill it")


def _range(part: Part) -> tuple[int, int]:
    return int(part.labels.min()), int(part.labels.max())


def _from_one(low: int, high: int, classes: int) -> str:
    return "; labels start at 0: subtract 1" if low == 1 and high == classes else ""


def _numbered(parts: list[Part], where: str) -> tuple[str, ...]:
    """`0` to the largest label, each of which must be there: a label may be any 64-bit number, so they are counted first."""
    present = np.unique(np.concatenate([part.labels for part in parts]))
    low, high, count = int(present[0]), int(present[-1]), len(present)
    if low < 0 or (low == 1 and high == count):
        part = next(part for part in parts if _range(part)[0] == low)
        raise BadData(
            f"{where}: {part.name} has labels from {low} to {_range(part)[1]}; allowed: from 0, one number for each class"
            f"{_from_one(low, high, count)}"
        )
    if count <= high:
        missing = np.setdiff1d(np.arange(min(high, count + 5)), present)[:5]
        rest = high + 1 - count - len(missing)
        raise BadData(
            f"{where}: no readable images of class {', '.join(map(str, missing))}{f' and {rest} more' if rest else ''}; "
            f"each of the {high + 1} classes (labels 0 to {high}) needs some"
        )
    return tuple(str(number) for number in range(count))


def _check_sizes(parts: list[Part], where: str) -> None:
    """The network sees one size: parts that differ are refused, as image folders are."""
    sizes = {part.name: f"{part.images.shape[2]}x{part.images.shape[1]}" for part in parts}
    first, *others = sizes.items()
    for other in others:
        if other[1] != first[1]:
            raise BadData(
                f"{where}: images differ in size ({first[0]} is {first[1]} pixels, {other[0]} is {other[1]}); "
                "set data.image_size to resize all images to one square size"
            )


def _blocks(parts: list[Part], where: str, image_size: int | None) -> Iterator[Block]:
    first = 0
    for part in parts:
        step = _block_size(part, image_size)
        for start in range(0, len(part.labels), step):
            rows = slice(start, start + step)
            images: Pixels = to_planes(part.images[rows], f"{where}: {part.name}")
            if image_size is not None:
                images = resize_square(images, image_size)
            labels = part.labels[rows]
            yield Block(part.name, images, labels, np.arange(first + start, first + start + len(labels)))
        first += len(part.labels)


def _block_size(part: Part, image_size: int | None) -> int:
    height, width = part.images.shape[1:3]
    tall, wide = (height, width) if image_size is None else resized_shape(height, width, image_size)
    return max(1, min(BLOCK, int(BLOCK_BYTES // (3 * max(tall * wide, height * width)))))


def npz_source(name: str, path: Path) -> Source:
    """An npz file with MedMNIST's keys; pickled content is never loaded."""

    def read(image_size: int | None) -> Reading:
        arrays, found = load_npz(path, KEYS.split(", "), f"an npz file with {KEYS}")
        return arrays_reading(arrays, str(path), image_size, found)

    return Source(name, f"npz ({path.name})", str(path), (stat_line(path, path.name), str(path)), read)


def arrays_reading(arrays: Arrays, where: str, image_size: int | None, found: list[str] | None = None) -> Reading:
    """Arrays under MedMNIST's keys as a reading; `train_images` alone is a data set without an official split."""
    present = [part for part in PARTS if f"{part}_images" in arrays and f"{part}_labels" in arrays]
    if "train" not in present:
        keys = ", ".join(found if found is not None else arrays) or "none"
        raise BadData(f"{where}: train_images and train_labels are missing; keys found: {keys}; keys allowed: {KEYS}")
    for part in PARTS:
        if part not in present and (f"{part}_images" in arrays or f"{part}_labels" in arrays):
            raise BadData(f"{where}: {part} needs both {part}_images and {part}_labels; only one of them is there")
    parts = [
        Part(
            WHOLE if present == ["train"] else part,
            arrays[f"{part}_images"],
            _labels(arrays[f"{part}_labels"], part, where),
        )
        for part in present
    ]
    return reading(parts, _class_names(arrays.get("class_names"), where), where, image_size)


def _labels(labels: npt.NDArray[Any], part: str, where: str) -> Labels:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise BadData(
            f"{where}: {part}_labels is {labels.dtype} of shape {labels.shape}; "
            "allowed: whole numbers of shape (N,) or (N, 1), one class for each image"
        )
    if labels.dtype == np.uint64 and len(labels) and labels.max() > np.iinfo(np.int64).max:
        raise BadData(f"{where}: {part}_labels holds {labels.max()}, which is not a class")
    return labels.astype(np.int64)


def _class_names(names: npt.NDArray[Any] | None, where: str) -> tuple[str, ...] | None:
    if names is None:
        return None
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise BadData(f"{where}: class_names is {names.dtype} of shape {names.shape}; allowed: text of shape (C,)")
    decoded = tuple(
        name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names.tolist()
    )
    twice = [name for name, count in Counter(decoded).items() if count > 1]
    if twice:
        raise BadData(f"{where}: class_names holds a name twice: {some(twice)}")
    return decoded
