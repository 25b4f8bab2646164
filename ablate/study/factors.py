"""Factors and levels from a study file, and the conditions that pick levels (`exclude`, `where`, `only`)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

from ablate.errors import nearest
from ablate.study.assign import check_path, read_setting, read_settings
from ablate.study.problems import Problems, show
from ablate.study.source import Key, scalar
from ablate.study.study import Condition, Factor, Level

NONE = "none"
MAX_MEMBERS = 14
_NAME = re.compile(r"[^\s,/()=]+")
_RESERVED = {"baseline", "epoch", "class", "effect"}


def read_factors(problems: Problems, value: Any) -> tuple[Factor, ...]:
    """The `factors` block."""
    found = []
    for name, spec in problems.mapping(("factors",), value, "a mapping of factor names").items():
        key: Key = ("factors", name)
        _check_name(problems, key, name, "factor")
        spec = problems.mapping(key, spec, "a mapping with `levels` (and `path`), or with `subsets`")
        problems.known_keys(key, spec, ("path", "levels", "subsets"))
        path = spec.get("path")
        if path is not None and not (isinstance(path, str) and check_path(problems, (*key, "path"), path)):
            continue
        if ("levels" in spec) == ("subsets" in spec):
            problems.add(key, "needs either `levels` or `subsets`.")
        elif "levels" in spec:
            found.append(Factor(name, _levels(problems, (*key, "levels"), spec["levels"], path)))
        else:
            found.append(_subsets(problems, name, (*key, "subsets"), spec["subsets"], path))
    return tuple(factor for factor in found if factor.levels)


def _levels(problems: Problems, key: Key, value: Any, path: str | None) -> tuple[Level, ...]:
    levels: list[Level] = []
    if isinstance(value, list):
        if path is None:
            problems.add(key, "a list of levels needs `path`, the recipe field that they set.")
            return ()
        for index, item in enumerate(value):
            place = (*key, index)
            if isinstance(item, dict | list):
                problems.add(
                    place,
                    f"a level without a name must be a plain value, not {show(item)}; give names: levels: {{NAME: ...}}.",
                )
                continue
            levels.append(Level(problems.document.scalar_text(place), read_setting(problems, place, path, item)))
    else:
        for name, item in problems.mapping(key, value, "a list of values or a mapping of names").items():
            levels.append(Level(name, _level_sets(problems, (*key, name), item, path)))
    for index, level in enumerate(levels):
        place = (*key, index if isinstance(value, list) else level.name)
        _check_name(problems, place, level.name, "level")
        if any(other.name == level.name for other in levels[:index]):
            problems.add(place, f"the level {level.name!r} is there twice.")
    if not levels:
        problems.add(key, "has no level.")
    return tuple(levels)


def _level_sets(problems: Problems, key: Key, value: Any, path: str | None) -> Mapping[str, Any]:
    if path is not None:
        return read_setting(problems, key, path, value)
    return read_settings(problems, key, value)


def _subsets(problems: Problems, name: str, key: Key, value: Any, path: str | None) -> Factor:
    members = {}
    for member, item in problems.mapping(key, value, "a mapping of member names to settings").items():
        _check_name(problems, (*key, member), member, "member")
        if "+" in member or member == NONE:
            problems.add((*key, member), "a member's name may not be 'none' nor hold '+'.")
        members[member] = _level_sets(problems, (*key, member), item, path)
    if len(members) > MAX_MEMBERS:
        problems.add(
            key, f"has {len(members)} members, so 2^{len(members)} subsets; at most {MAX_MEMBERS} are allowed."
        )
        return Factor(name, ())
    if not members:
        problems.add(key, "has no member.")
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
                        problems.add(
                            (*key, member), f"{'+'.join(chosen)} sets {path} to two values; members must not overlap."
                        )
                    sets[path] = value
            levels.append(Level("+".join(chosen) or NONE, sets, chosen))
    return tuple(levels)


def _check_name(problems: Problems, key: Key, name: str, what: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > 100:
        problems.add(
            key,
            f"the {what} name {show(name)} may hold no blank, comma, slash, parenthesis or '=' and at most 100 characters.",
        )
    elif name in _RESERVED:
        problems.add(key, f"{name!r} has a meaning of its own; choose another {what} name.")


def match_level(factor: Factor, text: str) -> Level | None:
    """The level that a text means: by its text, then by its value, then as a subset in another order."""
    for level in factor.levels:
        if level.name == text:
            return level
    value = scalar(text)
    if not isinstance(value, str):
        for level in factor.levels:
            if not factor.members and len(level.sets) == 1 and next(iter(level.sets.values())) == value:
                return level
    if factor.members and "+" in text:
        wanted = text.split("+")
        for level in factor.levels:
            if len(wanted) == len(level.members) and set(wanted) == set(level.members):
                return level
    return None


def read_level(problems: Problems, key: Key, factor: Factor, text: str) -> str | None:
    """The name of the level that a text means; a problem that names the nearest where there is none."""
    level = match_level(factor, text)
    if level is None:
        names = [level.name for level in factor.levels]
        listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        problems.add(key, f"{factor.name} has no level {text!r}.{nearest(text, names)} Levels: {listed}.")
        return None
    return level.name


def read_condition(
    problems: Problems, key: Key, value: Any, factors: tuple[Factor, ...], also: tuple[str, ...] = ()
) -> Condition:
    """`{FACTOR: level | [levels] | {not: level or list}}` as {factor: levels that match}. Keys in `also` are left alone."""
    by_name = {factor.name: factor for factor in factors}
    condition: dict[str, tuple[str, ...]] = {}
    for name, wanted in problems.mapping(key, value, "a mapping of factors to levels").items():
        place = (*key, name)
        if name in also:
            continue
        if name not in by_name:
            problems.add(
                place, f"there is no factor {name!r}.{nearest(name, by_name)} Factors: {', '.join(by_name) or 'none'}."
            )
            continue
        factor = by_name[name]
        negated = isinstance(wanted, dict)
        if negated:
            problems.known_keys(place, wanted, ("not",))
            place = (*place, "not")
            wanted = wanted.get("not")
        texts = problems.names(place, wanted, "a level, a list of levels, or {not: ...}")
        found = [read_level(problems, place, factor, text) for text in texts]
        condition[name] = tuple(level.name for level in factor.levels if (level.name in found) != negated)
    return condition


def matches(levels: Mapping[str, str], condition: Condition) -> bool:
    """Whether an arm's levels meet every part of a condition."""
    return all(levels[factor] in names for factor, names in condition.items())
