"""From Python values to columns and back: canonical JSON without NaN, texts that every database takes."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, SupportsFloat, TypeVar

from ablate.study.recipes.digest import canonical_json
from ablate.study.recipes.recipe import replaced, start_of
from ablate.study.values.recipe import recipe_of
from ablate.study.values.run import Run

if TYPE_CHECKING:
    from ablate.store.engine import AnyRow

LONGEST_TEXT = 20_000
"""Characters of an error that are kept: the start and the end, where a traceback says most."""

T = TypeVar("T")


def to_json(value: object) -> str:
    """Canonical JSON of any value: NaN and infinities become null, what JSON does not know becomes its `str`.

    A result must never be lost because a trainer put a path or a NumPy number into its details.
    """
    return canonical_json(_jsonable(value))


def from_json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _jsonable(value: object) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {clean(str(key)): _jsonable(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes) and not hasattr(value, "item"):
        return [_jsonable(item) for item in value]
    item = getattr(value, "item", None)  # a NumPy number
    if callable(item) and getattr(value, "shape", None) == ():
        return _jsonable(item())
    return clean(str(value))


def number(value: SupportsFloat | None) -> float | None:
    """A metric's value as the database keeps it: None stands for measured but not finite."""
    if value is None:
        return None
    value = float(value)
    return value if math.isfinite(value) else None


def clean(text: str, longest: int | None = None) -> str:
    """`text` without NUL and lone surrogates, which databases refuse; the middle is cut out beyond `longest`."""
    text = text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if longest is not None and len(text) > longest:
        half = longest // 2
        text = f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"
    return text


def chunks(items: Sequence[T], size: int = 5_000) -> Iterator[Sequence[T]]:
    """`items` in pieces that fit the number of parameters which a statement may have (SQLite: 32,766)."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def variant(sets: Sequence[str]) -> str:
    """What `--set` made of a study, as one column: canonical JSON, '' where nothing."""
    return to_json(sorted(sets)) if sets else ""


def sets_of(text: str) -> tuple[str, ...]:
    """The settings of a `variant`."""
    return tuple(from_json(text)) if text else ()


def stored_run(row: AnyRow) -> Run:
    """The run of a row with run_id, arm_id, seed, recipe, trainer and parent.

    One recipe is kept for all seeds of an arm, so the run that this seed starts from is put back.
    """
    trainer = from_json(row.trainer)
    recipe = recipe_of(from_json(row.recipe), trainer)
    if row.parent is not None:
        path, start = start_of(recipe)
        recipe = recipe_of(replaced(recipe.json, path, {**start, "run": row.parent})) if path else recipe
    return Run(row.run_id, row.arm_id, row.seed, recipe, trainer, row.parent)


def without_folder(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row without the folder that its study was asked from, which means nothing, and tells too much, elsewhere."""
    kept = dict(row)
    if kept.get("folder"):
        kept["folder"] = ""
    if os.path.isabs(kept.get("file") or ""):
        kept["file"] = os.path.basename(kept["file"])
    if '"folder"' in (kept.get("settings") or ""):
        options = dict(from_json(kept["settings"]))
        options.pop("folder", None)
        kept["settings"] = to_json(options)
    return kept
