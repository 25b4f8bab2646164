"""Where a database lies: URLs, the file behind one, and the file system behind that."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from ablate.errors import NoSpaceOrPermission, NotFound, StoreError
from ablate.store.header import Header
from ablate.study.recipes import places
from ablate.study.recipes.places import SQLITE, expand, is_database_url

HEADER = b"SQLite format 3\x00"

_NATIVE = (
    "9p afpfs afs beegfs ceph cifs glusterfs gpfs lustre ncpfs nfs nfs4 orangefs panfs prl_fs smb2 smb3 smbfs vboxsf"
)
_FUSE = "ceph ceph-fuse cephfs gcsfuse glusterfs juicefs rclone s3fs sshfs"
NETWORK = frozenset(_NATIVE.split()) | {f"fuse.{name}" for name in _FUSE.split()}
"""File systems whose locks or shared memory SQLite cannot trust between writers."""


@dataclass(frozen=True)
class Location:
    """A database: a SQLite file or a server (`url`). `shown` is what people see: never a password.

    `named` is the file's path as it was given, absolute; `path` the file that this led to, links followed.
    """

    shown: str
    path: Path | None = None
    url: URL | None = None
    named: Path | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that no message may hold."""
        if self.url is None:
            return ()
        found = [str(self.url.password or "")]
        found += [str(value) for key, value in self.url.query.items() if "pass" in key.lower()]
        return tuple(text for text in found if text)

    @property
    def file(self) -> Path:
        """The path of a database that is known to be a file."""
        assert self.path is not None
        return self.path

    def beside(self, suffix: str) -> Path:
        """The file of that suffix beside a SQLite file, as in `results.db-wal`."""
        return self.file.with_name(self.file.name + suffix)


def locate(given: str) -> Location:
    """A URL (`sqlite:///results.db`, `postgresql+psycopg://...`) or the path of a SQLite file. Raises StoreError, UsageError.

    Whatever is no such URL is a path, and so is what follows `sqlite:///`: its characters stand for themselves.
    """
    if given.startswith(SQLITE):
        return _file(given.removeprefix(SQLITE))
    refuse_other_urls(given)
    if not is_database_url(given):
        return _file(given)
    scheme = given.partition("://")[0]
    try:
        parsed = make_url(given)
    except (ArgumentError, ValueError):
        raise StoreError(f"the database URL that starts with {scheme!r} cannot be read. {_ALLOWED}") from None
    if "@" in (parsed.host or ""):  # a part of the password, which every message would show
        raise StoreError(
            f"the database URL that starts with {scheme!r} cannot be read: a password's @, : and / are written %40, "
            f"%3A and %2F. {_ALLOWED}"
        )
    parsed = parsed.set(drivername="postgresql+psycopg")
    return Location(shown=parsed.set(query={}).render_as_string(hide_password=True), url=parsed)


_ALLOWED = "Allowed: sqlite:///results.db, or postgresql+psycopg://user:password@host/name."


def refuse_other_urls(given: str) -> None:
    """StoreError for a URL that names no database of ours. It is not taken for a path: that could print its password."""
    scheme = places.scheme(given)
    if scheme is None or is_database_url(given):
        return
    if given == "sqlite://":
        _file("")
    if not scheme:
        raise StoreError(f"the database URL that starts with '' cannot be read. {_ALLOWED}")
    if scheme == "sqlite":
        raise StoreError(f"{given}: a SQLite URL has three slashes before a relative path, four before an absolute one")
    if scheme.startswith("postgres"):
        raise StoreError(f"unknown kind of database URL, {scheme!r}. {_ALLOWED}")
    raise StoreError(
        f"results cannot be stored in {scheme!r}. {_ALLOWED} Write a path that starts like this with ./ before it."
    )


def _file(path: str) -> Location:
    if path in ("", ":memory:"):
        raise StoreError(
            f"results are kept in a file, as in sqlite:///results.db; {path or 'an empty path'!r} names none"
        )
    if "\x00" in path:
        raise StoreError("the database's path holds a NUL character")
    named = expand(path, "the results database").absolute()
    return Location(shown=path, path=named.resolve(), named=named)


def is_wal(path: Path, header: Header) -> bool:
    """Whether the file's header says write-ahead log: bytes 18 and 19 are 2 then, else 1 (SQLite's fileformat2)."""
    return header.read(path)[18:20] == b"\x02\x02"


def refuse_missing(location: Location, header: Header) -> None:
    """NotFound where there is no file to read, StoreError for one that is not a SQLite database."""
    try:
        size = location.file.stat().st_size
        refuse_foreign(location, header)
    except FileNotFoundError:
        size = -1
    except PermissionError:
        raise NoSpaceOrPermission(f"{location.shown} cannot be read by this user; check its permissions") from None
    except IsADirectoryError:
        raise StoreError(f"{location.shown} is a folder, not a results database") from None
    if size <= 0:
        what = "is not there" if size < 0 else "is empty"
        raise NotFound(
            f"the results database {location.shown} {what}. `ablate grid run STUDY.yaml` makes one; "
            "--db or ABLATE_DB names another."
        )


def refuse_foreign(location: Location, header: Header) -> None:
    """StoreError for a file that is neither empty nor SQLite's, or lies beside another's log; reads its header and touches
    nothing."""
    start = header.read(location.file)[: len(HEADER)]
    if start and start != HEADER:
        raise StoreError(
            f"{location.shown} is not a results database (no SQLite file); it was left as it is. "
            "Name another file with --db or ABLATE_DB."
        )
    if start:
        _refuse_stale_log(location, header)


def _refuse_stale_log(location: Location, header: Header) -> None:
    """StoreError for a file in journal mode DELETE beside a write-ahead log, which is another file's then: SQLite would
    write it into this one. Such is a backup that was copied to where a grid was killed."""
    log = location.beside("-wal")
    before = _log(log)
    if before is not None and not is_wal(location.file, header) and _log(log) == before:
        raise StoreError(
            f"{location.shown} is not the file that {log.name} beside it belongs to, and that log would be written into it; "
            f"both were left as they are. If a backup was put here: `ablate db restore FILE`, where FILE is that backup, or "
            f"{location.shown} itself, moves the log aside."
        )


def _log(path: Path) -> tuple[int, int] | None:
    """Which write-ahead log lies there; None where there is none that holds anything."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return (status.st_dev, status.st_ino) if status.st_size else None


def refuse_place(location: Location) -> None:
    """NotFound or StoreError where no results database can be, before anything is written there."""
    folder = location.file.parent
    if not folder.is_dir():
        raise NotFound(f"the folder {folder} of the results database {location.shown} does not exist; create it first")
    refuse_network(location)
    if location.file.is_dir():
        raise StoreError(f"{location.shown} is a folder, not a results database")


def refuse_network(location: Location, mountinfo: str | None = None) -> None:
    """StoreError for a folder on a network mount."""
    kind = file_system(location.file.parent, mountinfo)
    if kind in NETWORK:
        raise StoreError(
            f"{location.shown} lies on a network file system ({kind}), where SQLite can lose results. Use a local disk "
            "(--db or ABLATE_DB), or PostgreSQL: ABLATE_DB=postgresql+psycopg://user:password@host/name."
        )


def file_system(folder: Path, mountinfo: str | None = None) -> str | None:
    """The type of the file system that holds `folder`, from Linux's mount table; None where there is none to read."""
    if mountinfo is None:
        try:
            mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return None
    best, kind = "", None
    place = os.path.join(str(folder), "")
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if not after:
            continue
        point = os.path.join(_unescape(before.split()[4]), "")
        if place.startswith(point) and len(point) >= len(best):  # a later mount on the same point hides the earlier
            best, kind = point, after.split()[0]
    return kind


def _unescape(point: str) -> str:
    """Blanks and backslashes of a path, which the mount table writes as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point)
