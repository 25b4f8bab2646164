"""Texts that are replaced in a copy of a script: each stands exactly once, or what is meant cannot be known."""

from __future__ import annotations

from collections.abc import Mapping

_WINDOWS = b"\r\n"


class WrongCount(ValueError):
    """A text that stands in its file `count` times, which is not once; or inside another that is replaced, as `count` None says."""

    def __init__(self, text: str, count: int | None) -> None:
        self.text, self.count = text, count
        overlaps = "overlaps another text that is replaced"
        stands = f"stands {count} times in the file, and must stand there once" if count else "is not in the file"
        super().__init__(overlaps if count is None else stands)


def replaced(content: bytes, texts: Mapping[str, str]) -> bytes:
    """The content with other texts in place of these, all looked for in the content as it is given. Raises WrongCount."""
    places: list[tuple[int, int, bytes]] = []
    for old, new in texts.items():
        before, after = _as_in(content, old), _as_in(content, new)
        if (count := _count(content, before)) != 1:
            raise WrongCount(old, count)
        start = content.index(before)
        if any(start < end and begin < start + len(before) for begin, end, _ in places):
            raise WrongCount(old, None)
        places.append((start, start + len(before), after))
    for start, end, after in sorted(places, reverse=True):
        content = content[:start] + after + content[end:]
    return content


def _as_in(content: bytes, text: str) -> bytes:
    """A text as the file writes it: with its ends of lines."""
    data = text.encode()
    return data.replace(b"\n", _WINDOWS) if _WINDOWS in content and _WINDOWS not in data else data


def _count(content: bytes, text: bytes) -> int:
    """How often a text stands there; places may overlap."""
    count, start = 0, content.find(text)
    while start >= 0:
        count, start = count + 1, content.find(text, start + 1)
    return count
