"""Numbers out of JSON, JSON lines and YAML by a path of keys. A list on the way has a row for each of its items."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from ablate.errors import RunFailure
from ablate.training.foreign.files.cells import Cell, Stamp, Wanted
from ablate.training.foreign.files.growing import Growing
from ablate.training.foreign.json_lines import object_of

LARGEST = 64 << 20
"""Bytes of a file that is read as a whole."""
MOST_NAMED = 200
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class JsonLinesFile:
    """Reads an object a line; a line that is none is left out, as one that a stop has torn."""

    def __init__(self, path: Path, wanted: Mapping[str, Wanted], *, skip: bool = False) -> None:
        self._file, self._wanted = Growing(path, skip=skip), wanted
        self._there: dict[str, None] = {}

    @property
    def there(self) -> Sequence[str]:
        return list(self._there)

    def read(self, *, ended: bool) -> Iterator[Cell]:
        for number, line in self._file.lines(ended=ended):
            try:
                told = json.loads(line, object_pairs_hook=object_of)
            except (ValueError, RecursionError):
                continue
            note_paths(told, self._there)
            for metric, wanted in self._wanted.items():
                yield from _Walk(metric, wanted).cells(told, wanted.where, number, f"line {number}")


class Whole:
    """Reads a JSON or YAML file as a whole, each time that it has changed."""

    def __init__(self, path: Path, wanted: Mapping[str, Wanted], *, skip: bool = False) -> None:
        self._path, self._wanted = path, wanted
        self._before = self._stamp = Stamp.of(path) if skip else None
        self._there: dict[str, None] = {}
        self._is_yaml = path.suffix.casefold() in (".yaml", ".yml")

    @property
    def there(self) -> Sequence[str]:
        return list(self._there)

    def read(self, *, ended: bool) -> Iterator[Cell]:
        stamp = Stamp.of(self._path)
        if stamp is None or stamp == (self._before if ended else self._stamp):
            return
        if stamp.size > LARGEST:
            raise RunFailure(
                f"{self._path.name} has {stamp.size:,} bytes, and more than {LARGEST:,} are not read as a whole: write a line "
                "an epoch, to a .jsonl file."
            )
        try:
            documents = self._documents(ended)
        except OSError:
            return
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            if not ended:  # half of it is written
                return
            why = " ".join(str(error).split())
            raise RunFailure(
                f"{self._path.name} is not valid {'YAML' if self._is_yaml else 'JSON'}: {why[:200]}"
            ) from None
        if ended or Stamp.of(self._path) == stamp:  # else it was written meanwhile: the next look takes it
            self._stamp = stamp
        for number, document in enumerate(documents, 1):
            note_paths(document, self._there)
            for metric, wanted in self._wanted.items():
                row = number if len(documents) > 1 else None
                yield from _Walk(metric, wanted).cells(document, wanted.where, row, "")

    def _documents(self, ended: bool) -> list[object]:
        text = self._path.read_text(encoding="utf-8-sig", errors="replace")
        if self._is_yaml:
            whole = text if ended else text[: text.rfind("\n") + 1]
            return [found for found in yaml.load_all(whole, _LOADER) if found is not None]
        found = json.loads(text, object_pairs_hook=object_of)
        if not ended and not isinstance(found, dict | list):
            raise ValueError("a number that may go on")
        return [found]


@dataclass(frozen=True)
class _Walk:
    """The way of one metric's path through one document."""

    metric: str
    wanted: Wanted

    def cells(
        self, node: object, keys: Sequence[str], row: int | None, place: str, around: tuple[object, ...] = ()
    ) -> Iterator[Cell]:
        """The values that the path leads to. Where it meets a list, a number picks an item; else each of them is a row."""
        if type(node) is list:
            if keys and keys[0].lstrip("-").isdigit():
                if -len(node) <= (index := int(keys[0])) < len(node):
                    yield from self.cells(node[index], keys[1:], row, place, around)
                return
            for number, item in enumerate(node, 1):
                inner = f"{place + ', ' if place else ''}item {number}"
                if not keys and type(item) is list:
                    yield Cell(self.metric, item, {}, number, inner)
                    continue
                yield from self.cells(item, keys, number, inner, around)
        elif not keys:
            counts = {".".join(counter): self._count(counter, row, around) for counter in self.wanted.counters}
            yield Cell(self.metric, node, counts, row, place)
        elif isinstance(node, dict) and (found := _key(node, keys[0])) is not None:
            yield from self.cells(node[found], keys[1:], row, place, (*around, node))

    def _count(self, counter: Sequence[str], row: int | None, around: tuple[object, ...]) -> object:
        """What counts a value, from the innermost object that has it. A list beside a list of values has one for each."""
        for node in reversed(around):
            inner = node
            for key in counter:
                inner = inner.get(_key(inner, key)) if isinstance(inner, dict) else None
            if type(inner) is list:
                inner = inner[row - 1] if row is not None and row <= len(inner) else None
            if inner is not None:
                return inner
        return None


def _key(node: Mapping[object, object], text: str) -> object:
    """The key that is written so; YAML has numbers for keys, too. None where there is none."""
    return text if text in node else next((key for key in node if str(key) == text), None)


def note_paths(node: object, there: dict[str, None], before: str = "") -> None:
    """Remember the paths of numbers in a document, for messages."""
    if len(there) >= MOST_NAMED:
        return
    if type(node) is list:
        for item in node[:1] if before else node[:MOST_NAMED]:
            note_paths(item, there, before)
    elif isinstance(node, dict):
        for key, item in node.items():
            note_paths(item, there, f"{before}.{key}" if before else str(key))
    elif before:
        there[before] = None
