"""Lines of a text file that somebody else writes, as they come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ablate.errors import RunFailure
from ablate.training.foreign.files.cells import Stamp

LONGEST = 16 << 20
"""Bytes of a line."""
_SEEN = 4096
"""So many bytes before the place that was reached tell whether the file was written anew."""


class Growing:
    """Hands out each line once. A file that is written anew is read from its beginning.

    `skip`: what lies there already is of an earlier attempt, and is not handed out.
    """

    def __init__(self, path: Path, *, skip: bool = False) -> None:
        self.path = path
        self._at = self._number = 0
        self._seen = b""
        self._stamp: Stamp | None = None
        self._before: Stamp | None = None
        if skip:
            for _ in self.lines(ended=True):
                pass
            self._before = self._stamp

    def lines(self, *, ended: bool) -> Iterator[tuple[int, str]]:
        """(number from 1, text) of the lines that are new; one without an end only where all has `ended`. Raises RunFailure."""
        stamp = Stamp.of(self.path)
        if stamp is None or (stamp == self._stamp and not ended):
            return
        try:
            with self.path.open("rb") as stream:
                self._go_to(stream, stamp, ended)
                self._stamp = stamp
                while line := stream.readline(LONGEST):
                    if not line.endswith(b"\n"):
                        if len(line) == LONGEST:
                            raise RunFailure(
                                f"line {self._number + 1} of {self.path.name} is longer than {LONGEST >> 20} MiB."
                            )
                        if not ended:
                            return
                    self._at += len(line)
                    self._number += 1
                    self._seen = (self._seen + line)[-_SEEN:]
                    yield self._number, line.decode("utf-8", "replace").strip("\ufeff\r\n")
        except OSError:  # it is being replaced: the next look sees what came of that
            self._stamp = None

    def _go_to(self, stream: BinaryIO, stamp: Stamp, ended: bool) -> None:
        """Where to read on; at the beginning of a file that is another one now, or that has other bytes where we were.

        One that an earlier attempt has written may be written anew with the same bytes: then it is another by its time alone.
        """
        stream.seek(self._at - len(self._seen))
        again = (
            ended and self._before is not None and stamp != self._before and stamp.size == self._at == self._before.size
        )
        other = self._stamp is not None and stamp.file != self._stamp.file
        if again or other or stream.read(len(self._seen)) != self._seen:
            self._at, self._number, self._seen = 0, 0, b""
            stream.seek(0)

    def first(self) -> str:
        """The file's first line, as it is now."""
        try:
            with self.path.open("rb") as stream:
                return stream.readline(LONGEST).decode("utf-8", "replace").strip("\ufeff\r\n")
        except OSError:
            return ""
