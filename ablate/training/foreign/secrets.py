"""Values that a command is passed on and that nobody is shown: they are blotted out of what it prints."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHORTEST = 6
"""Characters of a value that is blotted out; shorter ones, as in `1`, would take numbers along."""
BLOT = b"***"


class Blot:
    """Goes through one stream. A value may lie in two pieces, so the end of a piece that could begin one waits for the next."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found = {secret.encode("utf-8", "surrogateescape") for secret in secrets if len(secret) >= SHORTEST}
        self._secrets = sorted(found, key=len, reverse=True)
        self._any = re.compile(b"|".join(map(re.escape, self._secrets)))
        self._held = b""

    def take(self, data: bytes) -> bytes:
        """What may be shown by now."""
        if not self._secrets:
            return data
        data = self._held + data
        begun = len(data) - self._begun(data)
        shown, place = [], 0
        for match in self._any.finditer(data):
            if match.start() >= begun:  # it may be the start of a longer one
                break
            shown += [data[place : match.start()], BLOT]
            place = match.end()
        end = max(begun, place)
        self._held = data[end:]
        return b"".join([*shown, data[place:end]])

    def rest(self) -> bytes:
        """What is left at the end of the stream."""
        held, self._held = self._held, b""
        return self._any.sub(BLOT, held) if held else b""

    def _begun(self, data: bytes) -> int:
        """How many bytes at the end begin a secret that is not whole."""
        most = min(len(self._secrets[0]) - 1, len(data))
        sizes = (
            size
            for size in range(most, 0, -1)
            if any(len(s) > size and s.startswith(data[-size:]) for s in self._secrets)
        )
        return next(sizes, 0)
