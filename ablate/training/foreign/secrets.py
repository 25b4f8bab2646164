"""Values that a command is passed on and that nobody is shown: they are blotted out of what it prints."""

from __future__ import annotations

from collections.abc import Iterable

SHORTEST = 6
"""Characters of a value that is blotted out; shorter ones, as in `1`, would take numbers along."""
BLOT = b"***"


class Blot:
    """Goes through one stream. A value may lie in two pieces, so the end of a piece that could begin one waits for the next."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found = {secret.encode("utf-8", "surrogateescape") for secret in secrets if len(secret) >= SHORTEST}
        self._secrets = sorted(found, key=len, reverse=True)
        self._longest = len(self._secrets[0]) if self._secrets else 0
        self._held = b""

    def take(self, data: bytes) -> bytes:
        """What may be shown by now."""
        data = self._held + data
        for secret in self._secrets:
            data = data.replace(secret, BLOT)
        held = next((size for size in range(min(self._longest - 1, len(data)), 0, -1) if self._begins(data[-size:])), 0)
        self._held = data[len(data) - held :]
        return data[: len(data) - held]

    def rest(self) -> bytes:
        """What is left at the end of the stream."""
        held, self._held = self._held, b""
        return held

    def _begins(self, end: bytes) -> bool:
        return any(secret.startswith(end) for secret in self._secrets)
