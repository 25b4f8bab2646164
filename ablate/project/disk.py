"""What lies in a folder: entries, their sizes and ages, and which files a process has open. Links are never followed."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path


def entries(folder: Path) -> Sequence[os.DirEntry[str]]:
    """What lies in a folder, sorted; nothing where it is absent, a link or not ours to read. Links are left out."""
    if folder.is_symlink():
        return ()
    try:
        with os.scandir(folder) as found:
            return sorted((entry for entry in found if not entry.is_symlink()), key=lambda entry: entry.name)
    except OSError:
        return ()


def _walk(entry: os.DirEntry[str]) -> Iterator[os.stat_result]:
    """The file, or all files below the folder; a link counts as itself."""
    with contextlib.suppress(OSError):
        yield entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            with os.scandir(entry.path) as found:
                for inner in found:
                    yield from _walk(inner)


def size_of(entry: os.DirEntry[str]) -> int:
    return sum(status.st_blocks * 512 for status in _walk(entry) if stat.S_ISREG(status.st_mode))


def newest(entry: os.DirEntry[str]) -> float:
    """When anything in it was last written, or a file of it read, as far as the file system notes that.

    Reading a folder does not count: looking here does it.
    """
    times = (max(status.st_mtime, status.st_atime if stat.S_ISREG(status.st_mode) else 0.0) for status in _walk(entry))
    return max(times, default=0.0)


def open_files(home: Path) -> set[str]:
    """Files below `home` that a process of this machine has open or mapped, and folders that one works in, as far as this user
    may see."""
    inside = os.path.join(home, "")
    found: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for link in os.scandir(process / "fd"):
                with contextlib.suppress(OSError):
                    found.add(os.readlink(link.path))
        with contextlib.suppress(OSError):
            found.add(os.readlink(process / "cwd"))
        with contextlib.suppress(OSError):
            maps = (process / "maps").read_text(errors="replace")
            found.update(line.split(maxsplit=5)[5] for line in maps.splitlines() if inside in line)
    return {path for path in found if path.startswith(inside)}
