"""Array data sets: npz files and their mistakes, digits, synthetic images, a caller's function."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_texts import raising
from sklearn.datasets import load_digits

from ablate.errors import BadData, NotFound
from ablate.parts.reading import arrays as arrays_module
from ablate.parts.reading.images import resize_square, to_planes
from ablate.study.recipes.recipe import Data
from ablate.training.data import DataSplits, load_data

RNG = np.random.default_rng(0)
HALVES = {"train": 0.5, "val": 0.5}


def load(root: Path, home: Path, **fields: Any) -> DataSplits:
    settings: dict[str, Any] = {"name": "npz", "path": "my.npz"} | fields
    return load_data(Data.model_validate(settings), 0, home=home, data_root=root)


def arrays(train: int = 8, **sizes: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for part, size in {"train": train, **sizes}.items():
        made[f"{part}_images"] = RNG.integers(0, 256, (size, 6, 7, 3), dtype=np.uint8)
        made[f"{part}_labels"] = np.arange(size) % 2
    return made


def test_medmnist_keys(root: Path, home: Path) -> None:
    made = arrays(8, val=4, test=6)
    made["train_labels"] = made["train_labels"].astype(np.uint8)[:, None]
    np.savez(root / "my.npz", **made, class_names=np.array(["even", "odd"]), something_else=np.zeros(3))
    splits = load(root, home)
    assert splits.val is not None
    assert splits.test is not None
    assert splits.classes == ("even", "odd")
    assert (len(splits.train), len(splits.val), len(splits.test), splits.reported) == (8, 4, 6, "test")
    assert splits.train.labels.tolist() == [0, 1] * 4
    assert torch.equal(splits.test.images, torch.from_numpy(made["test_images"]).permute(0, 3, 1, 2))
    assert splits.test.ids.tolist() == [12, 13, 14, 15, 16, 17]


def test_train_alone_has_no_official_split(root: Path, home: Path) -> None:
    np.savez_compressed(root / "my.npz", **arrays())
    assert len(load(root, home, split=HALVES).train) == 4
    with raising(BadData):
        load(root, home)


def test_grey_images_and_resizing(root: Path, home: Path) -> None:
    made = arrays(8, test=2) | {
        f"{part}_images": RNG.integers(0, 256, (n, 9, 9), dtype=np.uint8) for part, n in (("train", 8), ("test", 2))
    }
    np.savez(root / "my.npz", **made)
    assert load(root, home).train.images.shape == (8, 3, 9, 9)
    assert load(root, home, image_size=5).train.images.shape == (8, 3, 5, 5)


def refused(root: Path, home: Path, made: dict[str, Any]) -> str:
    np.savez(root / "my.npz", allow_pickle=True, **made)
    with raising(BadData) as caught:
        load(root, home)
    text = str(caught.value)
    assert text.startswith(f"{root / 'my.npz'}: ")
    return text.removeprefix(f"{root / 'my.npz'}: ")


KEYS = "train_images, train_labels, val_images, val_labels, test_images, test_labels, class_names"


def test_wrong_keys_are_named(root: Path, home: Path) -> None:
    refused(root, home, {"x_train": np.zeros(2), "y_train": np.zeros(2)})


def test_object_arrays_are_never_loaded(root: Path, home: Path) -> None:
    made = arrays(8, test=2) | {"class_names": np.array([{"run": "me"}, None], dtype=object)}
    refused(root, home, made)


@pytest.mark.parametrize(
    "change",
    [
        {"test_labels": np.array([0, 7])},
        {"test_labels": np.array([0, -1])},
        {"test_labels": np.array([0, 1, 1])},
        {"test_labels": np.array([0.0, 1.0])},
        {"test_labels": np.zeros((2, 14), dtype=np.int64)},
        {"class_names": np.array(["a", "a"])},
        {"class_names": np.array([1, 2])},
        {"class_names": np.array(["a", "b", "c"])},
    ],
)
def test_mistakes_in_arrays(root: Path, home: Path, change: dict[str, Any]) -> None:
    refused(root, home, {**arrays(8, test=2), "class_names": np.array(["a", "b"]), **change})


def test_a_part_needs_images_and_labels(root: Path, home: Path) -> None:
    made = arrays(8, test=2)
    del made["test_labels"]
    refused(root, home, made)


def test_an_empty_part_is_refused(root: Path, home: Path) -> None:
    refused(root, home, arrays(8, test=0))


def test_a_gap_in_the_labels_is_a_class_without_images(root: Path, home: Path) -> None:
    made = arrays(8, test=2)
    made["train_labels"] = made["train_labels"] * 2
    made["test_labels"] = made["test_labels"] * 2
    refused(root, home, made)


def test_a_class_that_is_only_tested_is_named(root: Path, home: Path) -> None:
    np.savez(root / "my.npz", **(arrays(8, test=2) | {"train_labels": np.zeros(8, dtype=np.int64)}))
    with raising(BadData):
        load(root, home)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"hello" * 100])
def test_a_broken_file_is_no_npz(root: Path, home: Path, content: bytes) -> None:
    (root / "my.npz").write_bytes(content)
    with raising(BadData):
        load(root, home)


def test_a_damaged_member_is_noticed(root: Path, home: Path) -> None:
    np.savez(root / "my.npz", **arrays(8, test=2))
    content = bytearray((root / "my.npz").read_bytes())
    content[400] ^= 255
    (root / "my.npz").write_bytes(content)
    with raising(BadData):
        load(root, home)


def test_a_bare_array_is_refused(root: Path, home: Path) -> None:
    with (root / "my.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with raising(BadData):
        load(root, home)


def test_digits_are_scaled_and_in_three_channels(root: Path, home: Path) -> None:
    splits = load(root, home, name="digits", path=None, split=HALVES)
    bunch = load_digits()
    assert splits.val is not None
    assert len(splits.train) + len(splits.val) == 1797
    assert splits.classes == tuple("0123456789")
    first = int(splits.train.ids[0])
    assert torch.equal(
        splits.train.images[0, 2], torch.from_numpy(np.rint(bunch.images[first] * 255 / 16)).to(torch.uint8)
    )
    assert int(splits.train.images.max()) == 255


def test_digits_have_no_official_split(root: Path, home: Path) -> None:
    with raising(BadData):
        load(root, home, name="digits", path=None, split="official")


def test_synthetic_is_the_same_for_every_seed_and_can_be_learned(root: Path, home: Path) -> None:
    splits = load(root, home, name="synthetic", path=None)
    again = load_data(Data(name="synthetic"), 7, home=home, data_root=root)
    assert splits.test is not None
    assert splits.digest == again.digest
    assert (len(splits.train), len(splits.test), len(splits.classes)) == (400, 112, 10)
    train, test = splits.train.images.float().flatten(1), splits.test.images.float().flatten(1)
    centres = torch.stack([train[splits.train.labels == c].mean(0) for c in range(10)])
    assert (torch.cdist(test, centres).argmin(1) == splits.test.labels).float().mean() > 0.95


MADE: dict[str, Any] = arrays(8, test=4)


def make(path: Path) -> Any:
    """The caller's own data set of the tests below."""
    return MADE if path.name == "here" else "nothing"


def test_a_callers_function(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "my_data", type(np)("my_data"))
    monkeypatch.setattr("my_data.make", make, raising=False)
    splits = load(root, home, name="my_data:make", path="here")
    assert torch.equal(splits.train.images, torch.from_numpy(MADE["train_images"]).permute(0, 3, 1, 2))
    with raising(BadData):
        load(root, home, name="my_data:make", path="elsewhere")
    with raising(NotFound):
        load(root, home, name="my_data:nope")
    with raising(NotFound):
        load(root, home, name="no_such_module:make")


def pictures(count: int, height: int, width: int) -> Any:
    return RNG.integers(0, 256, (count, height, width), dtype=np.uint8)


@pytest.mark.parametrize("sizes", [(6, 8), (8, 7), (12, 4)], ids=str)
@pytest.mark.parametrize("how", ["npz", "callable"])
def test_parts_of_unlike_size_are_refused_or_resized_each_by_its_own(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, int], how: str
) -> None:
    made = arrays(8, test=4) | {"train_images": pictures(8, 8, 6), "test_images": pictures(4, *sizes)}
    fields: dict[str, Any] = {}
    if how == "npz":
        np.savez(root / "my.npz", **made)
    else:
        monkeypatch.setitem(__import__("sys").modules, "my_data", type(np)("my_data"))
        monkeypatch.setattr("my_data.make", lambda path: made, raising=False)
        fields = {"name": "my_data:make", "path": None}
    text = rf"train is 6x8 pixels, test is {sizes[1]}x{sizes[0]}"
    with pytest.raises(BadData, match=text):
        load(root, home, **fields)
    splits = load(root, home, image_size=6, **fields)
    assert splits.test is not None
    alone = resize_square(to_planes(made["test_images"], ""), 6)
    assert torch.equal(splits.test.images, torch.from_numpy(alone))


@pytest.mark.parametrize("image_size", [None, 4])
def test_images_without_pixels_are_refused(root: Path, home: Path, image_size: int | None) -> None:
    np.savez(root / "my.npz", **(arrays(8, test=2) | {"train_images": pictures(8, 0, 0)}))
    with raising(BadData):
        load(root, home, image_size=image_size)


def test_one_pixel_is_a_size(root: Path, home: Path) -> None:
    made = arrays(8, test=2)
    np.savez(root / "my.npz", **made)
    train = load(root, home, image_size=1).train.images
    assert train.shape == (8, 3, 1, 1)
    square = torch.from_numpy(made["train_images"]).permute(0, 3, 1, 2).float()[..., :6]
    assert (train.float() - square.mean(dim=(2, 3), keepdim=True)).abs().max() < 64


def test_small_blocks_give_the_same_pixels(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(root / "my.npz", **arrays(9, test=5))
    whole = load(root, home, image_size=5)
    monkeypatch.setattr(arrays_module, "BLOCK_BYTES", 3 * 42 * 2)
    assert load(root, home / "other", image_size=5).digest == whole.digest


def test_one_class_is_no_data_set(root: Path, home: Path) -> None:
    made = arrays(8, test=2) | {"train_labels": np.zeros(8, np.int64), "test_labels": np.zeros(2, np.int64)}
    refused(root, home, made)
    refused(root, home, {**made, "class_names": np.array(["cat"])})


@pytest.mark.parametrize("key", ["train_images", "train_labels", "test_labels"])
def test_a_bare_number_is_no_array(root: Path, home: Path, key: str) -> None:
    assert " of shape (); allowed: " in refused(root, home, arrays(8, test=2) | {key: np.uint8(3)})


@pytest.mark.parametrize("label", [2**31, 2**40, 2**63 - 1])
def test_one_huge_label_names_no_classes(root: Path, home: Path, label: int) -> None:
    refused(root, home, arrays(8, test=2) | {"test_labels": np.array([0, label])})


def test_labels_that_start_at_one_are_told(root: Path, home: Path) -> None:
    made = arrays(8, test=2) | {"train_labels": np.arange(8) % 4 + 1, "test_labels": np.array([2, 4])}
    refused(root, home, made)
    refused(root, home, made | {"class_names": np.array(["a", "b", "c", "d"])})


def bomb(root: Path, shape: tuple[int, ...]) -> None:
    """An npz whose train_images says that it is of `shape` and holds four bytes."""
    held = io.BytesIO()
    np.lib.format.write_array_header_1_0(held, {"descr": "|u1", "fortran_order": False, "shape": shape})
    np.savez(root / "my.npz", **{key: value for key, value in arrays(8, test=2).items() if key != "train_images"})
    with zipfile.ZipFile(root / "my.npz", "a") as archive:
        archive.writestr("train_images.npy", held.getvalue() + bytes(4))


def test_a_header_that_promises_more_than_is_there(root: Path, home: Path) -> None:
    bomb(root, (2**20, 2**20, 2**10))
    with raising(BadData):
        load(root, home)


def test_what_the_machine_cannot_hold_is_not_loaded(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(root / "my.npz", **arrays(8, test=2))
    monkeypatch.setattr("os.sysconf", lambda name: 10)
    with raising(BadData):
        load(root, home)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is an empty file"),
        (b"not an array\n", "it is a text file"),
        (b"<html><body>Sign in</body></html>", "it is a web page in place of the file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer"),
        (pickle.dumps({"train_images": 3}), "it is a pickle of Python objects, which are never loaded"),
        (b"PK\x03\x04" + bytes(60), "it is a zip archive that is cut short"),
    ],
    ids=["empty", "text", "html", "lfs", "pickle", "cut"],
)
def test_what_is_no_npz_is_told_without_advice_to_unpickle(root: Path, home: Path, content: bytes, said: str) -> None:
    (root / "my.npz").write_bytes(content)
    with raising(BadData) as caught:
        load(root, home)
    assert "allow_pickle" not in str(caught.value)


def test_text_under_an_arrays_name(root: Path, home: Path) -> None:
    np.savez(root / "my.npz", **{key: value for key, value in arrays(8, test=2).items() if key != "train_images"})
    with zipfile.ZipFile(root / "my.npz", "a") as archive:
        archive.writestr("train_images", "no array")
    with raising(BadData):
        load(root, home)
