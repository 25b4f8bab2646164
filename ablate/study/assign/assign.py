"""Settings by dotted path: from the nested or dotted mappings of a study file to flat {path: value}."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ablate.errors import nearest
from ablate.parts.found import on_change
from ablate.study.assign.foreign_recipe import check_free_path, nested_in, read_free, read_free_setting
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Key
from ablate.study.recipes.normalise import unknown_name
from ablate.study.recipes.readers import finite
from ablate.study.recipes.recipe import fields, weights_paths

_OPEN = "model.args."
"""Below this path names are the network's own."""


def read_settings(problems: Problems, key: Key, value: object) -> dict[str, Any]:
    """Every setting in a mapping of nested sections and dotted paths, checked, as {path: value}."""
    settings: dict[str, Any] = {}
    if problems.free:
        return {**read_free(problems, key, value)}
    _read(problems, key, value, "", settings)
    return settings


def read_setting(problems: Problems, key: Key, path: str, value: object) -> dict[str, Any]:
    """One setting, given by its dotted path; several where the path names a whole section."""
    if problems.free:
        return {**read_free_setting(problems, key, path, value)}
    settings: dict[str, Any] = {}
    _set(problems, key, path, value, settings)
    return settings


def apply(base: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the settings on top; `model.args.x` sets one argument, whatever the order."""
    result = dict(base)
    arguments = {}
    for path, value in settings.items():
        if path.startswith(_OPEN):
            arguments[path.removeprefix(_OPEN)] = value
        else:
            result[path] = value
    if arguments:
        result["model.args"] = {**result["model.args"], **arguments}
    return result


def overlap(path: str, other: str) -> bool:
    """Whether two paths set one thing: `model.args` holds every `model.args.x`."""
    return nested_in(path, other)


def check_path(problems: Problems, key: Key, path: str) -> bool:
    """Whether a dotted path is a recipe field; a problem that names the nearest where it is not."""
    if problems.free:
        return check_free_path(problems, key, path)
    if problems.stored and path not in fields() and path not in _sections() and not path.startswith(_OPEN):
        problems.absent[path] = None
        return True
    if path in fields() or (path.startswith(_OPEN) and len(path) > len(_OPEN)):
        return True
    section = path.rpartition(".")[0]
    siblings = [name.rpartition(".")[2] for name in fields() if name.rpartition(".")[0] == section]
    hint = nearest(path, [*_sections(), *fields()]) or nearest(path.rpartition(".")[2], siblings)
    if path in _sections():
        hint, allowed = "", f"It is a section; name a field of it: {', '.join(_members(path))}."
    elif siblings:
        allowed = f"Allowed here: {', '.join([*siblings, *(() if section else _sections())])}."
    else:
        allowed = f"Sections: {', '.join(_sections())}."
    problems.add(key, "unknown-field", f"{path!r} is not a recipe field.{hint} {allowed}")
    return False


def _read(problems: Problems, key: Key, value: object, prefix: str, settings: dict[str, Any]) -> None:
    for name, item in problems.mapping(key, value, "a mapping of recipe fields to values").items():
        _set(problems, (*key, name), prefix + name, item, settings)


def _set(problems: Problems, key: Key, path: str, value: object, settings: dict[str, Any]) -> None:
    if path in _sections():
        if isinstance(value, dict):
            _read(problems, key, value, path + ".", settings)
        else:
            problems.add(
                key, "wrong-type", f"{path} must be a mapping of {', '.join(_members(path))}, not {show(value)}."
            )
        return
    if problems.stored and isinstance(value, dict) and "." not in path and path not in fields():
        return _read(problems, key, value, path + ".", settings)
    if not check_path(problems, key, path):
        return
    if path in settings:
        problems.add(key, "duplicate", f"{path} is set twice here, nested and dotted; keep one.")
        return
    if path.startswith(_OPEN):
        settings[path] = _argument(problems, key, path, value)
        return
    if path not in fields():  # of an absent part
        settings[path] = value
        return
    if path in weights_paths():
        value = _names_as_text(problems, key, value)
    found = problems.field_value(key, fields()[path], value)
    if message := unknown_name(path, found):
        if problems.stored:
            problems.absent[f"{path} {found}"] = None
        else:
            problems.add(key, "unknown-name", message)
    settings[path] = found


def _argument(problems: Problems, key: Key, path: str, value: object) -> Any:
    try:
        return finite(value)
    except ValueError as error:
        problems.add(key, "wrong-value", f"{path} {error} (found {show(value)}).")
        return None


def _names_as_text(problems: Problems, key: Key, value: object) -> Any:
    """The study, profile and arm of weights as written in the file: an arm `1e-4` is no number."""
    if not isinstance(value, dict):
        return value
    texts = {
        name: problems.document.scalar_text((*key, name))
        for name in ("study", "profile", "arm")
        if isinstance(value.get(name), int | float) and problems.document.is_scalar((*key, name))
    }
    return {**value, **texts}


@cache
def _sections() -> tuple[str, ...]:
    return tuple(dict.fromkeys(path.rpartition(".")[0] for path in fields() if "." in path))


on_change(_sections.cache_clear)


def _members(section: str) -> list[str]:
    return [path.removeprefix(section + ".") for path in fields() if path.startswith(section + ".")]
