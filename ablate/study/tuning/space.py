"""The space of a tuning file: recipe fields, each with a range or a list of values, checked against the field itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ablate.study.assign.assign import check_path, read_setting
from ablate.study.assign.foreign_recipe import plain
from ablate.study.designs.factors import read_condition
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Key
from ablate.study.recipes.recipe import fields, weights_paths
from ablate.study.values.study import Factor
from ablate.study.values.trials import Dimension

KINDS = ("float", "int", "values")
_KEYS = {"float": ("float", "log", "step", "only"), "int": ("int", "log", "only"), "values": ("values", "only")}
_FORMS = "{float: [LOW, HIGH]}, {int: [LOW, HIGH]} or {values: [...]}"
MAX_VALUES = 10_000


def read_space(problems: Problems, value: object, factors: tuple[Factor, ...] | None) -> tuple[Dimension, ...]:
    """The fields that are sampled, in the file's order. Without `factors`, conditions are not looked at."""
    spec = problems.mapping(("space",), value, f"a mapping of recipe fields to {_FORMS}")
    if not spec and not isinstance(value, list | str | int | float):
        problems.add(("space",), "missing", f"is missing or empty: name the recipe fields to tune, each with {_FORMS}.")
    found = [_dimension(problems, path, item, factors) for path, item in spec.items()]
    return tuple(dimension for dimension in found if dimension is not None)


def _dimension(problems: Problems, path: str, spec: object, factors: tuple[Factor, ...] | None) -> Dimension | None:
    key: Key = ("space", path)
    if not check_path(problems, key, path):
        return None
    if path in weights_paths() and not problems.free:
        problems.add(key, "unsupported", "weights cannot be sampled; make them a factor of the study.")
        return None
    kinds = [kind for kind in KINDS if isinstance(spec, dict) and kind in spec]
    if not isinstance(spec, dict) or len(kinds) != 1:
        problems.refuse(key, f"one of {_FORMS}", spec)
        return None
    kind = kinds[0]
    told = len(problems.errors)
    problems.known_keys(key, spec, _KEYS[kind])
    only = {} if factors is None else read_condition(problems, (*key, "only"), spec.get("only"), factors)
    if kind == "values":
        values, texts = _values(problems, key, path, spec["values"])
        return Dimension(path, kind, values=values, texts=texts, only=only) if len(problems.errors) == told else None
    log = _log(problems, key, spec)
    bounds = _range(problems, key, path, kind, spec[kind], log)
    if bounds is None:
        return None
    step = _step(problems, key, spec, bounds, log) if kind == "float" else None
    return Dimension(path, kind, *bounds, log, step, only=only) if len(problems.errors) == told else None


def _values(problems: Problems, key: Key, path: str, value: object) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """The values, and for a trainer that is not ours their texts in the file."""
    place = (*key, "values")
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_VALUES:
        problems.refuse(place, f"a list of 1 to {MAX_VALUES:,} values", value)
        return (), ()
    found, texts = [], []
    for index, item in enumerate(value):
        if isinstance(item, dict | list):
            message = f"must be a plain value, not {show(item)}; make it a factor of the study."
            problems.add((*place, index), "wrong-type", message)
            continue
        read = read_setting(problems, (*place, index), path, item)
        if path in read:
            found.append(plain(read[path]))
        if problems.free:
            texts.append(problems.document.scalar_text((*place, index)))
    if len({(type(item), item) for item in found}) < len(found):
        problems.add(place, "duplicate", f"lists a value twice: {show(value)}.")
    return tuple(found), tuple(texts)


def _log(problems: Problems, key: Key, spec: dict[str, Any]) -> bool:
    value = spec.get("log", False)
    if not isinstance(value, bool):
        problems.refuse((*key, "log"), "true or false", value)
    return value is True


def _range(problems: Problems, key: Key, path: str, kind: str, value: object, log: bool) -> tuple[float, float] | None:
    """Both bounds, each a value that the field takes."""
    place = (*key, kind)
    if not isinstance(value, list) or len(value) != 2 or not all(_is_number(item, kind) for item in value):
        what = "whole numbers" if kind == "int" else "numbers"
        problems.refuse(place, f"two {what} [LOW, HIGH]", value)
        return None
    low, high = value
    if low >= high:
        what = "empty" if low == high else "reversed"
        problems.add(place, "out-of-range", f"the range {show(value)} is {what}; LOW must be below HIGH.")
        return None
    if log and low <= 0:
        problems.add(place, "out-of-range", f"a logarithmic range must begin above 0, not at {show(low)}.")
        return None
    if kind == "float" and not problems.free and _is_whole(path):
        problems.add(
            place, "wrong-type", f"{path} takes whole numbers only; use {{int: [LOW, HIGH]}} or {{values: [...]}}."
        )
        return None
    told = len(problems.errors)
    for index, bound in enumerate(value):
        read_setting(problems, (*place, index), path, bound if kind == "int" else float(bound))
    return None if len(problems.errors) > told else (low, high)


def _is_whole(path: str) -> bool:
    """Whether the only numbers that the field takes are whole ones."""
    if path not in fields():  # an argument of the network's own
        return False
    shape = fields()[path].adapter.json_schema()
    types = {inner.get("type") for inner in (shape, *shape.get("anyOf", ()))}
    return "integer" in types and "number" not in types


def _is_number(value: object, kind: str) -> bool:
    wanted = int if kind == "int" else int | float
    return isinstance(value, wanted) and not isinstance(value, bool) and math.isfinite(value)


def _step(problems: Problems, key: Key, spec: dict[str, Any], bounds: Sequence[float], log: bool) -> float | None:
    value = spec.get("step")
    if value is None:
        return None
    place = (*key, "step")
    if not _is_number(value, "float") or not 0 < value <= (bounds[1] - bounds[0]) * (1 + 1e-9):
        problems.refuse(place, f"a number above 0 and at most {bounds[1] - bounds[0]:g}", value, code="out-of-range")
    elif log:
        problems.add(place, "conflict", "a logarithmic range cannot have a step; remove `log` or `step`.")
    elif (bounds[1] - bounds[0]) / value > MAX_VALUES:
        problems.add(place, "too-many", f"makes more than {MAX_VALUES:,} values; use a larger step.")
    else:
        return float(value)
    return None
