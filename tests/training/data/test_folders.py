"""Image folders: order, parts, what is passed over, and each mistake by name."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_texts import raising, worded
from PIL import Image, features

from ablate.errors import BadData, NoSpaceOrPermission
from ablate.parts.reading import folders as folders_module
from ablate.parts.reading.folders import list_folder
from ablate.study.recipes.recipe import Data
from ablate.training.data import DataSplits, forget_data, load_data

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
    make_folder("pets", {"train/cat": 3, "train/dog": 2, "test/cat": 1, "test/emu": 1})
    with raising(BadData):
        load(root, home, split="official")


def test_one_folder_of_classes_has_no_official_split(make_folder: MakeFolder, root: Path, home: Path) -> None:
    make_folder("pets", {"cat": 3, "dog": 2})
    with raising(BadData):
        load(root, home, split="official")


def test_official_test_set_that_is_not_there(make_folder: MakeFolder, root: Path, home: Path) -> None:
    make_folder("pets", {"train/cat": 3, "train/dog": 2, "val/cat": 1, "val/dog": 1})
    with raising(BadData):
        load(root, home, split={"val": 0.5, "test": "official"})


def test_an_empty_class_folder_is_named(make_folder: MakeFolder, root: Path, home: Path) -> None:
    folder = make_folder("pets", {"cat": 3, "dog": 2, "emu": 0})
    (folder / "emu" / "readme.txt").write_text("no images")
    with raising(BadData):
        load(root, home)


def test_a_folder_without_classes_is_refused(root: Path, home: Path, picture: Picture) -> None:
    (root / "pets").mkdir()
    picture(0).save(root / "pets" / "a.jpg")
    with raising(BadData):
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
        worded(text, f"{folder}: 2 of 8 images", "cat/image_0001.jpg (empty file)", "dog/image_0002")
        assert "runcated" in text
        worded(text, "data.on_bad_image: skip")


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
    with raising(BadData):
        load(root, home, on_bad_image="skip")


def test_no_readable_image_at_all(make_folder: MakeFolder, root: Path, home: Path) -> None:
    folder = make_folder("pets", {"cat": 1, "dog": 1})
    for path in folder.glob("*/*.jpg"):
        path.write_bytes(b"")
    with raising(BadData):
        load(root, home, on_bad_image="skip")


def test_different_sizes_need_an_image_size(make_folder: MakeFolder, root: Path, home: Path, picture: Picture) -> None:
    folder = make_folder("pets", {"cat": 2, "dog": 2})
    picture(0, 30, 40).save(folder / "dog" / "image_0000.jpg")
    with raising(BadData):
        load(root, home, image_size=None)


def test_a_file_that_is_too_large_is_a_bad_image(
    make_folder: MakeFolder, root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder("pets", {"cat": 2, "dog": 2})
    with (folder / "cat" / "image_0000.jpg").open("ab") as file:
        file.truncate(2**20 + 1)
    monkeypatch.setattr(folders_module, "MAX_BYTES", 2**20)
    with raising(BadData):
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
    with raising(NoSpaceOrPermission):
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


NAMES = [
    ("Train", "Val", "Test"),
    ("TRAIN", "VALID", "TEST"),
    ("training", "validation", "testing"),
    ("Training", "Dev", "Testing"),
    ("train", "eval", "test"),
]


@pytest.mark.parametrize("names", NAMES, ids="/".join)
def test_parts_by_other_names_and_in_any_case(
    make_folder: MakeFolder, root: Path, home: Path, names: tuple[str, str, str]
) -> None:
    counts = {f"{part}/{name}": 2 for part in names for name in ("cat", "dog")}
    make_folder("pets", counts)
    splits = load(root, home, split="official")
    assert splits.val is not None
    assert splits.test is not None
    assert (splits.classes, splits.reported) == (("cat", "dog"), "test")
    assert (splits.train.ids.tolist(), splits.val.ids.tolist(), splits.test.ids.tolist()) == (
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
    )
    make_folder("usual", {f"{part}/{name}": 2 for part in ("train", "val", "test") for name in ("cat", "dog")})
    assert load(root, home, "usual", split="official").digest == splits.digest


def test_folders_that_are_no_parts_stay_classes(make_folder: MakeFolder, root: Path, home: Path) -> None:
    make_folder("vehicles", {"train": 3, "bus": 3})
    assert load(root, home, "vehicles").classes == ("bus", "train")


@pytest.mark.parametrize(
    "counts",
    [
        {"Train/cat": 2, "train/cat": 2, "test/cat": 2},
        {"train/cat": 2, "dev/cat": 2, "val/cat": 2},
        {"val/cat": 2, "Test/cat": 2},
        {"Train": 2, "Test": 2, "masks": 2},
    ],
    ids=["two train", "two val", "no train", "doubt"],
)
def test_parts_that_cannot_be_told(make_folder: MakeFolder, root: Path, home: Path, counts: dict[str, int]) -> None:
    make_folder("pets", counts)
    with raising(BadData):
        load(root, home, split="official")


def test_folders_beside_the_parts_are_told(make_folder: MakeFolder, root: Path, home: Path) -> None:
    make_folder("pets", {"Train/cat": 2, "Train/dog": 2, "Test/cat": 1, "Test/dog": 1, "extra/cat": 1})
    splits = load(root, home, split="official")
    worded(splits.details["notes"], "extra/")


def kaggle(make_folder: MakeFolder, picture: Picture, *parts: str, images: int = 3) -> Path:
    """Parts with cat/ and dog/, and a test/ of images without labels."""
    folder = make_folder("pets", {f"{part}/{name}": 4 for part in parts for name in ("cat", "dog")})
    (folder / "test").mkdir()
    for number in range(images):
        picture(number).save(folder / "test" / f"{number}.jpg")
    return folder


@pytest.mark.parametrize("images", [3, 0])
def test_an_unlabelled_test_set_is_refused_before_anything_is_trained(
    make_folder: MakeFolder, root: Path, home: Path, picture: Picture, images: int
) -> None:
    kaggle(make_folder, picture, "train", images=images)
    for split in ("official", {"val": 0.5, "test": "official"}):
        with raising(BadData):
            load(root, home, split=split)
    splits = load(root, home)
    assert (splits.reported, len(splits.train), splits.classes) == ("val", 4, ("cat", "dog"))
    worded(splits.details["notes"], "test/ ", "`ablate predict`")


def test_beside_a_val_set_an_unlabelled_test_set_is_told(
    make_folder: MakeFolder, root: Path, home: Path, picture: Picture
) -> None:
    kaggle(make_folder, picture, "train", "val")
    splits = load(root, home, split="official")
    assert (splits.reported, splits.test) == ("val", None)
    worded(splits.details["notes"][0], "test/ ")


@pytest.mark.parametrize("split", ["official", {"val": 0.5, "test": "official"}], ids=["official", "val cut"])
def test_a_part_whose_images_are_all_bad_is_refused(
    make_folder: MakeFolder, root: Path, home: Path, split: object
) -> None:
    part = "val" if split == "official" else "test"
    folder = make_folder("pets", {f"{name}/{label}": 2 for name in ("train", part) for label in ("cat", "dog")})
    for path in (folder / part).glob("*/*.jpg"):
        path.write_bytes(b"")
    with raising(BadData):
        load(root, home, split=split, on_bad_image="skip")


def test_what_was_left_out_is_counted_by_its_endings(
    make_folder: MakeFolder, root: Path, home: Path, picture: Picture
) -> None:
    folder = make_folder("pets", {"cat": 4, "dog": 4})
    for name in ("a.heic", "b.HEIC", "c.tga", "readme"):
        (folder / "cat" / name).write_bytes(b"x")
    picture(0).save(folder / "stray.jpg")
    for _ in range(2):  # the second time from the cache
        splits = load(root, home)
        first, second = splits.details["notes"]
        worded(first, "4 files", ".heic (2), .tga (1), no ending (1)")
        worded(second, "1 image")
        forget_data()
    (folder / "dog" / "d.heic").write_bytes(b"x")
    worded(load(root, home).details["notes"][0], "5 files")


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".jfif", "JPEG"), (".jpe", "JPEG"), (".JFIF", "JPEG"), (".avif", "AVIF")]
)
def test_other_endings_of_images_are_read(
    make_folder: MakeFolder, root: Path, home: Path, picture: Picture, suffix: str, kind: str
) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    folder = make_folder("pets", {"cat": 2, "dog": 2})
    picture(9).save(folder / "dog" / f"image_0009{suffix}", kind)
    assert sum(load(root, home).details["images"].values()) == 5


def test_what_macos_packs_along_is_no_class(make_folder: MakeFolder, root: Path, home: Path) -> None:
    folder = make_folder("pets", {"cat": 2, "dog": 2})
    (folder / "__MACOSX" / "cat").mkdir(parents=True)
    (folder / "__MACOSX" / "cat" / "._image_0000.jpg").write_bytes(b"x")
    assert load(root, home).classes == ("cat", "dog")


def test_pooled_official_parts_are_told(make_folder: MakeFolder, root: Path, home: Path) -> None:
    make_folder("pets", {f"{part}/{name}": 4 for part in ("train", "val", "test") for name in ("cat", "dog")})
    (note,) = load(root, home).details["notes"]
    worded(note, "train 8, val 8, test 8")
    (note,) = load(root, home, split={"val": 0.5, "test": "official"}).details["notes"]
    worded(note, "val", "8 images")
    assert load(root, home, split="official").details["notes"] == []


def latin(folder: Path, name: bytes) -> Path:
    """A place whose name is no UTF-8, where the disk takes it."""
    place = folder / os.fsdecode(name)
    try:
        place.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    return place


@pytest.mark.parametrize("where", ["file", "class", "root"])
def test_names_that_are_not_utf8(make_folder: MakeFolder, root: Path, home: Path, picture: Picture, where: str) -> None:
    probe = latin(root, b"caf\xe9")
    folder = make_folder("pets", {"cat": 4, "dog": 4, "emu": 4})
    plain = load(root, home)
    if where == "file":
        shutil.rmtree(probe)
        (folder / "cat" / "image_0003.jpg").rename(folder / "cat" / os.fsdecode(b"z\xe9.jpg"))
        assert load(root, home / "other").digest == plain.digest
        (folder / "cat" / os.fsdecode(b"z\xe9.jpg")).write_bytes(b"")
        forget_data()
        with pytest.raises(BadData, match=r"cat/z\\xe9.jpg \(empty file\)"):
            load(root, home / "other")
    elif where == "class":
        probe.rename(folder / probe.name)
        picture(1).save(folder / probe.name / "a.jpg")
        picture(2).save(folder / probe.name / "b.jpg")
        assert load(root, home / "other").classes == ("caf\\xe9", "cat", "dog", "emu")
    else:
        folder.rename(probe / "pets")
        assert load(probe, home / "other").digest == plain.digest
        shutil.rmtree(probe / "pets" / "cat")
        forget_data()
        (probe / "pets" / "cat").mkdir()
        with raising(BadData) as caught:
            load(probe, home / "other")
        str(caught.value).encode()
