"""CIFAR-10 and CIFAR-100 in the official files, binary or Python; a pickle is read by an unpickler that can build
arrays only."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ablate.errors import BadData
from ablate.parts.reading.arrays import Part, npz_source, reading, stat_line
from ablate.parts.reading.source import Labels, Reading, Source

PIXELS = 3 * 32 * 32
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Layout:
    """Where the official files hold what; `label_byte` is the label's place in the first `labels` bytes of a row."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    names_file: str
    labels: int
    label_byte: int
    label_key: bytes
    names_key: bytes


_FIVE = tuple(f"data_batch_{n}" for n in range(1, 6))
BINARY = {
    "cifar10": Layout(tuple(f"{n}.bin" for n in _FIVE), ("test_batch.bin",), "batches.meta.txt", 1, 0, b"", b""),
    "cifar100": Layout(("train.bin",), ("test.bin",), "fine_label_names.txt", 2, 1, b"", b""),
}
PYTHON = {
    "cifar10": Layout(_FIVE, ("test_batch",), "batches.meta", 0, 0, b"labels", b"label_names"),
    "cifar100": Layout(("train",), ("test",), "meta", 0, 0, b"fine_labels", b"fine_label_names"),
}


def find(name: str, place: Path) -> Source | None:
    """The source at `place`, an npz file or a folder of official files; None where nothing of the kind lies there."""
    if place.is_file() and place.suffix == ".npz":
        return npz_source(name, place)
    for form, layouts, read_file in (("binary", BINARY, _read_binary), ("python", PYTHON, _read_python)):
        layout = layouts[name]
        files = [*layout.train, *layout.test]
        there = [file for file in files if (place / file).is_file()]
        if there:
            missing = [file for file in files if file not in there]
            if missing:
                raise BadData(
                    f"{place}: the official {form} files are incomplete; missing: {', '.join(missing)}; unpack again"
                )
            return _source(name, f"official {form} files", place, layout, read_file)
    return None


ReadFile = Callable[[Path, Layout], tuple[Any, Labels]]


def _source(name: str, form: str, place: Path, layout: Layout, read_file: ReadFile) -> Source:
    names_path = place / layout.names_file
    lines = [stat_line(place / file, file) for file in (*layout.train, *layout.test)]
    if names_path.is_file():
        lines.append(stat_line(names_path, layout.names_file))

    def read(image_size: int | None) -> Reading:
        parts = []
        for part, files in (("train", layout.train), ("test", layout.test)):
            pairs = [read_file(place / file, layout) for file in files]
            images = np.concatenate([rows for rows, _ in pairs]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            parts.append(Part(part, images, np.concatenate([labels for _, labels in pairs])))
        return reading(parts, _class_names(name, names_path, layout), str(place), image_size)

    return Source(name, form, str(place), (*lines, str(place)), read)


def _read_binary(path: Path, layout: Layout) -> tuple[Any, Labels]:
    """Rows of label bytes and 3,072 pixels (1,024 red, green, blue)."""
    row = layout.labels + PIXELS
    content = np.fromfile(path, dtype=np.uint8)
    if not len(content) or len(content) % row:
        raise BadData(
            f"{path}: {len(content):,} bytes is not a whole number of rows of {row} bytes; it may be truncated: unpack it again"
        )
    rows = content.reshape(-1, row)
    return rows[:, layout.labels :], rows[:, layout.label_byte].astype(np.int64)


def _read_python(path: Path, layout: Layout) -> tuple[Any, Labels]:
    batch = load_pickle(path)
    images, labels = (batch.get(b"data"), batch.get(layout.label_key)) if isinstance(batch, dict) else (None, None)
    if (
        not isinstance(images, np.ndarray)
        or images.dtype != np.uint8
        or images.ndim != 2
        or images.shape[1] != PIXELS
        or not isinstance(labels, list)
        or not all(isinstance(label, int) for label in labels)
    ):
        wanted = layout.label_key.decode()
        raise BadData(
            f"{path}: not an official batch: needs data, uint8 (N, {PIXELS}), and {wanted}, a list of whole numbers"
        )
    return images, np.asarray(labels, dtype=np.int64)


def _class_names(name: str, path: Path, layout: Layout) -> tuple[str, ...]:
    """From the official list beside the data; without it CIFAR-10's are known and CIFAR-100's are numbers."""
    if not path.is_file():
        return CIFAR10 if name == "cifar10" else tuple(str(number) for number in range(100))
    if layout.names_key:
        meta = load_pickle(path)
        names = meta.get(layout.names_key) if isinstance(meta, dict) else None
        if not isinstance(names, list) or not all(isinstance(item, bytes) for item in names):
            raise BadData(f"{path}: holds no list {layout.names_key.decode()}; unpack it again")
        return tuple(item.decode("utf-8", "replace") for item in names)
    return tuple(path.read_text(encoding="utf-8", errors="replace").split())


def _make_dtype(spec: str, align: object = False, copy: object = False) -> np.dtype[Any]:
    """`numpy.dtype` as old pickles call it: with 0 and 1 for booleans, which numpy now warns of."""
    return np.dtype(spec, align=bool(align), copy=bool(copy))


class _ArrayUnpickler(pickle.Unpickler):
    """Builds plain containers, bytes and numpy arrays; anything else that a pickle names is refused, not imported."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return np.empty(0).__reduce__()[0]
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return _make_dtype
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is not loaded because it could run code")


def load_pickle(path: Path) -> Any:
    """The content of a pickle of containers, bytes, numbers and arrays; raises `BadData` for any other one."""
    try:
        with path.open("rb") as file:
            return _unpickle(file)
    except PermissionError:
        raise
    except Exception as error:  # a broken pickle raises nearly anything
        raise BadData(
            f"{path}: not a readable batch: {error or type(error).__name__}; unpack the official archive again"
        ) from None


def _unpickle(file: BinaryIO) -> Any:
    return _ArrayUnpickler(file, encoding="bytes").load()
