"""The official CIFAR files: binary and Python hold the same, and a pickle cannot run anything."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_texts import raising

from ablate.errors import BadData, NotFound
from ablate.parts.reading.cifar import CIFAR10, _make_dtype, load_pickle
from ablate.study.recipes.recipe import Data
from ablate.training.data import DataSplits, load_data

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 3, 32, 32), dtype=np.uint8)
LABELS = np.arange(60) % 10
FINE = np.arange(200) % 100


def load(root: Path, home: Path, name: str = "cifar10", **fields: Any) -> DataSplits:
    return load_data(Data.model_validate({"name": name, **fields}), 0, home=home, data_root=root)


def write_binary(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate([*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]):
        rows = slice(10 * number, 10 * number + 10)
        content = np.concatenate([LABELS[rows, None].astype(np.uint8), IMAGES[rows].reshape(10, -1)], axis=1)
        (folder / name).write_bytes(content.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(CIFAR10) + "\n\n")


def write_python(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        rows = slice(10 * number, 10 * number + 10)
        batch = {b"data": IMAGES[rows].reshape(10, -1), b"labels": LABELS[rows].tolist(), b"batch_label": b"one"}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=4))
    (folder / "batches.meta").write_bytes(
        pickle.dumps({b"label_names": [name.encode() for name in CIFAR10]}, protocol=4)
    )


@pytest.mark.parametrize(
    ("write", "place", "form"),
    [
        (write_binary, "cifar-10-batches-bin", "official binary files"),
        (write_python, "cifar10/cifar-10-batches-py", "official python files"),
    ],
)
def test_official_files(root: Path, home: Path, write: Callable[[Path], None], place: str, form: str) -> None:
    write(root / place)
    splits = load(root, home)
    assert splits.test is not None
    assert torch.equal(splits.train.images, torch.from_numpy(IMAGES[:50]))
    assert torch.equal(splits.test.images, torch.from_numpy(IMAGES[50:]))
    assert splits.test.labels.tolist() == LABELS[50:].tolist()
    assert splits.classes == CIFAR10
    assert splits.details["source"] == form


def test_binary_python_and_npz_of_the_same_images_have_one_digest(root: Path, home: Path) -> None:
    write_binary(root / "a")
    write_python(root / "b")
    planes = IMAGES.transpose(0, 2, 3, 1)
    np.savez(
        root / "c.npz",
        train_images=planes[:50],
        train_labels=LABELS[:50],
        test_images=planes[50:],
        test_labels=LABELS[50:],
        class_names=np.array(CIFAR10),
    )
    digests = {load(root, home, path=path).digest for path in ("a", "b", "c.npz")}
    assert len(digests) == 1


def test_cifar100_uses_the_fine_labels(root: Path, home: Path) -> None:
    folder = root / "cifar-100-binary"
    folder.mkdir()
    for name in ("train.bin", "test.bin"):
        pixels = RNG.integers(0, 256, (200, 3072), dtype=np.uint8)
        coarse = (FINE // 5).astype(np.uint8)
        (folder / name).write_bytes(
            np.concatenate([coarse[:, None], FINE[:, None].astype(np.uint8), pixels], axis=1).tobytes()
        )
    splits = load(root, home, "cifar100")
    assert splits.train.labels.tolist() == FINE.tolist()
    assert splits.classes == tuple(str(c) for c in range(100))
    (folder / "fine_label_names.txt").write_text("\n".join(f"class_{c}" for c in range(100)))
    assert load(root, home / "b", "cifar100").classes[99] == "class_99"


def test_cifar100_in_python_form(root: Path, home: Path) -> None:
    folder = root / "cifar-100-python"
    folder.mkdir()
    for name in ("train", "test"):
        batch = {
            b"data": RNG.integers(0, 256, (200, 3072), dtype=np.uint8),
            b"fine_labels": FINE.tolist(),
            b"coarse_labels": [],
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=4))
    assert load(root, home, "cifar100").train.labels.tolist() == FINE.tolist()


def test_a_truncated_batch_is_named(root: Path, home: Path) -> None:
    write_binary(root / "cifar-10-batches-bin")
    path = root / "cifar-10-batches-bin" / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:30_000])
    with raising(BadData):
        load(root, home)


def test_missing_batches_are_named(root: Path, home: Path) -> None:
    write_python(root / "cifar-10-batches-py")
    (root / "cifar-10-batches-py" / "data_batch_2").unlink()
    with raising(BadData):
        load(root, home)


def test_labels_outside_the_classes(root: Path, home: Path) -> None:
    write_binary(root / "cifar-10-batches-bin")
    path = root / "cifar-10-batches-bin" / "test_batch.bin"
    path.write_bytes(b"\x63" + path.read_bytes()[1:])
    with raising(BadData):
        load(root, home)


class Runs:
    """What a malicious pickle holds: it calls a function when it is loaded."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self.target,)


def test_a_pickle_that_runs_code_is_refused_and_runs_nothing(root: Path, home: Path, tmp_path: Path) -> None:
    write_python(root / "cifar-10-batches-py")
    target = tmp_path / "made_by_the_pickle"
    (root / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps({b"data": Runs(str(target))}))
    with raising(BadData):
        load(root, home)
    assert not target.exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"garbage", pickle.dumps([1])[:-1]])
def test_a_broken_pickle_is_bad_data(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "batch").write_bytes(content)
    with raising(BadData):
        load_pickle(tmp_path / "batch")


def test_a_batch_of_something_else(root: Path, home: Path) -> None:
    write_python(root / "cifar-10-batches-py")
    (root / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps({b"data": [1, 2]}))
    with raising(BadData):
        load(root, home)


def test_dtypes_of_old_pickles_give_no_warning() -> None:
    assert _make_dtype("u1", 0, 1) == np.uint8


def test_missing_cifar_says_how_to_get_it(root: Path, home: Path) -> None:
    with raising(NotFound, code="absent-data-set"):
        load(root, home)
