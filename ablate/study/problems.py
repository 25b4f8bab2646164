"""Collecting mistakes: every one of a file is reported, each with its place, before anything is given up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from ablate.errors import Problem, StudyError, nearest
from ablate.study.recipe import RecipeField
from ablate.study.source import Document, Key


class Problems:
    """The mistakes and warnings found in one document so far."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []

    def add(self, key: Key, message: str) -> None:
        self.errors.append(self._problem(key, message))

    def warn(self, key: Key, message: str) -> None:
        self.warnings.append(self._problem(key, message))

    def stop(self) -> None:
        """Raise StudyError when there is any mistake, in the order of the file."""
        if self.errors:
            raise StudyError(sorted(dict.fromkeys(self.errors), key=lambda problem: problem.line or 0))

    def known_keys(self, key: Key, value: Mapping[str, Any], allowed: Iterable[str]) -> None:
        """Report every key of `value` that is not allowed here."""
        names = list(allowed)
        for name in value:
            if name not in names:
                hint = nearest(name, names)
                self.add((*key, name), f"unknown key.{hint} Allowed here: {', '.join(names)}.")

    def mapping(self, key: Key, value: Any, what: str) -> dict[str, Any]:
        """`value` where it is a mapping, else a problem and an empty one. Nothing at all is an empty mapping."""
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        self.add(key, f"must be {what}, not {show(value)}.")
        return {}

    def names(self, key: Key, value: Any, what: str) -> list[str]:
        """A name or a list of names as a list of their texts."""
        if isinstance(value, dict):
            self.add(key, f"must be {what}, not a mapping.")
            return []
        if isinstance(value, list):
            return [self.document.scalar_text((*key, index)) for index in range(len(value))]
        return [self.document.scalar_text(key)]

    def field_value(self, key: Key, field: RecipeField, value: Any) -> Any:
        """`value` as the recipe field's own type; a problem and the default where it cannot be."""
        try:
            return field.parse(value)
        except ValidationError as error:
            self.add(key, f"{field.path} {explain(error, value)}")
            return field.default

    def _problem(self, key: Key, message: str) -> Problem:
        dotted = ".".join(str(part) for part in key)
        return Problem(self.document.file, self.document.line(key), dotted, message)


def explain(error: ValidationError, value: Any) -> str:
    """What is wrong with a value, what is allowed and what was found, in a sentence without a subject."""
    details = next((d for d in error.errors() if d["type"] not in ("none_required",)), error.errors()[0])
    kind, context = details["type"], details.get("ctx", {})
    found = show(value)
    if kind == "value_error":
        return f"{context['error']} (found {found})."
    if kind == "literal_error":
        allowed = str(context["expected"]).replace(" or ", ", ").replace("'", "")
        hint = nearest(str(value), allowed.split(", "))
        return f"must be one of {allowed}, not {found}.{hint}"
    bounds = {
        "greater_than": "above",
        "greater_than_equal": "at least",
        "less_than": "below",
        "less_than_equal": "at most",
    }
    if kind in bounds:
        return f"must be {bounds[kind]} {next(iter(context.values())):g}, not {found}."
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


def show(value: Any) -> str:
    """A value as one would write it, shortened to 60 characters."""
    if isinstance(value, str):
        text = repr(value)
    else:
        text = json.dumps(value, default=str).replace('"', "")
    return text if len(text) <= 60 else text[:57] + "..."
