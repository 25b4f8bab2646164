"""`fetch`: what comes is checked, unpacked, in its place by one rename, and loaded by ablate's own loader."""

import errno
import fcntl
import hashlib
import inspect
import io
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
    assert heard.said[-1] == (
        "cifar10 is already there; nothing was downloaded. ablate data verify cifar10 looks whether it is whole, "
        "--force fetches the official files again."
    )
    assert (place / "mine").exists()
    assert heard.fetch("cifar10", root, force=True) == place
    assert len(site.paths) == 2
    assert not (place / "mine").exists()


def test_a_place_that_is_looked_at_before_is_told(site: Any, root: Path, heard: Any) -> None:
    other = root / "cifar-10-batches-bin"
    other.mkdir()
    (other / "test_batch.bin").write_bytes(b"")
    with pytest.raises(BadData) as caught:
        heard.fetch("cifar10", root)
    assert str(caught.value).startswith(f"{other}: the official binary files are incomplete; missing: data_batch_1.bin")
    assert str(caught.value).endswith("; or put the official files in its place with ablate data fetch cifar10 --force")
    place = heard.fetch("cifar10", root, force=True)
    assert heard.said[-1].startswith(f"note: {other}: the official binary files are incomplete; ")
    assert heard.said[-1].endswith(f" is looked at before {place}; move it away, or it is what runs will use.")


def test_something_else_in_its_place_is_not_removed(site: Any, root: Path, heard: Any) -> None:
    place = root / "cifar-10-batches-py"
    place.mkdir()
    (place / "thesis").write_text("the only copy")
    with pytest.raises(BadData) as caught:
        heard.fetch("cifar10", root)
    assert str(caught.value) == (
        f"{place}: holds something else than cifar10; move it away, or replace it with ablate data fetch cifar10 --force"
    )
    assert (place / "thesis").read_text() == "the only copy"
    assert site.paths == []


def test_what_was_put_there_by_hand_is_used_and_kept(site: Any, root: Path, heard: Any) -> None:
    archive = root / "cifar-10-python.tar.gz"
    archive.write_bytes(site.content)
    assert heard.fetch("cifar10", root) == root / "cifar-10-batches-py"
    assert site.paths == []
    assert heard.said[0] == f"{archive} is already there with the right checksum; nothing was downloaded."
    assert archive.exists()


def test_a_wrong_file_that_was_put_there_by_hand_is_told(site: Any, root: Path, heard: Any) -> None:
    archive = root / "cifar-10-python.tar.gz"
    archive.write_bytes(site.content[:-1])
    with pytest.raises(BadData) as caught:
        heard.fetch("cifar10", root)
    assert str(caught.value) == (
        f"{archive}: not the official archive, or cut short: its MD5 is {hashlib.md5(site.content[:-1]).hexdigest()}, "
        f"expected {hashlib.md5(site.content).hexdigest()}. Move it away and run the same command again"
    )
    assert archive.exists()


def test_a_mirror_is_used_and_its_checksum_looked_at(site: Any, root: Path, heard: Any) -> None:
    mirror = site.url.replace("/cifar", "/mirror/cifar")
    assert heard.fetch("cifar10", root, url=mirror) is not None
    assert site.paths == ["/mirror/cifar-10-python.tar.gz"]
    right = hashlib.md5(site.content).hexdigest()
    site.content = b"<html>Please log in</html>"
    with pytest.raises(BadData) as caught:
        heard.fetch("cifar10", root, url=mirror, force=True)
    wrong = root / "cifar-10-python.tar.gz.wrong"
    assert str(caught.value) == (
        f"{mirror}: not the official archive: its MD5 is {hashlib.md5(site.content).hexdigest()}, expected {right}. "
        f"What came is kept as {wrong}; look at it, delete it, and run ablate data fetch cifar10 again, "
        "or with --url URL for another place"
    )
    assert wrong.read_bytes() == site.content
    assert names(root) == [LOCK, "cifar-10-batches-py", wrong.name]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "cifar.tar.gz", ""])
def test_other_addresses_are_refused(root: Path, heard: Any, url: str) -> None:
    with pytest.raises(UsageError) as caught:
        heard.fetch("cifar10", root, url=url)
    assert str(caught.value) == (
        f"--url {url}: must begin with http:// or https://; a file that is here already goes to "
        f"{root / 'cifar-10-python.tar.gz'}, where ablate data fetch cifar10 takes it from"
    )


def refused(site: Any, root: Path, heard: Any, content: bytes) -> str:
    """The error of an archive that has the right checksum and must not be installed."""
    site.content = content
    site.official("cifar10")
    with pytest.raises(BadData) as caught:
        heard.fetch("cifar10", root)
    assert names(root) == [LOCK, PART, f"{PART}.json"]
    return str(caught.value)


def test_an_archive_that_would_leave_the_folder(site: Any, root: Path, heard: Any) -> None:  # fmt: skip
    said = refused(site, root, heard, site.tar({"cifar-10-batches-py/good": b"", "../evil": b""}))
    assert said == (
        f"{root / PART}: the entry '../evil' leaves the folder; nothing was unpacked. "
        "Delete the archive and fetch it from the official place"
    )


def test_an_archive_that_is_cut(site: Any, root: Path, heard: Any) -> None:
    said = refused(site, root, heard, site.content[: len(site.content) // 2])
    assert re.fullmatch(rf"{root / PART}: not a readable archive \(.+\): cut short\? Delete the archive and .*", said)


def test_an_archive_of_something_else(site: Any, root: Path, heard: Any) -> None:
    said = refused(site, root, heard, site.tar({"thesis/chapter": b"1"}))
    assert said == f"{root / PART}: holds no cifar10 in cifar-10-batches-py/; nothing was installed"


def test_a_zip_without_the_inner_tar(site: Any, root: Path, heard: Any) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as opened:
        opened.writestr("caltech-101/show_annotation.m", "")
    site.content = held.getvalue()
    site.official("caltech101")
    with pytest.raises(
        BadData, match=r"holds 0 files 101_ObjectCategories.tar.gz, expected one; nothing was installed"
    ):
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
        with pytest.raises(NotFound) as caught:
            heard.fetch("cifar10", root)
    assert str(caught.value) == (
        f"cifar10 is not here yet: another process is fetching it ({root / LOCK} is locked). "
        "Wait until it is done; then ablate data fetch cifar10 says that it is there"
    )
    assert site.paths == []
    assert heard.fetch("cifar10", root) is not None


def no_space(place: Path) -> str:
    return (
        f"{place}; free some space there or give leave to write, or point ABLATE_DATA to a folder that is writable and "
        "has room. What was downloaded until then is kept"
    )


def test_a_file_in_the_way_of_the_folder(site: Any, root: Path, heard: Any) -> None:
    (root / "data").write_text("a file")
    with pytest.raises(NoSpaceOrPermission) as caught:
        heard.fetch("cifar10", root / "data" / "sets")
    assert str(caught.value) == no_space(root / "data" / "sets: Not a directory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(site: Any, root: Path, heard: Any) -> None:
    root.chmod(0o500)
    try:
        with pytest.raises(NoSpaceOrPermission) as caught:
            heard.fetch("cifar10", root)
    finally:
        root.chmod(0o700)
    assert str(caught.value) == no_space(root / f"{LOCK}: Permission denied")


def test_permission_denied(site: Any, root: Path, heard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(NoSpaceOrPermission) as caught:
        heard.fetch("cifar10", root / "new")
    assert str(caught.value) == no_space(root / "new: Permission denied")


def test_an_unknown_name_suggests_the_nearest(root: Path, heard: Any) -> None:
    with pytest.raises(NotFound) as caught:
        heard.fetch("cifer10", root)
    assert str(caught.value) == (f"unknown data set 'cifer10'; allowed: {FETCHED}. Did you mean 'cifar10'?")


@pytest.mark.parametrize(
    ("name", "how"), [("digits", "comes with scikit-learn"), ("synthetic", "made when it is used")]
)
def test_nothing_to_fetch(root: Path, heard: Any, name: str, how: str) -> None:
    assert heard.fetch(name, root) is None
    assert heard.said == [f"{name}: nothing to fetch ({how})."]
    assert names(root) == []


@pytest.mark.parametrize("name", ["imagefolder", "npz"])
def test_ones_own_data_is_no_matter_of_fetching(root: Path, heard: Any, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        heard.fetch(name, root)
    assert str(caught.value).startswith(
        f"{name} is your own data, there is nothing to fetch: in the study file, set data.path to a"
    )
    assert str(caught.value).endswith(f". ablate data fetch knows {FETCHED}")


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
