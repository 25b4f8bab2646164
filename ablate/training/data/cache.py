"""Decoded data sets: once on disk for all workers and all runs, memory-mapped, written under a lock.

A data set lies decoded in `HOME/cache/<key>/`: `images.u8` (raw uint8, N x 3 x H x W), `labels.npy`, `ids.npy`,
`sums.npy` and `meta.json`. The key holds the name, the files with sizes and modification times, the image size and
`DECODE_VERSION`, so a changed file is decoded again. The folder appears by one rename; two processes that need it at
once wait for a file lock and decode once. Images are mapped copy-on-write: all processes share the page cache, nothing
reaches the file, and a data set larger than memory is read as it is used.

Files are written with `write`, not through a map: a full disk is then an error with a name instead of a dead process.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch

from ablate.errors import BadData, NoSpaceOrPermission
from ablate.parts.reading.source import Block, Labels, Reading, Source, some

log = logging.getLogger(__name__)

DECODE_VERSION = 1
"""Raised when decoding or resizing changes, so that old caches are not taken for new ones."""


@dataclass(frozen=True)
class Decoded:
    """A decoded data set: `images` uint8 (N, 3, H, W), `labels` and `ids` int64 (N,), `sums` int64 (N, 2, 3).

    `sums` holds each image's sum and sum of squares by channel, from which any split's mean and std follow exactly.
    `parts` maps each official part, or `all`, to its rows (start, stop). `bad` is (path, reason) of each unreadable
    image.
    """

    images: torch.Tensor
    labels: Labels
    ids: Labels
    sums: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    parts: dict[str, tuple[int, int]]
    bad: tuple[tuple[str, str], ...]
    total: int
    digest: str
    folder: Path | None


def decode(source: Source, image_size: int | None, home: Path) -> Decoded:
    """The decoded data set, from the cache under `home` where it is there, else decoded now."""
    if source.fingerprint is None:
        return _decode_in_memory(source, image_size)
    folder = home / "cache" / cache_key(source, image_size)
    found = _open(folder)
    if found is not None:
        return found
    with writing(folder), locked(folder.with_suffix(".lock")):
        found = _open(folder)
        if found is None:
            _decode_to(folder, source, image_size)
            found = _open(folder)
    if found is None:
        raise NoSpaceOrPermission(f"{folder}: disappeared while it was read; is another process clearing the cache?")
    return found


def cache_key(source: Source, image_size: int | None) -> str:
    """32 hexadecimal digits from everything that the decoded content follows from."""
    lines = [str(DECODE_VERSION), source.name, source.form, str(image_size), *(source.fingerprint or ())]
    digest = hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{_safe(source.name)}-{digest[:32]}"


def _safe(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name)[:40]


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a full disk, a read-only folder and the like into `NoSpaceOrPermission` that names the place."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and not Path(error.filename).is_relative_to(path.parent.parent):
            raise NoSpaceOrPermission(
                f"{error.filename}: cannot be read ({error.strerror}); check its permissions"
            ) from error
        raise NoSpaceOrPermission(
            f"cannot write {error.filename or path}: {error.strerror or error}; free some space there, "
            "or point ABLATE_HOME to a folder that is writable and has room"
        ) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on the file at `path`, which the system drops with the process. The file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for another process that prepares %s", path.stem)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _Sink:
    """Takes blocks in order: images to `file` as they come, the small arrays and the digest in memory."""

    def __init__(self, file: BinaryIO | None) -> None:
        self.file = file
        self.kept: list[npt.NDArray[np.uint8]] = []
        self.shape: tuple[int, ...] = ()
        self.parts: dict[str, int] = {}
        self.labels: list[Labels] = []
        self.ids: list[Labels] = []
        self.sums: list[npt.NDArray[np.int64]] = []
        self.bad: list[tuple[str, str]] = []
        self.hash = hashlib.sha256()

    def take(self, block: Block) -> None:
        """Raises `BadData` for images of another shape than those before: their bytes would be read as other pixels."""
        self.bad += block.bad
        self.parts[block.part] = self.parts.get(block.part, 0) + len(block.labels)
        if not len(block.labels):
            return
        shape = block.images.shape[1:]
        if self.shape and shape != self.shape:
            raise BadData(
                f"images differ in shape (channels, height, width): {shape} in {block.part}, {self.shape} before; "
                "set data.image_size to resize all images to one square size"
            )
        self.shape = shape
        images = np.ascontiguousarray(block.images)
        self.hash.update(images.data)
        self.labels.append(block.labels.astype(np.int64, copy=False))
        self.ids.append(block.ids.astype(np.int64, copy=False))
        self.sums.append(_sums(images))
        if self.file is None:
            self.kept.append(images)
        else:
            self.file.write(images.data)

    def arrays(self) -> dict[str, npt.NDArray[np.int64]]:
        lists = {"labels": self.labels, "ids": self.ids, "sums": self.sums}
        return {name: np.concatenate(arrays) for name, arrays in lists.items()}

    def finish(self, reading: Reading, where: str) -> dict[str, Any]:
        """Checks that every class has images and gives what `meta.json` holds."""
        if not self.labels:
            reasons = f"; the first: {self.bad[0][0]} ({self.bad[0][1]})" if self.bad else ""
            raise BadData(f"{where}: none of {reading.total:,} images can be decoded{reasons}")
        arrays = self.arrays()
        labels = arrays["labels"]
        counts = np.bincount(labels, minlength=len(reading.classes))
        empty = [reading.classes[c] for c in np.flatnonzero(counts == 0)]
        if empty:
            raise BadData(
                f"{where}: no readable images of class {some(empty)}; "
                f"each of the {len(counts)} classes (labels 0 to {len(counts) - 1}) needs some"
            )
        ends = np.cumsum(list(self.parts.values())).tolist()
        parts = {name: (end - size, end) for (name, size), end in zip(self.parts.items(), ends, strict=True)}
        for name in ("labels", "ids"):
            self.hash.update(arrays[name].astype("<i8").tobytes())
        self.hash.update(json.dumps([self.shape, reading.classes, parts]).encode())
        return {
            "shape": [len(labels), *self.shape],
            "classes": reading.classes,
            "parts": parts,
            "bad": self.bad,
            "total": reading.total,
            "digest": self.hash.hexdigest(),
        }


def _sums(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Each image's sum and sum of squares by channel, int64 (n, 2, 3); exact, so no order of adding shows in them."""
    first = images.sum(axis=(2, 3), dtype=np.int64)
    squares = (images.astype(np.uint16) ** 2).sum(axis=(2, 3), dtype=np.int64)
    return np.stack([first, squares], axis=1)


def _decoded(
    meta: dict[str, Any],
    images: torch.Tensor,
    arrays: dict[str, npt.NDArray[np.int64]],
    folder: Path | None,
) -> Decoded:
    return Decoded(
        images=images,
        labels=arrays["labels"],
        ids=arrays["ids"],
        sums=arrays["sums"],
        classes=tuple(meta["classes"]),
        parts={name: (start, stop) for name, (start, stop) in meta["parts"].items()},
        bad=tuple((path, reason) for path, reason in meta["bad"]),
        total=meta["total"],
        digest=meta["digest"],
        folder=folder,
    )


def _decode_in_memory(source: Source, image_size: int | None) -> Decoded:
    reading, sink = source.read(image_size), _Sink(None)
    for block in reading.blocks:
        sink.take(block)
    meta = sink.finish(reading, source.where)
    return _decoded(meta, torch.from_numpy(np.concatenate(sink.kept)), sink.arrays(), None)


def _decode_to(folder: Path, source: Source, image_size: int | None) -> None:
    """Decodes into a folder beside `folder` and renames it; called under the lock, so what lies there is left over."""
    unfinished = folder.with_suffix(".unfinished")
    for leftover in (unfinished, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        reading = source.read(image_size)
        if image_size is not None:
            require_space(unfinished, reading.total * 3 * image_size**2)
        with (unfinished / "images.u8").open("wb") as file:
            sink = _Sink(file)
            for block in reading.blocks:
                sink.take(block)
            meta = sink.finish(reading, source.where)
            _sync(file)
        for name, array in sink.arrays().items():
            with (unfinished / f"{name}.npy").open("wb") as file:
                np.save(file, array, allow_pickle=False)
                _sync(file)
        with (unfinished / "meta.json").open("wb") as file:
            file.write(json.dumps(meta).encode())
            _sync(file)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def require_space(folder: Path, wanted: int) -> None:
    """Raises `NoSpaceOrPermission` where `folder`'s disk has fewer than `wanted` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise NoSpaceOrPermission(
            f"{folder.parent}: {_size(wanted)} are needed for the decoded images, but only {_size(free)} are free; "
            "free some space there, or point ABLATE_HOME to a disk with room"
        )


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _open(folder: Path) -> Decoded | None:
    """The decoded data set in `folder`, or None where it is absent or not whole."""
    try:
        meta = json.loads((folder / "meta.json").read_bytes())
        images = map_images(folder / "images.u8", tuple(meta["shape"]))
        arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("labels", "ids", "sums")}
        return _decoded(meta, images, arrays, folder)
    except PermissionError as error:
        raise NoSpaceOrPermission(
            f"{error.filename}: cannot be read; check its permissions or set ABLATE_HOME"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, EOFError):
        return None


def map_images(path: Path, shape: tuple[int, ...]) -> torch.Tensor:
    """uint8 images of `shape` mapped copy-on-write from `path`; raises `ValueError` where the file has another size."""
    if path.stat().st_size != int(np.prod(shape, dtype=np.int64)):
        raise ValueError(f"{path} is incomplete")
    return torch.from_numpy(np.memmap(path, dtype=np.uint8, mode="c", shape=shape))


def write_rows(images: torch.Tensor, rows: Labels, path: Path) -> torch.Tensor:
    """`images[rows]` as a mapped file at `path`, written once: for parts that are too large to copy in memory."""
    shape = (len(rows), *images.shape[1:])
    with writing(path), locked(path.with_suffix(".lock")):
        if not path.exists():
            require_space(path.parent, int(np.prod(shape, dtype=np.int64)))
            unfinished = path.with_suffix(".unfinished")
            try:
                with unfinished.open("wb") as file:
                    for start in range(0, len(rows), 1024):
                        file.write(images.index_select(0, torch.from_numpy(rows[start : start + 1024])).numpy().data)
                    _sync(file)
                unfinished.rename(path)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
        return map_images(path, shape)
