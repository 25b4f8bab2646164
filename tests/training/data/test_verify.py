"""Whole, incomplete or broken: by checksums, by counts, and by opening every image."""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_texts import golden, raising, worded

from ablate.errors import NotFound, UsageError
from ablate.parts.declare import DataSet
from ablate.parts.found import parts
from ablate.parts.reading.cifar import CIFAR10
from ablate.training.data import verify
from ablate.training.data.verify import Verdict

RNG = np.random.default_rng(0)
FIVE = [f"data_batch_{n}" for n in range(1, 6)]


@pytest.fixture(autouse=True)
def _small(change_part: Callable[..., Any]) -> None:
    """Official sets of a few images: CIFAR-10 with 50 and 10, Caltech-101 with 3 classes and 6 images."""
    change_part(DataSet, "cifar10", each={"train": 5, "test": 1})
    change_part(DataSet, "caltech101", classes=3, images=6)
    change_part(DataSet, "caltech100", classes=2, images=4)


def look(name: str, root: Path, decode: bool = False) -> Verdict:
    found = verify.verify(name, root, decode)
    assert found is not None
    return found


def write_python(root: Path, change_part: Callable[..., Any]) -> Path:
    """The official Python files, whose MD5 sums become the known ones."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    sums = {}
    for name in [*FIVE, "test_batch", "batches.meta"]:
        batch = {b"data": RNG.integers(0, 256, (10, 3072), dtype=np.uint8), b"labels": list(range(10))}
        names = {b"label_names": [name.encode() for name in CIFAR10]}
        content = pickle.dumps(names if name == "batches.meta" else batch, protocol=4)
        (folder / name).write_bytes(content)
        sums[name] = hashlib.md5(content).hexdigest()
    change_part(DataSet, "cifar10", sums=sums)
    return folder


def write_npz(root: Path, **arrays: Any) -> None:
    whole = {
        "train_images": RNG.integers(0, 256, (50, 32, 32, 3), dtype=np.uint8),
        "train_labels": np.arange(50) % 10,
        "test_images": RNG.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8),
        "test_labels": np.arange(10),
        "class_names": np.array(CIFAR10),
    }
    np.savez(root / "cifar10.npz", **{**whole, **arrays})


def test_the_official_files_are_whole(root: Path, change_part: Callable[..., Any]) -> None:
    folder = write_python(root, change_part)
    assert look("cifar10", root) == Verdict(
        "cifar10", "whole", str(folder), "official python files", 60, 60_000, 10, 10, True, (),
        "ablate data fetch cifar10 --force gets the official files",
    )  # fmt: skip


def test_a_batch_with_other_bytes_is_broken(root: Path, change_part: Callable[..., Any]) -> None:
    path = write_python(root, change_part) / "data_batch_3"
    batch = pickle.loads(path.read_bytes())
    batch[b"data"][0, 0] ^= 1
    path.write_bytes(pickle.dumps(batch, protocol=4))
    found = look("cifar10", root)
    assert (found.state, found.images) == ("broken", 60)
    got, expected = hashlib.md5(path.read_bytes()).hexdigest(), parts(DataSet)["cifar10"].sums["data_batch_3"]
    assert found.problems == (f"data_batch_3 is not the official file: its MD5 is {got}, expected {expected}",)


def test_missing_files_are_broken(root: Path, change_part: Callable[..., Any]) -> None:
    folder = write_python(root, change_part)
    (folder / "batches.meta").unlink()
    assert look("cifar10", root).problems == ("batches.meta is missing",)
    (folder / "data_batch_2").unlink()
    found = look("cifar10", root)
    assert (found.state, found.where, found.images, found.classes) == ("broken", str(folder), None, None)
    assert found.problems == (
        f"{folder}: the official python files are incomplete; missing: data_batch_2; unpack again",
    )


def test_the_binary_form_is_counted(root: Path) -> None:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    for name in [*FIVE, "test_batch"]:
        rows = RNG.integers(0, 256, (10, 3073), dtype=np.uint8)
        rows[:, 0] = np.arange(10)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    assert (look("cifar10", root).state, look("cifar10", root).form) == ("whole", "official binary files")
    (folder / "test_batch.bin").write_bytes((folder / "test_batch.bin").read_bytes()[: 8 * 3073])
    found = look("cifar10", root)
    assert (found.state, found.problems) == ("incomplete", ("test: 8 of 10 images; missing: 1 of ship, 1 of truck",))


def test_a_copy_with_all_images_is_whole(root: Path) -> None:
    write_npz(root)
    found = look("cifar10", root)
    assert (found.state, found.form, found.images, found.classes) == ("whole", "npz (cifar10.npz)", 60, 10)


def test_a_copy_with_fewer_images_is_incomplete(root: Path) -> None:
    kept = np.arange(50) % 10 != 8
    kept[:8] = False
    write_npz(root, train_images=RNG.integers(0, 256, (int(kept.sum()), 32, 32, 3), dtype=np.uint8), train_labels=(np.arange(50) % 10)[kept])  # fmt: skip
    found = look("cifar10", root)
    assert (found.state, found.images) == ("incomplete", 47)
    assert found.problems == (
        "train: 37 of 50 images; missing: 1 of airplane, 1 of automobile, 1 of bird, 1 of cat, 1 of deer, 1 of dog, "
        "1 of frog, 1 of horse, 5 of ship",
    )


def test_other_parts_than_the_official_ones_are_told(root: Path) -> None:
    images, labels = RNG.integers(0, 256, (50, 32, 32, 3), dtype=np.uint8), np.arange(50) % 10
    np.savez(root / "cifar10.npz", train_images=images, train_labels=labels, val_images=images[:10], val_labels=labels[:10])  # fmt: skip
    found = look("cifar10", root)
    assert found.state == "broken"
    assert found.problems == (
        "has a part 'val'; the official parts are train and test",
        "test: 0 of 10 images; missing: 1 of 0, 1 of 1, 1 of 2, 1 of 3, 1 of 4, 1 of 5, 1 of 6, 1 of 7, 1 of 8, 1 of 9",
    )


@pytest.mark.parametrize(
    "arrays",
    [
        {"test_images": np.zeros((10, 28, 28, 3), np.uint8)},
        {"class_names": np.array([*CIFAR10, "unicorn"])},
        {"test_labels": np.arange(10) + 1},
        {"test_labels": np.arange(9)},
        {"test_images": np.zeros((11, 32, 32, 3), np.uint8), "test_labels": np.arange(11) % 10},
    ],
)
def test_a_copy_of_something_else_is_broken(root: Path, arrays: dict[str, Any]) -> None:
    write_npz(root, **arrays)
    found = look("cifar10", root)
    assert found.state == "broken"
    golden("messages", found.problems)


def test_a_copy_that_is_cut_is_broken(root: Path) -> None:
    write_npz(root)
    path = root / "cifar10.npz"
    path.write_bytes(path.read_bytes()[:10_000])
    found = look("cifar10", root)
    assert (found.state, found.images, found.where) == ("broken", None, str(path))
    worded(found.problems[0], f"{path}: ")


FOLDER = "caltech101/101_ObjectCategories"


@pytest.fixture
def caltech(make_folder: Callable[..., Path]) -> Path:
    return make_folder(FOLDER, {"BACKGROUND_Google": 2, "Faces": 2, "Faces_easy": 2, "ant": 2})


def test_folders_are_counted(root: Path, caltech: Path) -> None:
    found = look("caltech101", root)
    assert (found.state, found.images, found.classes, found.problems) == ("whole", 6, 3, ())
    assert (found.where, found.decoded) == (str(caltech), False)
    (caltech / "ant" / "image_0001.jpg").unlink()
    assert look("caltech101", root).problems == ("5 of 6 images",)
    (caltech / "ant" / "image_0000.jpg").unlink()
    (caltech / "ant").rmdir()
    found = look("caltech101", root)
    assert (found.state, found.problems) == ("incomplete", ("2 of 3 classes", "4 of 6 images"))


def test_more_than_the_official_images_is_broken(root: Path, caltech: Path) -> None:
    (caltech / "more").mkdir()
    (caltech / "ant" / "image_0001.jpg").rename(caltech / "more" / "image_0001.jpg")
    found = look("caltech101", root)
    assert (found.state, found.problems) == ("broken", ("4 classes, the official number is 3",))


def test_images_are_opened_on_demand(root: Path, caltech: Path) -> None:
    path = caltech / "ant" / "image_0001.jpg"
    path.write_bytes(b"no image")
    assert look("caltech101", root).state == "whole"
    found = look("caltech101", root, decode=True)
    assert (found.state, found.decoded) == ("broken", True)
    assert found.problems == ("ant/image_0001.jpg cannot be opened: not an image in a known format",)
    assert look("caltech100", root, decode=True).problems == found.problems


def test_an_empty_class_is_broken(root: Path, caltech: Path) -> None:
    for path in (caltech / "ant").iterdir():
        path.unlink()
    found = look("caltech101", root)
    assert (found.state, found.where) == ("broken", str(caltech))
    worded(found.problems[0], f"{caltech}: ", "ant")


def test_all_that_are_here(root: Path, caltech: Path) -> None:
    write_npz(root)
    assert [(found.name, found.state) for found in verify.verify_all(root)] == [
        ("caltech100", "whole"),
        ("caltech101", "whole"),
        ("cifar10", "whole"),
    ]
    (root / "cifar-10-batches-bin").mkdir()
    (root / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(b"")
    assert [found.state for found in verify.verify_all(root)] == ["whole", "whole", "broken"]


def test_what_is_not_here_says_how_to_get_it(root: Path) -> None:
    with raising(NotFound, code="absent-data-set"):
        verify.verify("cifar100", root)
    assert verify.verify_all(root) == []
    with raising(NotFound):
        verify.require_any([], root)
    with raising(NotFound, code="unknown-data-set"):
        verify.verify("caltech", root)


def test_what_is_made_and_what_is_ones_own(root: Path) -> None:
    assert verify.verify("digits", root) is None
    with raising(UsageError):
        verify.verify("imagefolder", root)


def test_the_sums_are_torchvisions() -> None:
    from torchvision.datasets import CIFAR10 as TEN
    from torchvision.datasets import CIFAR100 as HUNDRED

    for name, theirs in (("cifar10", TEN), ("cifar100", HUNDRED)):
        sums = dict([*theirs.train_list, *theirs.test_list, (theirs.meta["filename"], theirs.meta["md5"])])
        assert sums == parts(DataSet)[name].sums


@pytest.mark.slow
def test_the_real_sets(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert look("caltech101", real_data).problems == look("caltech100", real_data).problems == ()
    found = look("cifar10", real_data)
    assert (found.state, found.images) == ("incomplete", 59_824)
    assert found.problems == (
        "train: 49,856 of 50,000 images; missing: 1 of deer, 1 of dog, 7 of horse, 135 of ship",
        "test: 9,968 of 10,000 images; missing: 1 of horse, 31 of ship",
    )
