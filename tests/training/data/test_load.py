"""load_data as a whole: what a run gets, what depends on what, what is kept; and the list of data sets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_texts import raising

from ablate.errors import BadData, NotFound
from ablate.parts.declare import DataSet
from ablate.parts.found import parts
from ablate.study.recipes.recipe import Data
from ablate.training.data import DataSplits, Split, class_counts, list_datasets, load_data, normalize_batch
from ablate.training.data import load as load_module

MakeFolder = Callable[..., Path]


def load(root: Path, home: Path, seed: int = 0, **fields: Any) -> DataSplits:
    settings: dict[str, Any] = {"name": "digits", "split": {"train": 0.64, "val": 0.16, "test": 0.2}} | fields
    return load_data(Data.model_validate(settings), seed, home=home, data_root=root)


def members(split: Split | None) -> list[int]:
    assert split is not None
    return split.ids.tolist()


def test_types_and_shapes(root: Path, home: Path) -> None:
    splits = load(root, home)
    assert splits.test is not None
    for part in (splits.train, splits.test):
        assert (part.images.dtype, part.labels.dtype, part.ids.dtype) == (torch.uint8, torch.int64, torch.int64)
        assert part.images.shape == (len(part), 3, 8, 8)
        assert part.labels.shape == part.ids.shape == (len(part),)
    assert splits.reported == "test"
    assert splits.mean.dtype == splits.std.dtype == torch.float32
    assert len(splits.digest) == 64
    assert splits.skipped == ()
    assert splits.details["images"] == {"train": 1150, "val": 287, "test": 360}


@pytest.mark.parametrize("change", [{"fraction": 0.5}, {"limit": 100}, {"image_size": 12}, {"normalize": "imagenet"}])
def test_nothing_but_the_seed_moves_an_image_between_parts(root: Path, home: Path, change: dict[str, Any]) -> None:
    plain, changed = load(root, home), load(root, home, **change)
    assert members(changed.val) == members(plain.val)
    assert members(changed.test) == members(plain.test)
    assert set(members(changed.train)) <= set(members(plain.train))
    assert members(load(root, home, seed=1).test) != members(plain.test)


def test_limit_touches_train_only_and_is_stratified(root: Path, home: Path) -> None:
    splits = load(root, home, limit=100)
    assert class_counts(splits.train, 10).tolist() == pytest.approx([10] * 10, abs=1)
    assert len(members(splits.test)) == 360
    assert splits.details["train_before_subset"] == 1150


def test_a_class_without_training_images_is_told(root: Path, home: Path) -> None:
    splits = load(root, home, limit=3)
    assert len(splits.details["classes_without_training_images"]) == 7
    assert class_counts(splits.train, 10).sum() == 3


def test_class_counts() -> None:
    split = Split(torch.zeros(3, 3, 1, 1, dtype=torch.uint8), torch.tensor([2, 0, 2]), torch.arange(3))
    assert class_counts(split, 4).tolist() == [1, 0, 2, 0]


def test_dataset_normalisation_is_of_the_training_images(root: Path, home: Path) -> None:
    splits = load(root, home, name="synthetic", split={"train": 0.5, "val": 0.5}, limit=200)
    pixels = splits.train.images.double() / 255
    assert torch.allclose(splits.mean.double(), pixels.mean(dim=(0, 2, 3)), atol=1e-7)
    assert torch.allclose(splits.std.double(), pixels.std(dim=(0, 2, 3), correction=0), atol=1e-7)
    normal = normalize_batch(splits.train.images, splits.mean, splits.std)
    assert torch.allclose(normal.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5)


@pytest.mark.parametrize(
    ("normalize", "mean", "std"),
    [
        ("imagenet", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ({"mean": 0.5, "std": [0.25]}, [0.5] * 3, [0.25] * 3),
        ({"mean": [0.1, 0.2, 0.3], "std": 1.0}, [0.1, 0.2, 0.3], [1.0] * 3),
    ],
)
def test_other_normalisations(root: Path, home: Path, normalize: Any, mean: list[float], std: list[float]) -> None:
    splits = load(root, home, normalize=normalize)
    assert splits.mean.tolist() == pytest.approx(mean)
    assert splits.std.tolist() == pytest.approx(std)


def test_a_channel_without_spread_becomes_zero(root: Path, home: Path) -> None:
    images = np.zeros((8, 4, 4, 3), dtype=np.uint8)
    images[..., 1] = 200
    images[::2, 0, 0, 2] = 90
    labels = np.arange(8) % 2
    np.savez(root / "flat.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    splits = load(root, home, name="npz", path="flat.npz", split="official")
    normal = normalize_batch(splits.train.images, splits.mean, splits.std)
    assert normal[:, :2].abs().max() < 1e-6
    assert torch.isfinite(normal).all()


def test_the_same_data_is_kept_and_the_oldest_goes(root: Path, home: Path) -> None:
    first = load(root, home)
    assert load(root, home) is first
    assert load(root, home, augment=["horizontal_flip"]) is first
    for seed in range(1, 1 + load_module.KEPT_SPLITS):
        load(root, home, seed=seed)
    assert len(load_module._kept) == load_module.KEPT_SPLITS
    again = load(root, home)
    assert again is not first
    assert torch.equal(again.train.ids, first.train.ids)


def test_copies_in_memory_are_bounded(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "KEPT_BYTES", 1000)
    load(root, home)
    newest = load(root, home, seed=1)
    assert len(load_module._kept) == 1
    assert load(root, home, seed=1) is newest


def test_replicates_share_an_official_split(root: Path, home: Path) -> None:
    fields = {"name": "synthetic", "split": "official"}
    assert load(root, home, seed=0, **fields) is load(root, home, seed=1, **fields)
    small = [load(root, home, seed=seed, limit=50, **fields) for seed in (0, 1)]
    assert members(small[0].train) != members(small[1].train)


def test_an_unknown_name_suggests_one(root: Path, home: Path) -> None:
    with raising(NotFound, code="unknown-data-set"):
        load(root, home, name="cifar-10")


def test_missing_caltech_says_where_and_how(root: Path, home: Path) -> None:
    with raising(NotFound, code="absent-data-set"):
        load(root, home, name="caltech101", image_size=32)


@pytest.mark.parametrize("name", ["imagefolder", "npz"])
def test_sets_that_the_user_brings_need_a_path(root: Path, home: Path, name: str) -> None:
    with raising(BadData):
        load(root, home, name=name)
    with raising(NotFound, code="absent-data-set"):
        load(root, home, name=name, path="nothing/here")


def test_caltech_leaves_the_background_out(make_folder: MakeFolder, root: Path, home: Path) -> None:
    make_folder("caltech101/101_ObjectCategories", {"Faces": 3, "accordion": 3, "BACKGROUND_Google": 3})
    splits = load(root, home, name="caltech101", image_size=8, split={"train": 0.5, "val": 0.5})
    assert splits.classes == ("Faces", "accordion")
    by_path = load(root, home, name="caltech101", path="caltech101", image_size=8, split={"train": 0.5, "val": 0.5})
    assert by_path.digest == splits.digest


def test_caltech100_leaves_the_cropped_faces_out(make_folder: MakeFolder, root: Path, home: Path) -> None:
    make_folder(
        "caltech101/101_ObjectCategories", {"Faces": 3, "Faces_easy": 3, "accordion": 3, "BACKGROUND_Google": 3}
    )
    split = {"train": 0.5, "val": 0.5}
    assert load(root, home, name="caltech100", image_size=8, split=split).classes == ("Faces", "accordion")
    assert load(root, home, name="caltech101", image_size=8, split=split).classes == (
        "Faces",
        "Faces_easy",
        "accordion",
    )


def test_the_list_says_what_is_there(make_folder: MakeFolder, root: Path, home: Path) -> None:
    before = {row.name: row for row in list_datasets(root, home)}
    assert list(before) == list(parts(DataSet))
    assert [name for name, row in before.items() if row.present] == ["digits", "synthetic"]
    assert (before["caltech101"].classes, before["caltech101"].images) == (101, 8677)
    assert "Krizhevsky" in before["cifar10"].cite
    assert "cifar-10-binary.tar.gz" in before["cifar10"].get
    make_folder("101_ObjectCategories", {"Faces": 3, "accordion": 3})
    load(root, home, name="caltech101", image_size=8, split={"train": 0.5, "val": 0.5})
    after = {row.name: row for row in list_datasets(root, home)}
    assert after["caltech101"].present
    assert after["caltech101"].copies == 1
