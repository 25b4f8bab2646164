"""Collecting mistakes: every one of a file is reported, each with its place, before anything is given up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ablate.errors import Problem, StudyError, nearest
from ablate.study.document.source import Document, Key
from ablate.study.recipes.field import RecipeField
from ablate.study.recipes.transforms import read_stored

NAMED: Mapping[str, Callable[[Any], tuple[Any, list[str]] | None]] = {
    **dict.fromkeys(("optimizer.name", "schedule.name", "loss.name"), lambda value: (value, [value])),
    "data.augment": read_stored,
}
"""Fields that name parts, with what reads a value whose part is absent: the value as it is kept, and the absent names."""

MAX_PROBLEMS = 100
"""Mistakes that are reported of one file; a generated file may hold any number."""
LONGEST = 2000
_BOUNDS = {
    "greater_than": "above",
    "greater_than_equal": "at least",
    "less_than": "below",
    "less_than_equal": "at most",
}


class Problems:
    """The mistakes and warnings found in one document so far.

    `places` remembers where each recipe field was given each of its values, for mistakes that only show in a whole recipe.
    `free` says that the recipe is another trainer's: a mapping without fields of ours. `stored` says that the document was valid
    once: a name that no part has is kept as it stands, and noted in `absent`, by the field and the name.
    """

    def __init__(self, document: Document, *, free: bool = False, stored: bool = False) -> None:
        self.document = document
        self.free = free
        self.stored = stored
        self.absent: dict[str, None] = {}
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self.places: dict[tuple[str, str], Key] = {}

    def add(self, key: Key, code: str, message: str) -> None:
        self.errors.append(self._problem(key, code, message))
        if len(self.errors) >= MAX_PROBLEMS:
            last = Problem(
                self.document.file, None, "", f"only the first {MAX_PROBLEMS} mistakes are shown.", "too-many"
            )
            raise StudyError([*self._in_order(), last])

    def refuse(self, key: Key, what: str, value: object, *, code: str = "wrong-type") -> None:
        """Say what must stand here in place of `value`."""
        self.add(key, code, f"must be {what}, not {show(value)}.")

    def warn(self, key: Key, code: str, message: str) -> None:
        self.warnings.append(self._problem(key, code, message))

    def stop(self) -> None:
        """Raise StudyError when there is any mistake, in the order of the file."""
        if self.errors:
            raise StudyError(self._in_order())

    def known_keys(self, key: Key, value: Mapping[str, Any], allowed: Iterable[str]) -> None:
        """Report every key of `value` that is not allowed here."""
        names = list(allowed)
        for name in value:
            if name not in names:
                hint = nearest(name, names)
                self.add((*key, name), "unknown-key", f"unknown key.{hint} Allowed here: {', '.join(names)}.")

    def mapping(self, key: Key, value: object, what: str) -> dict[str, Any]:
        """`value` where it is a mapping, else a problem and an empty one. Nothing at all is an empty mapping."""
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        self.refuse(key, what, value)
        return {}

    def names(self, key: Key, value: object, what: str) -> list[str]:
        """A name or a list of names as a list of their texts, as written in the file."""
        places: list[Key] = [(*key, index) for index in range(len(value))] if isinstance(value, list) else [key]
        if not all(self.document.is_scalar(place) for place in places):
            self.refuse(key, what, value)
            return []
        return [self.document.scalar_text(place) for place in places]

    def text(self, key: Key, what: str) -> str:
        """A single value's text as written in the file; empty for nothing, a problem for a list or a mapping."""
        node = self.document.node(key)
        if node is None or (node.kind == "scalar" and node.plain and node.text in ("", "~", "null")):
            return ""
        if node.kind != "scalar":
            self.add(key, "wrong-type", f"must be {what}, not a {'list' if node.kind == 'list' else 'mapping'}.")
        return node.text

    def field_value(self, key: Key, field: RecipeField, value: object) -> Any:
        """`value` as the recipe field's own type; a problem and the default where it cannot be."""
        try:
            found = field.parse(value)
        except ValidationError as error:
            if self.stored and field.path in NAMED and (kept := NAMED[field.path](value)) is not None:
                found, names = kept
                self.absent |= dict.fromkeys(f"{field.path} {name}" for name in names)
                return found
            self.add(key, code_of(error), f"{field.path} {explain(error, value)}")
            return field.default
        self.places.setdefault((field.path, repr(found)), key)
        return found

    def place(self, path: str, value: object) -> Key:
        """Where the recipe field `path` was given `value`; the recipe itself where that is not known."""
        return self.places.get((path, repr(value)), ("recipe",))

    def _in_order(self) -> list[Problem]:
        return sorted(dict.fromkeys(self.errors), key=lambda problem: problem.line or 0)

    def _problem(self, key: Key, code: str, message: str) -> Problem:
        dotted = ".".join(str(part) for part in key)
        line = self.document.line(key)
        return Problem(self.document.file, line, _shorten(dotted, 300), _shorten(message, LONGEST), code)


def code_of(error: ValidationError) -> str:
    """The code of what is wrong with a value."""
    kind = _first(error)["type"]
    if kind in _BOUNDS or kind == "finite_number":
        return "out-of-range"
    return "wrong-value" if kind in ("value_error", "literal_error") else "wrong-type"


def explain(error: ValidationError, value: object) -> str:
    """What is wrong with a value, what is allowed and what was found, in a sentence without a subject."""
    details = _first(error)
    kind, context = details["type"], details.get("ctx", {})
    found = show(value)
    if kind == "value_error":
        return f"{context['error']} (found {found})."
    if kind == "literal_error":
        allowed = str(context["expected"]).replace(" or ", ", ").replace("'", "")
        hint = nearest(str(value), allowed.split(", "))
        return f"must be one of {allowed}, not {found}.{hint}"
    if kind in _BOUNDS:
        return f"must be {_BOUNDS[kind]} {next(iter(context.values())):g}, not {found}."
    wanted = {
        "float_type": "a number",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "bool_type": "true or false",
        "string_type": "text",
        "dict_type": "a mapping",
        "finite_number": "a finite number",
    }
    return f"must be {wanted.get(kind, details['msg'])}, not {found}."


def _first(error: ValidationError) -> ErrorDetails:
    return next((d for d in error.errors() if d["type"] != "none_required"), error.errors()[0])


def show(value: object) -> str:
    """A value as one would write it, shortened to 60 characters."""
    if isinstance(value, str):
        text = repr(value[:100])
    else:
        text = json.dumps(value, default=str, ensure_ascii=False).replace('"', "")
    return text if len(text) <= 60 else text[:57] + "..."


def _shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
