"""Putting a backup in the place of a SQLite database: whole or not at all, and what was there before is kept."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ablate.errors import NoSpaceOrPermission, NotFound, StoreError, UsageError
from ablate.store import filelock
from ablate.store import location as places
from ablate.store.backup import copy_file, size, sync
from ablate.store.engine import Database
from ablate.store.header import Header, in_use
from ablate.store.location import Location
from ablate.store.schema import REVISIONS
from ablate.store.values import Restored
from ablate.study.recipes.places import written_out

_LOCK_BYTES, _LOCK_START = 512, 0x40000000
"""Where SQLite locks a database that it has open (PENDING_BYTE and what follows, in its os.h)."""


def restore(url: str, source: Path) -> Restored:
    """Make the database at `url` what the file `source` holds.

    `source` is read and checked first. It may be the database itself, put in place by hand beside a log that is not its
    own: then only that log is moved aside. Raises NotFound, UsageError, StoreError (in use; `source` damaged or not ours),
    NoSpaceOrPermission.
    """
    location = places.locate(url)
    if location.path is None:
        raise UsageError(f"{location.shown} is a server, not a file: use pg_restore, or `ablate db import FILE`.")
    target = location.path
    source = written_out(source).absolute()
    places.refuse_place(location)
    part = target.with_name(f".ablate-{os.getpid()}.restored.part")
    try:
        with _alone(location):
            _copy(source, part, itself=source.resolve() == target)
            found = _examine(part, source)
            kept, moved = _swap(location, part, itself=source.resolve() == target)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise NoSpaceOrPermission(f"{location.shown} cannot be restored: {place}{error.strerror}") from None
    finally:
        for suffix in ("", "-journal"):
            part.with_name(part.name + suffix).unlink(missing_ok=True)
    return Restored(*found, kept, moved)


@contextmanager
def _alone(location: Location) -> Iterator[None]:
    """No one else has the database open, or opens it meanwhile; StoreError if someone has."""
    path = location.file
    with filelock.file_lock(location.beside(".lock"), location.shown, filelock.PATIENCE):
        if not path.exists():
            yield
            return
        busy = StoreError(
            f"{location.shown} is in use by {filelock.holder(path, kinds=('READ', 'WRITE'))}. End it (Ctrl-C gives its runs "
            "back), then restore; nothing was changed."
        )
        if in_use(path):  # by this process, whose own locks do not keep it out
            raise busy
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCK_BYTES, _LOCK_START)
            except (BlockingIOError, PermissionError):
                raise busy from None
            yield
        finally:
            os.close(descriptor)


def _copy(source: Path, part: Path, *, itself: bool) -> None:
    """What `source` holds, in one file without a log."""
    header = Header()
    try:
        start = header.read(source)
        wal = places.is_wal(source, header)
    except FileNotFoundError:
        raise NotFound(f"{source} is not there; name a file that `ablate db backup` wrote") from None
    except IsADirectoryError:
        raise StoreError(f"{source} is a folder; name a file that `ablate db backup` wrote") from None
    finally:
        header.release()
    if not start.startswith(places.HEADER):
        raise _not_ours(source)
    if itself and wal:
        raise UsageError(f"{source} is the database itself, in use or as it was left; name a backup of it.")
    if itself or not (wal or size(source.with_name(source.name + "-journal"))):
        shutil.copyfile(source, part)
        return
    database = Database(str(source), read_only=True)
    try:
        copy_file(database, part)
    finally:
        database.close()


def _examine(part: Path, source: Path) -> tuple[str, int]:
    """The revision of a copy and the number of its runs. StoreError where it is damaged, newer than this code or not ours."""
    try:
        with closing(sqlite3.connect(part, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
            problem = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if problem == "ok" and not names >= {"alembic_version", "runs", "study_runs"}:
                raise _not_ours(source)
            if problem == "ok":
                revision = str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])
                runs = int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])
    except sqlite3.DatabaseError as error:
        problem = str(error)
    if problem != "ok":
        raise StoreError(f"{source} is damaged ({problem}); nothing was restored")
    if revision not in REVISIONS:
        raise StoreError(
            f"{source} was made by a newer ablate (schema {revision}, this one knows up to {REVISIONS[-1]}); nothing was "
            "restored. Update ablate to open it."
        )
    return revision, runs


def _swap(location: Location, part: Path, *, itself: bool) -> tuple[str | None, tuple[str, ...]]:
    """Put the part in place. The names that the database before has now, if any, and the logs that were not its own.

    The log goes last: a database beside one that is not its own is refused by every command, and restored by another try.
    """
    target = location.file
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    header = Header()
    try:
        wal = target.exists() and places.is_wal(target, header)
    finally:
        header.release()
    kept: Path | None = None
    if not itself:
        if target.exists():
            shutil.copymode(target, part)
            kept = _free(target.with_name(f"{target.name}.replaced-{stamp}.backup"))
            try:
                os.link(target, kept)  # no rename: at every moment there is a database at the path
            except OSError:  # a file system without links
                shutil.copyfile(target, kept)
        sync(part)
        os.replace(part, target)
    moved: list[str] = []
    for suffix in ("-wal", "-shm", "-journal"):
        log = location.beside(suffix)
        if not log.exists():
            continue
        if not log.stat().st_size:
            log.unlink()
        elif kept is not None and wal == (suffix != "-journal"):
            log.rename(kept.with_name(kept.name + suffix))
        elif not itself or suffix != "-journal":
            aside = _free(log.with_name(f"{log.name}.stale-{stamp}"))
            log.rename(aside)
            moved.append(str(aside))
    sync(target.parent)
    return None if kept is None else str(kept), tuple(moved)


def _free(path: Path) -> Path:
    """The path, or one with a number behind it where that is taken."""
    candidates = itertools.chain([path], (path.with_name(f"{path.name}.{number}") for number in itertools.count(2)))
    return next(candidate for candidate in candidates if not os.path.lexists(candidate))


def _not_ours(source: Path) -> StoreError:
    return StoreError(f"{source} is not a results database of ablate; nothing was restored")
