"""What a file has told: values as they stand in it, each with what may count it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Stamp:
    """How a file looked: another one is told by it, or one that was written since."""

    file: int
    size: int
    time: int

    @classmethod
    def of(cls, path: Path) -> Stamp | None:
        """None where there is no such file now."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True)
class Wanted:
    """Where in a file a metric stands, and by which names its numbers may be counted: keys of a path each, of a table one."""

    where: Sequence[str]
    counters: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Cell:
    """A value of one metric. `counts` maps its counters to what stands beside it; `row` counts from 1, and is None where
    the file holds a single value. `place` is for messages, as in `line 3`."""

    metric: str
    value: object
    counts: Mapping[str, object]
    row: int | None
    place: str


class Reader(Protocol):
    """Reads one file as it is written."""

    @property
    def there(self) -> Sequence[str]:
        """The names of what is in it: columns, paths, tags."""
        ...

    def read(self, *, ended: bool) -> Iterator[Cell]:
        """What has come since the last time; while nothing has `ended`, only what cannot be half a number. Raises RunFailure."""
        ...
