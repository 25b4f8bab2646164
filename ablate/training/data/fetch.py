"""`ablate data fetch`: the official archive of a known data set, downloaded, checked and unpacked where it is looked for.

The data set appears by one rename of a folder that was unpacked beside it, so what is there is whole. A lock keeps two
fetches apart. Nothing that trains imports this module.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ablate.errors import BadData, NoSpaceOrPermission, NotFound, UsageError, nearest
from ablate.parts.declare import Archive, DataSet
from ablate.parts.found import parts
from ablate.training.data.archives import unpack
from ablate.training.data.download import Watch, discard, download


def fetch(
    name: str,
    root: Path,
    watch: Watch,
    *,
    url: str | None = None,
    force: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Path | None:
    """Where the data set `name` lies under `root` (ABLATE_DATA), after it was fetched from `url` or the official place.

    None where there is nothing to fetch. A data set that is there is left alone unless `force`. Raises `NotFound`,
    `UsageError`, `BadData` (wrong checksum, an archive that is broken or not safe) and `NoSpaceOrPermission`.
    """
    known = official(name)
    if known.embedded:
        watch.say(f"{name}: nothing to fetch ({known.get}).")
        return None
    archive = known.archive
    if archive is None:
        raise UsageError(f"{name} cannot be fetched: {known.get}. ablate data fetch knows {_fetched()}")
    if url is not None and urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(
            f"--url {url}: must begin with http:// or https://; put a file that you already have into "
            f"{root / archive.file}, where ablate data fetch {name} finds it"
        )
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
        with alone(root / f".{archive.file}.lock", name):
            there = None if force else _there(known, archive, root)
            if there is not None:
                watch.say(
                    f"{name} is already there; nothing was downloaded. ablate data verify {name} checks that it is "
                    "complete, --force fetches the official files again."
                )
                return there
            return _fetch(known, archive, url or archive.url, root, watch, sleep)


def official(name: str) -> DataSet:
    """The data set `name`, which is not the user's own. Raises `NotFound` and `UsageError`."""
    known = parts(DataSet).get(name)
    if known is None:
        raise NotFound(
            f"unknown data set {name!r}; allowed: {_fetched()}.{nearest(name, parts(DataSet))}", code="unknown-data-set"
        )
    if known.needs_path:
        raise UsageError(
            f"{name} is your own data, so there is nothing to fetch: in the study file, {known.get}. "
            f"ablate data fetch knows {_fetched()}"
        )
    return known


def _fetched() -> str:
    return ", ".join(known.name for known in parts(DataSet).values() if known.archive is not None)


def source_place(known: DataSet, root: Path) -> Path | None:
    """The place under `root` where the data set is found first. Raises `BadData` where one holds it in pieces."""
    found = (source for place in known.places if (source := known.open(root / place)) is not None)
    first = next(found, None)
    return Path(first.where) if first is not None else None


def _there(known: DataSet, archive: Archive, root: Path) -> Path | None:
    replace = f"ablate data fetch {known.name} --force"
    try:
        there = source_place(known, root)
    except BadData as error:
        raise BadData(f"{error}; or put the official files in its place with {replace}") from None
    target = root / archive.place
    if there is None and (target.is_file() or (target.is_dir() and any(target.iterdir()))):
        raise BadData(f"{target}: does not hold {known.name}; move it away, or replace it with {replace}")
    return there


def _fetch(
    known: DataSet, archive: Archive, url: str, root: Path, watch: Watch, sleep: Callable[[float], None]
) -> Path:
    """The data set, new in its place; the archive is removed again unless it was put there by hand."""
    name = known.name
    by_hand = root / archive.file
    part = root / f"{archive.file}.part"
    if by_hand.is_file():
        whole = _checked_by_hand(by_hand, archive, watch)
    else:
        whole = part
        if not (part.is_file() and md5(part) == archive.md5):
            advice = f"To do it by hand: download {url} to {by_hand}, then run ablate data fetch {name} again."
            watch.say(f"fetching {url}")
            download(url, part, watch, advice, sleep)
            _require_md5(url, part, archive, name)
    watch.say(f"unpacking {whole.name.removesuffix('.part')}")
    place = _install(known, archive, whole, root)
    discard(part)
    first = _first_looked_at(known, root)
    if first != str(place):
        watch.say(f"note: {first} comes before {place}; move it away, or runs will use it.")
    return place


def _checked_by_hand(path: Path, archive: Archive, watch: Watch) -> Path:
    got = md5(path)
    if got != archive.md5:
        raise BadData(
            f"{path}: not the official archive, or truncated: its MD5 is {got}, expected {archive.md5}. "
            "Move it away and run the same command again"
        )
    watch.say(f"{path} is already there with the right checksum; nothing was downloaded.")
    return path


def _require_md5(url: str, part: Path, archive: Archive, name: str) -> None:
    """A wrong file is kept aside: with it people see what the server sent instead."""
    got = md5(part)
    if got != archive.md5:
        wrong = part.with_name(f"{archive.file}.wrong")
        part.replace(wrong)
        discard(part)
        raise BadData(
            f"{url}: not the official archive: its MD5 is {got}, expected {archive.md5}. It is kept as {wrong}; "
            f"inspect it, delete it, and run ablate data fetch {name} again, or with --url URL for another place"
        )


def _install(known: DataSet, archive: Archive, whole: Path, root: Path) -> Path:
    """Unpacks into a folder beside the target, on the same disk, and renames. Called under the lock."""
    target = root / archive.place
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.parent / f".{archive.file}.unpacking"
    shutil.rmtree(work, ignore_errors=True)  # left over by a process that was killed
    work.mkdir()
    try:
        files = unpack(whole, work / "new", archive.inner)
        if archive.inner is not None:
            if len(files) != 1:
                raise BadData(f"{whole}: holds {len(files)} files {archive.inner}, expected one; nothing was installed")
            unpack(files[0], work / "inner")
        new = work / ("new" if archive.inner is None else "inner") / archive.folder
        if known.open(new) is None:
            raise BadData(f"{whole}: holds no {known.name} in {archive.folder}/; nothing was installed")
        _swap(new, target, work / "old")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _swap(new: Path, target: Path, aside: Path) -> None:
    replaced = os.path.lexists(target)
    if replaced:
        target.rename(aside)
    try:
        new.rename(target)
    except BaseException:
        if replaced:
            aside.rename(target)
        raise


def _first_looked_at(known: DataSet, root: Path) -> str:
    try:
        return str(source_place(known, root))
    except BadData as error:
        return str(error)


def md5(path: Path) -> str:
    """The MD5 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turns a full disk, a read-only folder and the like into `NoSpaceOrPermission` that names the place."""
    try:
        yield
    except OSError as error:
        raise NoSpaceOrPermission(
            f"{error.filename or root}: {error.strerror or error}; free some space, make it writable, "
            "or point ABLATE_DATA to another folder. Finished downloads are kept"
        ) from error


@contextmanager
def alone(path: Path, name: str) -> Iterator[None]:
    """Holds the lock on `path`, which the system drops with the process; `NotFound` where another process has it.

    The file stays: removing a lock file is a race of its own.
    """
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotFound(
                f"another process is already fetching {name} ({path} is locked). "
                f"Wait for it, then run ablate data fetch {name} again"
            ) from None
        yield
