"""The log of one attempt: what the trainer printed, bounded, so that a flood of output cannot fill the disk."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import BinaryIO

HEAD = 4 << 20
TAIL = 256 << 10


class AttemptLog:
    """Keeps the first `head` and the last `tail` bytes and says how many are left out between them.

    A file that is there already is continued: no attempt is overwritten. A log that can't be written must not end a
    run, so errors of the disk silence it; `broken` then says why.
    """

    def __init__(self, path: Path, head: int = HEAD, tail: int = TAIL) -> None:
        self.broken: OSError | None = None
        self._head = head
        self._tail_size = tail
        self._tail = bytearray()
        self._left_out = 0
        self._file: BinaryIO | None = None
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            self.broken = error

    def write(self, data: bytes) -> None:
        now, later = data[: self._head], data[self._head :]
        self._head -= len(now)
        if now:
            self._put(now)
        if later:
            self._tail += later
            surplus = len(self._tail) - self._tail_size
            if surplus > 0:
                del self._tail[:surplus]
                self._left_out += surplus

    def close(self) -> None:
        if self._left_out:
            self._put(f"\n... {self._left_out} bytes left out ...\n".encode())
        if self._tail:
            self._put(bytes(self._tail))
            self._tail.clear()
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _put(self, data: bytes) -> None:
        if self._file is None or self.broken is not None:
            return
        try:
            self._file.write(data)
        except OSError as error:
            self.broken = error
