"""Recipes of other people's trainers: a free mapping without defaults, read into {dotted path: value} like our own.

Each value keeps its text as written in the file, since that is what fills a command: `1e-4` stays `1e-4`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablate.errors import nearest
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Document, Key
from ablate.study.recipes.readers import finite
from ablate.study.recipes.recipe import nest

_PATH = re.compile(r"[^\s.{}]+(\.[^\s.{}]+)*")

Text = str | tuple[str, ...] | None
"""What fills a command: a text, a list's texts, or None for what no word can hold (a mapping, a list of lists)."""


@dataclass(frozen=True)
class Written:
    """A value with its text in the file."""

    value: Any
    text: Text


def plain(value: object) -> Any:
    """A setting's value, whether it keeps its text or not."""
    return value.value if isinstance(value, Written) else value


def read_free(problems: Problems, key: Key, value: object) -> dict[str, Written]:
    """Every value in nested and dotted mappings by its whole path. A path set twice, or as a value and as a section, is a
    mistake."""
    reader = _Reader(problems)
    for name, item in problems.mapping(key, value, "a mapping of settings to values").items():
        reader.put((*key, name), name, item)
    return reader.settings


def read_free_setting(problems: Problems, key: Key, path: str, value: object) -> dict[str, Written]:
    """One setting by its path; several where its value is a mapping."""
    reader = _Reader(problems)
    reader.put(key, path, value)
    return reader.settings


def check_free_path(problems: Problems, key: Key, path: str) -> bool:
    """Whether a path is made of names joined by dots; a problem where it is not."""
    if _PATH.fullmatch(path) and path.isprintable() and len(path) <= 200:
        return True
    problems.add(
        key,
        "bad-name",
        f"{show(path)} is not a path; write names without blanks or braces, joined by dots, as in lora.r.",
    )
    return False


def apply_free(base: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the settings on top. A value in a section's place takes the section out, and the other way round."""
    result = dict(base)
    for path, value in settings.items():
        for other in [other for other in result if other != path and nested_in(path, other)]:
            del result[other]
        result[path] = value
    return result


def nested_in(path: str, other: str) -> bool:
    """Whether two paths name one thing, or one of them something inside the other."""
    return path == other or path.startswith(f"{other}.") or other.startswith(f"{path}.")


def unknown_path(path: str, known: Sequence[str]) -> str:
    """What is wrong with a path that neither the recipe nor a level sets; empty for one that is there, or a section of it."""
    if any(nested_in(path, other) for other in known):
        return ""
    return f"the recipe has no {path!r}.{nearest(path, known)} Known: {', '.join(known[:40])}."


def nested_values(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe as nested JSON-ready values."""
    return nest({path: plain(value) for path, value in flat.items()})


def sections_of(path: str) -> Iterator[str]:
    """`a`, `a.b` for `a.b.c`."""
    parts = path.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts)))


class _Reader:
    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.settings: dict[str, Written] = {}
        self.sections: set[str] = set()

    def put(self, key: Key, path: str, value: object) -> None:
        if not check_free_path(self.problems, key, path):
            return
        if isinstance(value, dict) and value:
            for name, item in value.items():
                self.put((*key, name), f"{path}.{name}", item)
            return
        if path in self.settings:
            self.problems.add(key, "duplicate", f"{path} is set twice here, nested and dotted; keep one.")
            return
        above = next((section for section in sections_of(path) if section in self.settings), None)
        if above is not None or path in self.sections:
            self.problems.add(key, "conflict", f"{above or path} is set to a value and to a mapping here; keep one.")
            return
        try:
            self.settings[path] = Written(finite(value), _text(self.problems.document, key, value))
        except ValueError as error:
            self.problems.add(key, "wrong-value", f"{path} {error} (found {show(value)}).")
        self.sections.update(sections_of(path))


def _text(document: Document, key: Key, value: object) -> Text:
    if isinstance(value, dict):
        return None
    if not isinstance(value, list):
        return document.scalar_text(key)
    if any(isinstance(item, dict | list) for item in value):
        return None
    return tuple(document.scalar_text((*key, index)) for index in range(len(value)))
