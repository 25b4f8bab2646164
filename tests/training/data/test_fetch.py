"""`fetch`: what comes is checked, unpacked, in its place by one rename, and loaded by ablate's own loader."""

import errno
import fcntl
import inspect
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from golden_texts import golden, raising, worded

from ablate.errors import BadData, NoSpaceOrPermission, NotFound, UsageError
from ablate.parts.declare import DataSet
from ablate.parts.found import parts
from ablate.study.recipes.recipe import Data
from ablate.training.data import load_data

LOCK = ".cifar-10-python.tar.gz.lock"
PART = "cifar-10-python.tar.gz.part"

FETCHED = ", ".join(part.name for part in parts(DataSet).values() if part.archive is not None)


def caltech101(site: Any, picture: Callable[..., Any]) -> bytes:
    """Caltech-101's official archive, with the tar inside the zip, and three classes."""
    files = {}
    for number, name in enumerate(("BACKGROUND_Google", "Faces", "Faces_easy", "anchor", "ant")):
        for index in (1, 2):
            held = io.BytesIO()
            picture(10 * number + index).save(held, "JPEG")
            files[f"101_ObjectCategories/{name}/image_{index:04d}.jpg"] = held.getvalue()
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as opened:
        opened.writestr("caltech-101/101_ObjectCategories.tar.gz", site.tar(files))
        opened.writestr("caltech-101/Annotations.tar", b"not looked at")
        opened.writestr("__MACOSX/caltech-101/._101_ObjectCategories.tar.gz", b"nor this")
    return held.getvalue()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_fetched_is_loaded(site: Any, root: Path, home: Path, heard: Any) -> None:
    place = heard.fetch("cifar10", root)
    assert place == root / "cifar-10-batches-py"
    splits = load_data(Data(name="cifar10"), 0, home=home, data_root=root)
    assert splits.test is not None
    assert splits.train.images.numpy().reshape(50, 3072).tolist() == site.images[:50].tolist()
    assert splits.test.images.numpy().reshape(10, 3072).tolist() == site.images[50:].tolist()
    assert names(root) == [LOCK, "cifar-10-batches-py"]
    assert site.ranges == [None]
    assert heard.moved[0] == (0, len(site.content))
    assert heard.moved[-1] == (len(site.content), len(site.content))
    assert heard.said == [f"fetching {site.url}", "unpacking cifar-10-python.tar.gz"]
    assert heard.slept == []


def test_a_folder_that_is_not_there_is_made(site: Any, root: Path, heard: Any) -> None:
    assert heard.fetch("cifar10", root / "new" / "data") == root / "new" / "data" / "cifar-10-batches-py"


@pytest.mark.parametrize("name", ["caltech101", "caltech100"])
def test_caltech_and_its_inner_tar(
    site: Any, root: Path, home: Path, heard: Any, picture: Callable[..., Any], name: str
) -> None:  # fmt: skip
    site.content = caltech101(site, picture)
    site.official(name)
    assert heard.fetch(name, root) == root / "caltech101" / "101_ObjectCategories"
    data = Data.model_validate({"name": name, "image_size": 8, "split": {"train": 0.5, "val": 0.5}})
    easy = ["Faces_easy"] if name == "caltech101" else []
    assert list(load_data(data, 0, home=home, data_root=root).classes) == ["Faces", *easy, "anchor", "ant"]
    assert names(root) == [".caltech-101.zip.lock", "caltech101"]
    assert names(root / "caltech101") == ["101_ObjectCategories"]


def test_what_is_there_is_left_alone(site: Any, root: Path, heard: Any) -> None:
    place = heard.fetch("cifar10", root)
    assert place is not None
    (place / "mine").write_text("kept")
    assert heard.fetch("cifar10", root) == place
    assert len(site.paths) == 1
    golden("messages", heard.said[-1:])
    assert (place / "mine").exists()
    assert heard.fetch("cifar10", root, force=True) == place
    assert len(site.paths) == 2
    assert not (place / "mine").exists()


def test_a_place_that_is_looked_at_before_is_told(site: Any, root: Path, heard: Any) -> None:
    other = root / "cifar-10-batches-bin"
    other.mkdir()
    (other / "test_batch.bin").write_bytes(b"")
    with raising(BadData):
        heard.fetch("cifar10", root)
    heard.fetch("cifar10", root, force=True)
    worded(heard.said[-1], f"note: {other}: ")
    golden("messages", heard.said[-1:])


def test_something_else_in_its_place_is_not_removed(site: Any, root: Path, heard: Any) -> None:
    place = root / "cifar-10-batches-py"
    place.mkdir()
    (place / "thesis").write_text("the only copy")
    with raising(BadData):
        heard.fetch("cifar10", root)
    assert (place / "thesis").read_text() == "the only copy"
    assert site.paths == []


def test_what_was_put_there_by_hand_is_used_and_kept(site: Any, root: Path, heard: Any) -> None:
    archive = root / "cifar-10-python.tar.gz"
    archive.write_bytes(site.content)
    assert heard.fetch("cifar10", root) == root / "cifar-10-batches-py"
    assert site.paths == []
    worded(heard.said[0], f"{archive} ")
    assert archive.exists()


def test_a_wrong_file_that_was_put_there_by_hand_is_told(site: Any, root: Path, heard: Any) -> None:
    archive = root / "cifar-10-python.tar.gz"
    archive.write_bytes(site.content[:-1])
    with raising(BadData):
        heard.fetch("cifar10", root)
    assert archive.exists()


def test_a_mirror_is_used_and_its_checksum_looked_at(site: Any, root: Path, heard: Any) -> None:
    mirror = site.url.replace("/cifar", "/mirror/cifar")
    assert heard.fetch("cifar10", root, url=mirror) is not None
    assert site.paths == ["/mirror/cifar-10-python.tar.gz"]
    site.content = b"<html>Please log in</html>"
    with raising(BadData):
        heard.fetch("cifar10", root, url=mirror, force=True)
    wrong = root / "cifar-10-python.tar.gz.wrong"
    assert wrong.read_bytes() == site.content
    assert names(root) == [LOCK, "cifar-10-batches-py", wrong.name]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "cifar.tar.gz", ""])
def test_other_addresses_are_refused(root: Path, heard: Any, url: str) -> None:
    with raising(UsageError):
        heard.fetch("cifar10", root, url=url)


def refused(site: Any, root: Path, heard: Any, content: bytes) -> str:
    """The error of an archive that has the right checksum and must not be installed."""
    site.content = content
    site.official("cifar10")
    with raising(BadData) as caught:
        heard.fetch("cifar10", root)
    assert names(root) == [LOCK, PART, f"{PART}.json"]
    return str(caught.value)


def test_an_archive_that_would_leave_the_folder(site: Any, root: Path, heard: Any) -> None:  # fmt: skip
    refused(site, root, heard, site.tar({"cifar-10-batches-py/good": b"", "../evil": b""}))


def test_an_archive_that_is_cut(site: Any, root: Path, heard: Any) -> None:
    worded(refused(site, root, heard, site.content[: len(site.content) // 2]), f"{root / PART}: ")


def test_an_archive_of_something_else(site: Any, root: Path, heard: Any) -> None:
    refused(site, root, heard, site.tar({"thesis/chapter": b"1"}))


def test_a_zip_without_the_inner_tar(site: Any, root: Path, heard: Any) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as opened:
        opened.writestr("caltech-101/show_annotation.m", "")
    site.content = held.getvalue()
    site.official("caltech101")
    with raising(BadData):
        heard.fetch("caltech101", root)


def test_a_failed_force_keeps_what_was_there(site: Any, monkeypatch: pytest.MonkeyPatch, root: Path, heard: Any) -> None:  # fmt: skip
    place = heard.fetch("cifar10", root)
    assert place is not None
    (place / "mine").write_text("kept")
    site.content = site.tar({"thesis/chapter": b"1"})
    site.official("cifar10")
    with pytest.raises(BadData):
        heard.fetch("cifar10", root, force=True)
    assert (place / "mine").exists()

    def fail(self: Path, target: Path) -> Path:
        if self.parent.name == "new":
            raise OSError(errno.EIO, "Input/output error", str(self))
        os.rename(self, target)
        return target

    site.content = site.cifar10()
    site.official("cifar10")
    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(NoSpaceOrPermission, match="Input/output error"):
        heard.fetch("cifar10", root, force=True)
    assert (place / "mine").exists()


def test_what_a_killed_process_left_is_removed(site: Any, root: Path, heard: Any) -> None:
    left = root / ".cifar-10-python.tar.gz.unpacking" / "new"
    left.mkdir(parents=True)
    (left / "half").write_text("of it")
    heard.fetch("cifar10", root)
    assert names(root) == [LOCK, "cifar-10-batches-py"]


def test_two_at_once(site: Any, root: Path, heard: Any) -> None:
    with (root / LOCK).open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with raising(NotFound):
            heard.fetch("cifar10", root)
    assert site.paths == []
    assert heard.fetch("cifar10", root) is not None


def test_a_file_in_the_way_of_the_folder(site: Any, root: Path, heard: Any) -> None:
    (root / "data").write_text("a file")
    with raising(NoSpaceOrPermission):
        heard.fetch("cifar10", root / "data" / "sets")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(site: Any, root: Path, heard: Any) -> None:
    root.chmod(0o500)
    try:
        with raising(NoSpaceOrPermission):
            heard.fetch("cifar10", root)
    finally:
        root.chmod(0o700)


def test_permission_denied(site: Any, root: Path, heard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with raising(NoSpaceOrPermission):
        heard.fetch("cifar10", root / "new")


def test_an_unknown_name_suggests_the_nearest(root: Path, heard: Any) -> None:
    with raising(NotFound, code="unknown-data-set"):
        heard.fetch("cifer10", root)


@pytest.mark.parametrize(
    ("name", "how"), [("digits", "comes with scikit-learn"), ("synthetic", "made when it is used")]
)
def test_nothing_to_fetch(root: Path, heard: Any, name: str, how: str) -> None:
    assert heard.fetch(name, root) is None
    worded(heard.said, f"{name}", f"{how}")
    assert names(root) == []


@pytest.mark.parametrize("name", ["imagefolder", "npz"])
def test_ones_own_data_is_no_matter_of_fetching(root: Path, heard: Any, name: str) -> None:
    with raising(UsageError):
        heard.fetch(name, root)


def test_the_table_is_torchvisions() -> None:
    from torchvision.datasets import CIFAR10 as TEN
    from torchvision.datasets import CIFAR100 as HUNDRED
    from torchvision.datasets import Caltech101

    for name, theirs in (("cifar10", TEN), ("cifar100", HUNDRED)):
        ours = parts(DataSet)[name].archive
        assert ours is not None
        assert (ours.url, ours.file, ours.md5, ours.place) == (
            theirs.url,
            theirs.filename,
            theirs.tgz_md5,
            theirs.base_folder,
        )
    caltech, theirs = parts(DataSet)["caltech101"].archive, inspect.getsource(Caltech101.download)
    assert caltech is not None
    assert all(f'"{text}"' in theirs for text in (caltech.url, caltech.file, caltech.md5))
