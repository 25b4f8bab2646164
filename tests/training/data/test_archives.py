"""Unpacking: an archive that is broken or not safe is refused before anything is written."""

import gzip
import io
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from golden_texts import raising

from ablate.errors import BadData, NoSpaceOrPermission
from ablate.training.data import archives
from ablate.training.data.archives import check, unpack


def member(name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple[tarfile.TarInfo, bytes]:  # fmt: skip
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mode = len(content), kind, link, 0o4777
    return info, content


def write_tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


def write_zip(path: Path, *entries: tuple[str, bytes], mode: int = 0o644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            opened.writestr(info, content)
    return path


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "new"


def test_a_tar_is_unpacked_without_its_modes(tmp_path: Path, out: Path) -> None:
    archive = write_tar(
        tmp_path / "a.tar.gz",
        member("./set/", b"", tarfile.DIRTYPE),
        member("./set/one", b"1"),
        member("set/deep/two", b"22"),
    )
    assert sorted(unpack(archive, out)) == [out / "set/deep/two", out / "set/one"]
    assert everything(out) == ["set", "set/deep", "set/deep/two", "set/one"]
    assert (out / "set/deep/two").read_bytes() == b"22"
    assert not (out / "set/one").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR)
    assert check(archive) == 3


def test_of_a_zip_one_file_may_be_taken(tmp_path: Path, out: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", ("set/", b""), ("set/in.tar.gz", b"in"), ("__MACOSX/set/._in.tar.gz", b"?"))
    assert unpack(archive, out, "in.tar.gz") == [out / "set/in.tar.gz"]
    assert everything(out) == ["set", "set/in.tar.gz"]


def test_the_unfinished_name_of_an_archive_tells_its_kind_too(tmp_path: Path, out: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", ("one", b"1")).rename(tmp_path / "a.zip.part")
    assert unpack(archive, out) == [out / "one"]


NAMES = [
    ("../evil", "leaves the folder"),
    ("set/../../evil", "leaves the folder"),
    ("/tmp/evil", "has an absolute path"),
    ("C:/evil", "has an absolute path"),
    ("..\\evil", "has a name that is not allowed"),
    ("set/e\nvil", "has a name that is not allowed"),
]


@pytest.mark.parametrize("form", ["tar", "zip"])
@pytest.mark.parametrize(("name", "why"), NAMES)
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, out: Path, form: str, name: str, why: str) -> None:
    if form == "tar":
        archive = write_tar(tmp_path / "a.tar.gz", member("set/good"), member(name))
    else:
        archive = write_zip(tmp_path / "a.zip", ("set/good", b"x"), (name, b"x"))
    before = everything(tmp_path)
    with raising(BadData):
        unpack(archive, out)
    assert everything(tmp_path) == before
    assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize(
    ("kind", "link", "why"),
    [
        (tarfile.SYMTYPE, "/etc", "is a link"),
        (tarfile.SYMTYPE, "../../out", "is a link"),
        (tarfile.LNKTYPE, "set/good", "is a link"),
        (tarfile.CHRTYPE, "", "is a device"),
        (tarfile.BLKTYPE, "", "is a device"),
        (tarfile.FIFOTYPE, "", "is a device"),
    ],
)
def test_links_and_devices_are_refused(tmp_path: Path, out: Path, kind: bytes, link: str, why: str) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", member("set/good"), member("set/odd", b"", kind, link), member("set/odd/x"))  # fmt: skip
    with raising(BadData):
        unpack(archive, out)
    assert not out.exists()


@pytest.mark.parametrize(("mode", "why"), [(stat.S_IFLNK, "is a link"), (stat.S_IFCHR, "is a device")])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, out: Path, mode: int, why: str) -> None:
    archive = write_zip(tmp_path / "a.zip", ("set/odd", b"/etc"), mode=mode | 0o777)
    with raising(BadData):
        unpack(archive, out)
    assert not out.exists()


def test_one_name_twice_is_refused(tmp_path: Path, out: Path) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", member("set/one"), member("./set/one", b"other"))
    with raising(BadData):
        unpack(archive, out)
    archive = write_tar(tmp_path / "b.tar.gz", member("set/one"), member("set/one/two"))
    with raising(BadData):
        unpack(archive, out)
    assert not out.exists()


def bomb_of_bytes(tmp_path: Path) -> Path:
    return write_tar(tmp_path / "a.tar.gz", member("set/one", bytes(60_000)), member("set/two", bytes(60_000)))


def bomb_of_files(tmp_path: Path) -> Path:
    return write_tar(tmp_path / "a.tar.gz", *(member(f"set/{n}", b"") for n in range(12)))


def bomb_in_a_zip(tmp_path: Path) -> Path:
    return write_zip(tmp_path / "a.zip", ("set/one", bytes(200_000)))


def bomb_of_headers(tmp_path: Path) -> Path:
    """A header for long names that is itself larger than all that is allowed."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 400_000
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(info.tobuf() + b"n" * 400_000 + bytes(10_240)))
    return archive


@pytest.mark.parametrize("bomb", [bomb_of_bytes, bomb_of_files, bomb_in_a_zip, bomb_of_headers])
def test_bombs_are_refused(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, bomb: Callable[[Path], Path]) -> None:  # fmt: skip
    monkeypatch.setattr(archives, "MAX_BYTES", 100_000)
    monkeypatch.setattr(archives, "MAX_FILES", 10)
    with raising(BadData):
        unpack(bomb(tmp_path), out)
    assert not out.exists()


def test_no_room_is_said_before_unpacking(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", member("set/one", bytes(3_000_000)))
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: archives.shutil._ntuple_diskusage(1, 1, 1_000_000))
    with raising(NoSpaceOrPermission):
        unpack(archive, out)
    assert everything(out) == []


@pytest.mark.parametrize("left", [0, 5, 60, 4000])
def test_a_truncated_tar_is_refused(tmp_path: Path, out: Path, left: int) -> None:
    noise = random.Random(0).randbytes(9_000)
    archive = write_tar(tmp_path / "a.tar.gz", member("set/one", noise), member("set/two", noise[::-1]))
    assert archive.stat().st_size > 4100
    archive.write_bytes(archive.read_bytes()[:left])
    with raising(BadData):
        unpack(archive, out)
    assert not out.exists()


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04 and so on"])
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_something_else_is_no_archive(tmp_path: Path, out: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with raising(BadData):
        unpack(tmp_path / name, out)
    assert not out.exists()


def test_a_flipped_byte_in_a_zip_is_noticed(tmp_path: Path, out: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", ("one", bytes(range(256)) * 20))
    content = bytearray(archive.read_bytes())
    content[60] ^= 0xFF
    archive.write_bytes(content)
    with raising(BadData):
        unpack(archive, out)
