"""Unpacking what came over a network: every entry of an archive is looked at before the first byte is written.

Refused are absolute names, names with `..` or a backslash, links and devices (a data set needs none), a name that is
there twice, and archives that unpack to more than `MAX_BYTES` or `MAX_FILES`. Owners, modes and times of an archive are
not taken over. The reading is a stream, so a compressed bomb is met by the limit and not by the memory.
"""

from __future__ import annotations

import errno
import gzip
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from ablate.errors import AblateError, BadData, NoSpaceOrPermission

MAX_BYTES = 2**30
"""An archive that holds more is taken for a bomb: the known data sets unpack to less than a fifth of this."""
MAX_FILES = 100_000
"""Caltech-101, the one with most files, has less than a tenth of this."""
CHUNK = 2**20


@dataclass(frozen=True)
class Entry:
    """One entry of an archive: `kind` is file, folder or what is refused; `open` may be called until the next entry."""

    name: str
    size: int
    kind: str
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path, only: str | None = None) -> list[Path]:
    """Unpacks a `.zip` or `.tar.gz` into `folder` and gives the files; with `only`, the files of that name alone.

    Raises `BadData` for an archive that is broken or not safe, before anything is written, and `NoSpaceOrPermission`
    where it has no room; other faults of the disk are raised as `OSError`.
    """
    with _readable(archive):
        wanted = check(archive)
        folder.mkdir(parents=True, exist_ok=True)
        _require_room(folder, wanted)
        written = []
        for entry in _entries(archive):
            path = folder / _safe_name(archive, entry)
            if entry.kind == "folder" and only is None:
                path.mkdir(parents=True, exist_ok=True)
            elif entry.kind == "file" and only in (None, path.name):
                path.parent.mkdir(parents=True, exist_ok=True)
                with entry.open() as source, path.open("xb") as target:
                    shutil.copyfileobj(source, target, CHUNK)
                written.append(path)
    return written


def check(archive: Path) -> int:
    """The bytes that `archive` unpacks to; raises `BadData` for the first entry that is not safe."""
    files: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    total = 0
    with _readable(archive):
        for number, entry in enumerate(_entries(archive), 1):
            name = _safe_name(archive, entry)
            if entry.kind not in ("file", "folder"):
                raise _unsafe(archive, entry, f"is {entry.kind}")
            total += entry.size
            if total > MAX_BYTES or number > MAX_FILES:
                raise _too_large(archive)
            folders.update(name.parents)
            if entry.kind == "folder":
                folders.add(name)
            elif name in files:
                raise _unsafe(archive, entry, "is there twice")
            else:
                files.add(name)
    both = files & folders
    if both:
        raise BadData(f"{archive}: {min(both)} is a file and a folder; nothing was unpacked. {ADVICE}")
    return total


ADVICE = "Delete the archive and fetch it from its official source"


def _safe_name(archive: Path, entry: Entry) -> PurePosixPath:
    name = entry.name
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise _unsafe(archive, entry, "has an absolute path")
    if ".." in name.split("/"):
        raise _unsafe(archive, entry, "leaves the folder")
    if not name or "\\" in name or not name.isprintable():
        raise _unsafe(archive, entry, "has a name that is not allowed")
    return PurePosixPath(name)


def _unsafe(archive: Path, entry: Entry, why: str) -> BadData:
    return BadData(f"{archive}: the entry {entry.name!r} {why}; nothing was unpacked. {ADVICE}")


def _too_large(archive: Path) -> BadData:
    return BadData(
        f"{archive}: unpacks to more than {MAX_BYTES / 2**20:,.0f} MiB or {MAX_FILES:,} files, so it is not a known data "
        f"set; nothing was unpacked. {ADVICE}"
    )


def _require_room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise NoSpaceOrPermission(
            f"{folder.parent}: {wanted / 1e6:,.0f} MB are needed to unpack the files, but only {free / 1e6:,.0f} MB are "
            "free; free some space there, or point ABLATE_DATA to a disk with room"
        )


@contextmanager
def _readable(archive: Path) -> Iterator[None]:
    """Turns what a broken archive raises, which is nearly anything, into `BadData`; faults of the disk pass."""
    try:
        yield
    except (AblateError, MemoryError):
        raise
    except Exception as error:
        broken = isinstance(error, gzip.BadGzipFile) or not isinstance(error, OSError) or error.errno == errno.EINVAL
        if not broken:
            raise
        raise BadData(
            f"{archive}: not a readable archive ({error or type(error).__name__}); it may be truncated. {ADVICE}"
        ) from None


def _entries(archive: Path) -> Iterator[Entry]:
    return _zip_entries(archive) if archive.name.removesuffix(".part").endswith(".zip") else _tar_entries(archive)


def _zip_entries(archive: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():

            def read(info: zipfile.ZipInfo = info) -> IO[bytes]:
                return opened.open(info)

            yield Entry(info.filename, info.file_size, _zip_kind(info), read)


def _zip_kind(info: zipfile.ZipInfo) -> str:
    """The upper half of the attributes is a Unix mode where the archive was made on Unix, else 0."""
    mode = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & 1:
        return "encrypted"
    if stat.S_ISLNK(mode):
        return "a link"
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a device"
    return "folder" if info.is_dir() else "file"


def _tar_entries(archive: Path) -> Iterator[Entry]:
    with (
        gzip.open(archive) as plain,
        tarfile.open(fileobj=_Limited(archive, plain), mode="r|") as opened,  # type: ignore[call-overload]
    ):
        for member in opened:

            def read(member: tarfile.TarInfo = member) -> IO[bytes]:
                file: IO[bytes] | None = opened.extractfile(member)
                assert file is not None
                return file

            yield Entry(member.name, member.size, _tar_kind(member), read)


def _tar_kind(member: tarfile.TarInfo) -> str:
    if member.isdir():
        return "folder"
    if member.issym() or member.islnk():
        return "a link"
    return "file" if member.isreg() and not member.issparse() else "a device"


class _Limited:
    """What `tarfile` reads a stream from; ends it with `BadData` past twice `MAX_BYTES` (headers and padding count)."""

    def __init__(self, archive: Path, file: BinaryIO | gzip.GzipFile) -> None:
        self.archive = archive
        self.file = file
        self.left = 2 * MAX_BYTES

    def read(self, size: int) -> bytes:
        content = self.file.read(size)
        self.left -= len(content)
        if self.left < 0:
            raise _too_large(self.archive)
        return content
