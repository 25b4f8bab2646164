"""Image folders: order, parts, what is passed over, and each mistake by name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablate.errors import BadData, NoSpaceOrPermission
from ablate.study.recipe import Data
from ablate.training.data import DataSplits, load_data
from ablate.training.data import folders as folders_module
from ablate.training.data.folders import list_folder

HALVES = {"train": 0.5, "val": 0.5}
MakeFolder = Callable[..., Path]
Picture = Callable[..., Image.Image]


def load(root: Path, home: Path, name: str = "pets", **fields: object) -> DataSplits:
    settings = {"name": "imagefolder", "path": name, "image_size": 16, "split": HALVES} | fields
    return load_data(Data.model_validate(settings), 0, home=home, data_root=root)


def test_classes_and_ids_follow_the_sorted_names(make_folder: MakeFolder) -> None:
    folder = make_folder("pets", {"dog": 2, "Zebra": 1, "cat": 3})
    listing = list_folder(folder)
    assert listing.classes == ("Zebra", "cat", "dog")
    assert [name for _, _, name in listing.files] == [
        "Zebra/image_0000.jpg",
        "cat/image_0000.jpg",
        "cat/image_0001.jpg",
        "cat/image_0002.jpg",
        "dog/image_0000.jpg",
        "dog/image_0001.jpg",
    ]


def test_images_and_labels_belong_together(make_folder: MakeFolder, root: Path, home: Path, picture: Picture) -> None:
    make_folder("pets", {"cat": 3, "dog": 4}, ".png")
    splits = load(root, home, image_size=None)
    assert splits.val is not None
    for part in (splits.train, splits.val):
        for image, label, number in zip(part.images, part.labels.tolist(), part.ids.tolist(), strict=True):
            seed = number if label == 0 else 100 + number - 3
            assert torch.equal(image.permute(1, 2, 0), torch.from_numpy(np.array(picture(seed))))


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_official_parts_are_folders(make_folder: MakeFolder, root: Path, home: Path, val: str) -> None:
    make_folder(
        "pets", {"train/cat": 3, "train/dog": 2, f"{val}/cat": 1, f"{val}/dog": 1, "test/cat": 2, "test/dog": 1}
    )
    splits = load(root, home, split="official")
    assert splits.val is not None
    assert splits.test is not None
    assert splits.train.ids.tolist() == [0, 1, 2, 3, 4]
    assert splits.val.ids.tolist() == [5, 6]
    assert splits.test.labels.tolist() == [0, 0, 1]
    assert splits.reported == "test"


def test_official_without_a_test_set_reports_val(make_folder: MakeFolder, root: Path, home: Path) -> None:
    make_folder("pets", {"train/cat": 3, "train/dog": 2, "val/cat": 1, "val/dog": 1})
    splits = load(root, home, split="official")
    assert splits.reported == "val"
    assert splits.test is None


def test_a_test_only_class_is_refused(make_folder: MakeFolder, root: Path, home: Path) -> None:
    folder = make_folder("pets", {"train/cat": 3, "train/dog": 2, "test/cat": 1, "test/emu": 1})
    with pytest.raises(BadData) as caught:
        load(root, home, split="official")
    assert str(caught.value) == f"{folder}: no folder in train/ for emu; each class needs training images"


def test_one_folder_of_classes_has_no_official_split(make_folder: MakeFolder, root: Path, home: Path) -> None:
    make_folder("pets", {"cat": 3, "dog": 2})
    with pytest.raises(BadData) as caught:
        load(root, home, split="official")
    assert str(caught.value) == (
        "data set 'imagefolder' has no official split; give fractions, as in data.split: {train: 0.8, val: 0.2}"
    )


def test_official_test_set_that_is_not_there(make_folder: MakeFolder, root: Path, home: Path) -> None:
    make_folder("pets", {"train/cat": 3, "train/dog": 2, "val/cat": 1, "val/dog": 1})
    with pytest.raises(BadData) as caught:
        load(root, home, split={"val": 0.5, "test": "official"})
    assert str(caught.value) == (
        "data set 'imagefolder' has no official test set (it has train, val); "
        "give fractions, as in data.split: {train: 0.8, val: 0.2}, or 'official'"
    )


def test_an_empty_class_folder_is_named(make_folder: MakeFolder, root: Path, home: Path) -> None:
    folder = make_folder("pets", {"cat": 3, "dog": 2, "emu": 0})
    (folder / "emu" / "readme.txt").write_text("no images")
    with pytest.raises(BadData) as caught:
        load(root, home)
    assert str(caught.value).startswith(
        f"{folder}: no images in emu; fill or remove the folder (images end in .bmp .gif"
    )


def test_a_folder_without_classes_is_refused(root: Path, home: Path, picture: Picture) -> None:
    (root / "pets").mkdir()
    picture(0).save(root / "pets" / "a.jpg")
    with pytest.raises(BadData, match="0 class folders found, at least 2 are needed; allowed: one folder a class, or"):
        load(root, home)


def test_other_files_are_passed_over_and_named(
    make_folder: MakeFolder, root: Path, home: Path, picture: Picture
) -> None:
    folder = make_folder("pets", {"cat": 3, "dog": 3})
    (folder / "cat" / "notes.txt").write_text("x")
    (folder / "cat" / ".DS_Store").write_text("x")
    (folder / "dog" / "more").mkdir()
    picture(7).save(folder / "dog" / "more" / "image_0009.PNG")
    splits = load(root, home)
    assert splits.details["ignored"] == ["cat/notes.txt"]
    assert splits.details["ignored_files"] == 1
    assert splits.val is not None
    assert len(splits.train) + len(splits.val) == 7


def test_bad_images_fail_the_run_with_their_names(make_folder: MakeFolder, root: Path, home: Path) -> None:
    folder = make_folder("pets", {"cat": 4, "dog": 4})
    (folder / "cat" / "image_0001.jpg").write_bytes(b"")
    whole = (folder / "dog" / "image_0002.jpg").read_bytes()
    (folder / "dog" / "image_0002.jpg").write_bytes(whole[: len(whole) // 2])
    for _ in range(2):  # the second time from the cache
        with pytest.raises(BadData) as caught:
            load(root, home)
        text = str(caught.value)
        assert text.startswith(
            f"{folder}: 2 of 8 images cannot be decoded: cat/image_0001.jpg (empty file); dog/image_0002"
        )
        assert "runcated" in text
        assert text.endswith("Replace or remove them, or set data.on_bad_image: skip to train without them")


def test_skipped_images_are_listed_and_move_no_other(make_folder: MakeFolder, root: Path, home: Path) -> None:
    folder = make_folder("pets", {"cat": 6, "dog": 6})
    before = load(root, home)
    assert before.val is not None
    (folder / "cat" / "image_0001.jpg").write_bytes(b"not an image")
    after = load(root, home / "other", on_bad_image="skip")
    assert after.val is not None
    assert after.skipped == (("cat/image_0001.jpg", "not an image in a known format"),)
    assert 1 not in [*after.train.ids.tolist(), *after.val.ids.tolist()]
    dogs = set(range(6, 12))
    assert dogs & set(after.train.ids.tolist()) == dogs & set(before.train.ids.tolist())
    assert after.digest != before.digest


def test_a_class_whose_images_are_all_bad_is_named(make_folder: MakeFolder, root: Path, home: Path) -> None:
    folder = make_folder("pets", {"cat": 1, "dog": 3})
    (folder / "cat" / "image_0000.jpg").write_bytes(b"")
    with pytest.raises(
        BadData, match=r"no readable images of class cat; each of the 2 classes \(labels 0 to 1\) needs some"
    ):
        load(root, home, on_bad_image="skip")


def test_no_readable_image_at_all(make_folder: MakeFolder, root: Path, home: Path) -> None:
    folder = make_folder("pets", {"cat": 1, "dog": 1})
    for path in folder.glob("*/*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(BadData, match=r"none of 2 images can be decoded; the first: cat/image_0000.jpg \(empty file\)"):
        load(root, home, on_bad_image="skip")


def test_different_sizes_need_an_image_size(make_folder: MakeFolder, root: Path, home: Path, picture: Picture) -> None:
    folder = make_folder("pets", {"cat": 2, "dog": 2})
    picture(0, 30, 40).save(folder / "dog" / "image_0000.jpg")
    with pytest.raises(BadData) as caught:
        load(root, home, image_size=None)
    assert str(caught.value) == (
        f"{folder}: images differ in size (cat/image_0000.jpg is 24x20 pixels, dog/image_0000.jpg is 40x30); "
        "set data.image_size to the side of the square that all are brought to"
    )


def test_a_file_that_is_too_large_is_a_bad_image(
    make_folder: MakeFolder, root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder("pets", {"cat": 2, "dog": 2})
    with (folder / "cat" / "image_0000.jpg").open("ab") as file:
        file.truncate(2**20 + 1)
    monkeypatch.setattr(folders_module, "MAX_BYTES", 2**20)
    with pytest.raises(
        BadData, match=r"1 of 4 images cannot be decoded: cat/image_0000.jpg \(file of more than 1 MiB\)"
    ):
        load(root, home)


def test_a_fault_of_the_disk_is_not_taken_for_a_bad_image(
    make_folder: MakeFolder, root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder("pets", {"cat": 2, "dog": 2})

    read = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.suffix == ".jpg":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(
        NoSpaceOrPermission, match=r"image_0000.jpg: cannot be read \(Permission denied\); check the file"
    ):
        load(root, home, on_bad_image="skip")


def test_many_chunks_keep_the_order(
    make_folder: MakeFolder, root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder("pets", {"train/cat": 9, "train/dog": 8, "test/cat": 3, "test/dog": 4})
    whole = load(root, home, split="official")
    monkeypatch.setattr(folders_module, "BLOCK", 4)
    parts = load(root, home / "other", split="official")
    assert parts.digest == whole.digest
    assert torch.equal(parts.train.images, whole.train.images)
    assert parts.train.ids.tolist() == list(range(17))
