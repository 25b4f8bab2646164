"""The first bytes of a SQLite file, read without disturbing the locks of this process.

POSIX drops all locks that a process has on a file as soon as it closes any descriptor of it. SQLite minds that for its
own ones; a file that is opened and closed beside it loses the lock by which other processes see that it is in use. The
next of them to close the database would take itself for the last, and delete the log that this process goes on writing
its results to. So a descriptor stays open until no database of this process needs the file any more.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

File = tuple[int, int]
"""A file's identity: device and inode, which no other file gets while a descriptor is open."""

LENGTH = 20

_lock = threading.Lock()
_open: dict[File, tuple[list[int], int]] = {}  # its descriptors (one, but for a race), and how many hold it


class Header:
    """What one user of files needs to know of them, until it is done with them and calls `release`."""

    def __init__(self) -> None:
        self._held: set[File] = set()

    def read(self, path: Path) -> bytes:
        """The first 20 bytes of the file that is at `path` now. Raises OSError."""
        with _lock:
            descriptors, _ = _open[self._hold(path)]
            return os.pread(descriptors[0], LENGTH, 0)

    def hold(self, path: Path) -> File:
        """Which file is at `path` now; no other one gets its identity until `release`. Raises OSError."""
        with _lock:
            return self._hold(path)

    def _hold(self, path: Path) -> File:
        file = identity(path)
        if file not in _open:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            file = _identity(os.fstat(descriptor))  # another one, if it was replaced meanwhile
            _open.setdefault(file, ([], 0))[0].append(descriptor)
        descriptors, holders = _open[file]
        if file not in self._held:
            self._held.add(file)
            _open[file] = (descriptors, holders + 1)
        return file

    def release(self) -> None:
        """To be called once the connections of this user are closed."""
        with _lock:
            for file in self._held:
                descriptors, holders = _open[file]
                _open[file] = (descriptors, holders - 1)
                if holders == 1:
                    del _open[file]
                    for descriptor in descriptors:
                        os.close(descriptor)
            self._held.clear()


def identity(path: Path) -> File:
    """Which file is at `path` now, without opening it. Raises OSError."""
    return _identity(os.stat(path))


def in_use(path: Path) -> bool:
    """Whether a user in this process holds the file: its locks are not seen by this process itself. Raises OSError."""
    with _lock:
        return identity(path) in _open


def _identity(status: os.stat_result) -> File:
    return status.st_dev, status.st_ino
