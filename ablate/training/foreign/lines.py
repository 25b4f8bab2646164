"""Lines out of a stream of bytes, however long they are and however they are cut into pieces."""

from __future__ import annotations

import re

LONGEST = 1 << 16
"""Bytes of a line that are read; the rest is dropped, so that a line without an end cannot fill memory."""
CUT = "\N{HORIZONTAL ELLIPSIS}"
"""Stands where the rest of a line was dropped. No number ends before it."""

_END = re.compile(rb"[\r\n]")


class Lines:
    """Puts pieces together. A carriage return ends a line too: progress bars write nothing else for hours."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._held = bytearray()
        self._cut = False

    def take(self, data: bytes) -> list[str]:
        """The lines that this piece completes, without empty ones."""
        *whole, rest = _END.split(data)
        lines = []
        for piece in whole:
            lines.append(self._line(piece))
        self._hold(rest)
        return [line for line in lines if line.strip()]

    def rest(self) -> list[str]:
        """The line that was not ended."""
        line = self._line(b"")
        return [line] if line.strip() else []

    def _line(self, piece: bytes) -> str:
        self._hold(piece)
        text = self._held.decode("utf-8", "replace") + (CUT if self._cut else "")
        self._held.clear()
        self._cut = False
        return text

    def _hold(self, piece: bytes) -> None:
        room = max(0, self._longest - len(self._held))
        self._held += piece[:room]
        self._cut |= len(piece) > room
