"""Factors and levels from a study file, and the conditions that pick levels (`exclude`, `where`, `only`)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ablate.errors import few, nearest
from ablate.study.assign.assign import check_path, read_setting, read_settings
from ablate.study.assign.foreign_recipe import plain
from ablate.study.document.keys import FACTOR
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Key, scalar
from ablate.study.values.study import Condition, Factor, Level

NONE = "none"
MAX_MEMBERS = 14
_BROKEN = "?"
_NAME = re.compile(r"[^\s,/()=]+")
_RESERVED = {"baseline", "epoch", "class", "effect"}


def read_factors(problems: Problems, value: object) -> tuple[Factor, ...]:
    """The `factors` block. A factor whose levels cannot be told is left out; one with a wrong setting is kept."""
    found = []
    for name, spec in problems.mapping(("factors",), value, "a mapping of factor names").items():
        key: Key = ("factors", name)
        _check_name(problems, key, name, "factor")
        if not isinstance(spec, dict):
            problems.add(
                key, "wrong-type", f"must be a mapping with `levels` (and `path`), or with `subsets`; not {show(spec)}."
            )
            continue
        problems.known_keys(key, spec, FACTOR)
        path = _path(problems, (*key, "path"), spec.get("path"))
        together = _together(problems, (*key, "together"), spec.get("together"))
        if ("levels" in spec) == ("subsets" in spec):
            problems.add(key, "missing", "needs either `levels` or `subsets`.")
        elif "levels" in spec:
            found.append(Factor(name, _levels(problems, (*key, "levels"), spec["levels"], path), together=together))
        else:
            factor = _subsets(problems, name, (*key, "subsets"), spec["subsets"], path)
            found.append(replace(factor, together=together))
    return tuple(factor for factor in found if factor.levels)


def _together(problems: Problems, key: Key, value: object) -> bool:
    if not isinstance(value, bool | None):
        problems.refuse(key, "true or false", value)
    return value is True


def _path(problems: Problems, key: Key, path: object) -> str | None:
    """The path that all levels set; `_BROKEN` where it is wrong, so that the levels' names can still be read."""
    if path is None:
        return None
    if not isinstance(path, str):
        problems.refuse(key, "the dotted path of a recipe field", path)
        return _BROKEN
    return path if check_path(problems, key, path) else _BROKEN


def _levels(problems: Problems, key: Key, value: object, path: str | None) -> tuple[Level, ...]:
    if isinstance(value, list):
        levels = _listed(problems, key, value, path)
    else:
        named = problems.mapping(key, value, "a list of values or a mapping of names")
        levels = [Level(name, _level_sets(problems, (*key, name), item, path)) for name, item in named.items()]
    seen: set[str] = set()
    for index, level in enumerate(levels):
        place = (*key, index if isinstance(value, list) else level.name)
        _check_name(problems, place, level.name, "level")
        if level.name in seen:
            problems.add(place, "duplicate", f"level {level.name!r} is listed twice.")
        seen.add(level.name)
    if value in (None, [], {}):
        problems.add(key, "empty", "needs at least one level.")
    return tuple(levels)


def _listed(problems: Problems, key: Key, value: list[Any], path: str | None) -> list[Level]:
    if path is None:
        problems.add(key, "missing", "a list of levels needs `path`, the recipe field that they set.")
        path = _BROKEN
    levels = []
    for index, item in enumerate(value):
        place = (*key, index)
        if isinstance(item, dict | list):
            message = (
                f"a level without a name must be a plain value, not {show(item)}; give names: levels: {{NAME: ...}}."
            )
            problems.add(place, "wrong-type", message)
            continue
        levels.append(Level(problems.document.scalar_text(place), _level_sets(problems, place, item, path)))
    return levels


def _level_sets(problems: Problems, key: Key, value: object, path: str | None) -> Mapping[str, Any]:
    if path == _BROKEN:
        return {}
    if path is not None:
        return read_setting(problems, key, path, value)
    if not isinstance(value, dict | None):
        message = f"must be a mapping of recipe fields to values, not {show(value)}; or give the factor a `path`."
        problems.add(key, "wrong-type", message)
        return {}
    return read_settings(problems, key, value)


def _subsets(problems: Problems, name: str, key: Key, value: object, path: str | None) -> Factor:
    members = {}
    for member, item in problems.mapping(key, value, "a mapping of member names to settings").items():
        _check_name(problems, (*key, member), member, "member")
        if "+" in member or member == NONE:
            problems.add((*key, member), "bad-name", "a member's name must not be 'none' or contain '+'.")
        members[member] = _level_sets(problems, (*key, member), item, path)
    if len(members) > MAX_MEMBERS:
        message = f"has {len(members)} members, so 2^{len(members)} subsets; at most {MAX_MEMBERS} are allowed."
        problems.add(key, "too-many", message)
        return Factor(name, ())
    if not members:
        problems.add(key, "empty", "needs at least one member.")
    return Factor(name, subset_levels(problems, key, members), tuple(members))


def subset_levels(problems: Problems, key: Key, members: Mapping[str, Mapping[str, Any]]) -> tuple[Level, ...]:
    """All subsets of the members, ordered by size, then as in the file."""
    levels = []
    for size in range(len(members) + 1):
        for chosen in itertools.combinations(members, size):
            sets: dict[str, Any] = {}
            for member in chosen:
                for path, value in members[member].items():
                    if path in sets and sets[path] != value:
                        message = f"{'+'.join(chosen)} sets {path} to two values; members must not overlap."
                        problems.add((*key, member), "conflict", message)
                    sets[path] = value
            levels.append(Level("+".join(chosen) or NONE, sets, chosen))
    return tuple(levels)


def _check_name(problems: Problems, key: Key, name: str, what: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > 100 or not name.isprintable():
        message = f"the {what} name {show(name)} must have 1 to 100 characters, without blanks, commas, slashes, parentheses or '='."
        problems.add(key, "bad-name", message)
    elif name in _RESERVED:
        problems.add(key, "bad-name", f"{name!r} is reserved; choose another {what} name.")


def match_level(factor: Factor, text: str) -> Level | None:
    """The level that a text means: by its text, then by its value, then as a subset in another order."""
    for level in factor.levels:
        if level.name == text:
            return level
    if not factor.members:
        value = scalar(text)
        for level in factor.levels:
            if len(level.sets) == 1 and _same(plain(next(iter(level.sets.values()))), value):
                return level
    elif "+" in text:
        wanted = text.split("+")
        for level in factor.levels:
            if len(wanted) == len(level.members) and set(wanted) == set(level.members):
                return level
    return None


def _same(value: object, other: object) -> bool:
    """Equal as YAML has it: 1 and 1.0 are one number, `true` is none."""
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def known_factor(problems: Problems, key: Key, name: str, factors: Iterable[Factor]) -> Factor | None:
    """The factor of that name; a problem that suggests the nearest if there is none."""
    by_name = {factor.name: factor for factor in factors}
    if name not in by_name:
        listed = ", ".join(by_name) or "none"
        problems.add(key, "unknown-name", f"unknown factor {name!r}.{nearest(name, by_name)} Factors: {listed}.")
    return by_name.get(name)


def read_level(problems: Problems, key: Key, factor: Factor, text: str) -> str | None:
    """The name of the level that a text means; a problem that suggests the nearest if there is none."""
    level = match_level(factor, text)
    if level is None:
        names = [level.name for level in factor.levels]
        message = f"{factor.name} has no level {text!r}.{nearest(text, names)} Levels: {few(names)}."
        problems.add(key, "unknown-name", message)
        return None
    return level.name


def read_baseline(problems: Problems, key: Key, value: object, factors: tuple[Factor, ...]) -> dict[str, str]:
    """One level for some of the factors, in the factors' order: a `baseline`."""
    found: dict[str, str] = {}
    for name, item in problems.mapping(key, value, "a mapping of factors to one level each").items():
        place = (*key, name)
        factor = known_factor(problems, place, name, factors)
        if factor is None:
            continue
        if isinstance(item, dict | list):
            problems.refuse(place, f"one level of {name}", item)
            continue
        level = read_level(problems, place, factor, problems.document.scalar_text(place))
        if level is not None:
            found[name] = level
    return {factor.name: found[factor.name] for factor in factors if factor.name in found}


def read_condition(
    problems: Problems, key: Key, value: object, factors: tuple[Factor, ...], also: tuple[str, ...] = ()
) -> Condition:
    """`{FACTOR: level | [levels] | {not: level or list}}` as {factor: levels that match}. Keys in `also` are left alone."""
    condition: dict[str, tuple[str, ...]] = {}
    for name, wanted in problems.mapping(key, value, "a mapping of factors to levels").items():
        place = (*key, name)
        if name in also:
            continue
        factor = known_factor(problems, place, name, factors)
        if factor is None:
            continue
        everything = tuple(level.name for level in factor.levels)
        named = _named_levels(problems, place, factor, wanted)
        negated = isinstance(wanted, dict)
        # after a mistake, which is told already, the condition keeps everything, so that nothing else is said of it
        condition[name] = everything if named is None else tuple(n for n in everything if (n in named) != negated)
    return condition


def _named_levels(problems: Problems, key: Key, factor: Factor, wanted: object) -> set[str] | None:
    """The levels that stand in a condition, under `not` or plainly; None after a mistake."""
    if isinstance(wanted, dict):
        problems.known_keys(key, wanted, ("not",))
        if "not" not in wanted:
            if not wanted:
                problems.add(key, "empty", "must be a level, a list of levels, or {not: ...}, not {}.")
            return None
        key, wanted = (*key, "not"), wanted["not"]
    if wanted == []:
        problems.add(key, "empty", "selects no level.")
        return None
    texts = problems.names(key, wanted, "a level, a list of levels, or {not: ...}")
    found = {read_level(problems, key, factor, text) for text in texts}
    return None if None in found or not found else {name for name in found if name is not None}


def matches(levels: Mapping[str, str], condition: Condition) -> bool:
    """Whether an arm's levels meet every part of a condition."""
    return all(levels[factor] in names for factor, names in condition.items())
