"""One file that holds a whole SQLite database: compact, journal mode DELETE, so that it can be committed and mailed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ablate.errors import NoSpaceOrPermission, NotFound, StoreError, UsageError
from ablate.store.engine import Database
from ablate.study.recipes.places import written_out


def copy_file(database: Database, target: Path, *, overwrite: bool = False) -> None:
    """Copy the database as it is at this moment, while others write, to `target`; whole or not at all."""
    source = database.location
    if source.path is None:
        raise UsageError(
            f"{source.shown} is a server, not a file: back it up with pg_dump, or write everything that ablate keeps there "
            "to one file with `ablate db export FILE.jsonl.gz`."
        )
    target = written_out(target).absolute()
    if target.resolve() == source.path:
        raise StoreError(f"a backup of {source.shown} cannot be that file itself; name another")
    with whole_file(target, overwrite) as part:
        name = os.fsencode(part)  # as bytes, for a name need not be UTF-8
        database.read_raw(lambda connection: connection.cursor().execute("VACUUM INTO CAST(? AS TEXT)", (name,)))
        _settle(part)


@contextmanager
def whole_file(target: Path, overwrite: bool) -> Iterator[Path]:
    """A file to write in `target`'s place: it becomes `target` at the end of the block, or nothing happens."""
    target = written_out(target).absolute()
    if not target.parent.is_dir():
        raise NotFound(f"the folder {target.parent} does not exist; create it first")
    if target.is_dir():
        raise StoreError(f"{target} is a folder; name a file")
    if target.exists() and not overwrite:
        raise UsageError(f"{target} already exists; name another file, or overwrite it", code="exists")
    if size(target.with_name(target.name + "-wal")):
        raise StoreError(f"{target} is a database in use (it has a -wal file); name another file")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.unlink(missing_ok=True)
        yield part
        sync(part)  # before the rename: else a power cut could leave the name with nothing behind it
        os.replace(part, target)
        sync(target.parent)  # the name itself
    except OSError as error:
        raise NoSpaceOrPermission(f"{target} cannot be written: {error.strerror}") from None
    finally:
        for name in (part.name, part.name + "-journal"):
            part.with_name(name).unlink(missing_ok=True)


def _settle(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")  # in WAL it could not be read where nobody may write beside it
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise StoreError(f"the copy is damaged ({problem}), so the database is too: run `ablate db check`")


def sync(path: Path) -> None:
    """Have a file or a folder on the disk before this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size(path: Path) -> int:
    """Bytes of the file; 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
