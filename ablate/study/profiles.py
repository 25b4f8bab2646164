"""Profiles: the same study at another scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ablate.errors import nearest
from ablate.study.assign import read_settings
from ablate.study.factors import match_level, subset_levels
from ablate.study.problems import Problems
from ablate.study.source import Key
from ablate.study.study import Factor

KEYS = ("recipe", "levels", "exclude", "seeds", "design")


@dataclass(frozen=True)
class Profile:
    """`levels` maps (factor, level or member) to the settings that change there; `exclude` is read once factors are final."""

    name: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    levels: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    exclude: Any = None
    seeds: Any = None
    design: Any = None


def read_profiles(problems: Problems, value: Any, factors: tuple[Factor, ...]) -> tuple[Profile, ...]:
    """The `profiles` block; every profile is checked, whichever is used."""
    found = []
    for name, spec in problems.mapping(("profiles",), value, "a mapping of profile names").items():
        key: Key = ("profiles", name)
        spec = problems.mapping(key, spec, f"a mapping with some of {', '.join(KEYS)}")
        problems.known_keys(key, spec, KEYS)
        recipe = read_settings(problems, (*key, "recipe"), spec.get("recipe"))
        levels = _read_levels(problems, (*key, "levels"), spec.get("levels"), factors)
        for path in recipe:
            for factor in factors:
                if all(path in level.sets for level in factor.levels):
                    message = f"every level of {factor.name} sets {path}, so this would change nothing; use profiles.{name}.levels."
                    problems.add((*key, "recipe", path), message)
        found.append(Profile(name, recipe, levels, spec.get("exclude"), spec.get("seeds"), spec.get("design")))
    return tuple(found)


def _read_levels(
    problems: Problems, key: Key, value: Any, factors: tuple[Factor, ...]
) -> dict[tuple[str, str], Mapping[str, Any]]:
    by_name = {factor.name: factor for factor in factors}
    changes: dict[tuple[str, str], Mapping[str, Any]] = {}
    for name, spec in problems.mapping(key, value, "a mapping of factors").items():
        if name not in by_name:
            problems.add(
                (*key, name), f"there is no factor {name!r}.{nearest(name, by_name)} Factors: {', '.join(by_name)}."
            )
            continue
        factor = by_name[name]
        for text, settings in problems.mapping((*key, name), spec, "a mapping of levels or members").items():
            level = None if factor.members else match_level(factor, text)
            known = factor.members or tuple(level.name for level in factor.levels)
            if level is None and text not in factor.members:
                problems.add(
                    (*key, name, text), f"{name} has no {text!r}.{nearest(text, known)} Known: {', '.join(known)}."
                )
                continue
            changes[name, level.name if level else text] = read_settings(problems, (*key, name, text), settings)
    return changes


def apply_profile(problems: Problems, profile: Profile, factors: tuple[Factor, ...]) -> tuple[Factor, ...]:
    """The factors with the profile's changes to single levels or members."""
    result = []
    for factor in factors:
        changes = {name: settings for (owner, name), settings in profile.levels.items() if owner == factor.name}
        if not changes:
            result.append(factor)
        elif factor.members:
            members = {level.name: level.sets for level in factor.levels if len(level.members) == 1}
            members = {name: {**sets, **changes.get(name, {})} for name, sets in members.items()}
            levels = subset_levels(problems, ("profiles", profile.name, "levels", factor.name), members)
            result.append(replace(factor, levels=levels))
        else:
            levels = tuple(
                replace(level, sets={**level.sets, **changes.get(level.name, {})}) for level in factor.levels
            )
            result.append(replace(factor, levels=levels))
    return tuple(result)
