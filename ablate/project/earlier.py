"""A report that was sent earlier, read again from its JSON, beside the tables of today."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ablate.analysis.table import Table
from ablate.errors import NotFound, UsageError
from ablate.report.since import Changes, changes
from ablate.study.values.study import FULL, Study, full_name

SCHEMA = 1
LARGEST = 200_000_000
"""Bytes of the largest file that is read."""


def changes_since(path: Path, study: Study, tables: Sequence[Table], only: str | None = None) -> Changes:
    """What changed in a study's tables since `path` was written; with `only` in this one. Raises UsageError, NotFound."""
    documents, whole = read(path)
    for one in documents:
        told = (one["study"], one.get("profile"), tuple(one.get("set") or ()))
        if told != (study.name, study.profile, study.sets):
            raise UsageError(
                f"{path} is of {_named(*told)}, not of {_named(study.name, study.profile, study.sets)}. Give the JSON of "
                "this study, at this scale.",
                code="other-study",
            )
    if only is not None:
        documents, whole = [one for one in documents if one["table"] == only], False
        if not documents:
            raise NotFound(f"{path} has no table {only!r}.", code="unknown-table")
    return changes(documents, tables, whole=whole)


def read(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """The documents of a report's tables, and whether they are a whole study's. Raises UsageError, NotFound."""
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= LARGEST else ""
    except FileNotFoundError:
        raise NotFound(
            f"{path}: there is no such file. Give a JSON report of this study.", code="absent-report"
        ) from None
    except UnicodeDecodeError:
        raise _bad(path, "not UTF-8 text") from None
    except IsADirectoryError:
        raise _bad(path, "a folder, not a file") from None
    if size > LARGEST:
        raise _bad(path, f"larger than {LARGEST // 1_000_000} MB")
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise _bad(path, f"line {error.lineno}: not JSON ({error.msg})") from None
    except RecursionError:
        raise _bad(path, "nested too deeply") from None
    if not isinstance(found, dict) or not ("tables" in found or "table" in found):
        raise _bad(path, "JSON, but no report: it has neither `tables` nor `table`")
    if found.get("schema") != SCHEMA:
        raise _bad(path, f"schema {found.get('schema')!r}, where this ablate reads {SCHEMA}")
    several = "tables" in found
    tables = found["tables"] if several else [found]
    if wrong := _wrong({"tables": tables}):
        raise _bad(path, wrong if several else wrong.removeprefix("tables[0]").lstrip("."))
    return tables, several or "answer" in found


_ANY = "*"
_SHAPE: dict[str, object] = {
    "tables": [
        {
            "study": str, "table": str, "columns": [str],
            "claims": [{"text": str, "verdict": str}],
            "rows": [{"row": str, "cells": {_ANY: {"mean?": float, "delta?": float, "p_adjusted?": float, "run_ids": [str]}}}],
        }
    ]
}  # fmt: skip
"""What is read of a document: a list by the shape of its items, `_ANY` for any key; a key with `?` may be null or absent."""


def _wrong(value: object, shape: object = _SHAPE, place: str = "") -> str:
    """The first place where a document has another shape; empty where there is none."""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{place} is no list"
        return next(filter(None, (_wrong(one, shape[0], f"{place}[{at}]") for at, one in enumerate(value))), "")
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{place} is no object"
        return next(filter(None, (_wrong_key(value, key, inner, place) for key, inner in shape.items())), "")
    if shape is float:
        return "" if isinstance(value, int | float) and not isinstance(value, bool) else f"{place} is no number"
    return "" if isinstance(value, str) else f"{place} is no text"


def _wrong_key(value: dict[str, object], key: str, shape: object, place: str) -> str:
    if key == _ANY:
        return next(filter(None, (_wrong(one, shape, f"{place}.{name}") for name, one in value.items())), "")
    name = key.removesuffix("?")
    if value.get(name) is None and key != name:
        return ""
    where = f"{place}.{name}".lstrip(".")
    return _wrong(value[name], shape, where) if name in value else f"{where} is missing"


def _bad(path: Path, why: str) -> UsageError:
    return UsageError(f"{path}: {why}. Give a JSON report of this study.", code="bad-report")


def _named(name: str, profile: str | None, sets: Sequence[str]) -> str:
    return full_name(name, profile or FULL, sets)
