"""Profiles: the same study at another scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ablate.errors import nearest
from ablate.study.assign.assign import overlap, read_settings
from ablate.study.assign.foreign_recipe import unknown_path
from ablate.study.designs.design import Design, read_design
from ablate.study.designs.factors import known_factor, match_level, subset_levels
from ablate.study.designs.points import Rule, read_rules
from ablate.study.designs.resources import read_resources
from ablate.study.designs.seeds import read_seeds
from ablate.study.document.keys import PROFILE
from ablate.study.document.problems import Problems
from ablate.study.document.source import Key
from ablate.study.values.resources import Resources
from ablate.study.values.study import Factor


@dataclass(frozen=True)
class Profile:
    """`levels` maps (factor, level or member) to the settings that change there. None: as the study has it."""

    name: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    levels: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    exclude: tuple[Rule, ...] = ()
    seeds: tuple[int, ...] | None = None
    design: Design | None = None
    resources: Resources | None = None


def read_profiles(problems: Problems, value: object, factors: tuple[Factor, ...]) -> tuple[Profile, ...]:
    """The `profiles` block; every profile is checked, whichever is used."""
    found = []
    for name, spec in problems.mapping(("profiles",), value, "a mapping of profile names").items():
        key: Key = ("profiles", name)
        if not name.strip() or not name.isprintable() or len(name) > 100:
            problems.add(key, "bad-name", "a profile name must have 1 to 100 printable characters.")
        spec = problems.mapping(key, spec, f"a mapping with some of {', '.join(PROFILE)}")
        problems.known_keys(key, spec, PROFILE)
        recipe = read_settings(problems, (*key, "recipe"), spec.get("recipe"))
        levels = _read_levels(problems, (*key, "levels"), spec.get("levels"), factors)
        for path in recipe:
            if factor := fixed_by(factors, path):
                message = f"every level of {factor} sets {path}, so this has no effect; use profiles.{name}.levels."
                problems.add((*key, "recipe", path), "no-effect", message)
        rules = read_rules(problems, (*key, "exclude"), spec.get("exclude"), factors)
        seeds, design, needs = spec.get("seeds"), spec.get("design"), spec.get("resources")
        found.append(
            Profile(
                name,
                recipe,
                levels,
                tuple(rules),
                None if seeds is None else read_seeds(problems, (*key, "seeds"), seeds),
                None if design is None else read_design(problems, (*key, "design"), design, factors),
                None if needs is None else read_resources(problems, (*key, "resources"), needs),
            )
        )
    return tuple(found)


def known_paths(base: Mapping[str, Any], factors: tuple[Factor, ...]) -> tuple[str, ...]:
    """Every path that the recipe or a level sets."""
    of_levels = (path for factor in factors for level in factor.levels for path in level.sets)
    return tuple(dict.fromkeys((*base, *of_levels)))


def check_profiles(problems: Problems, profiles: Sequence[Profile], known: Sequence[str]) -> None:
    """In a free recipe a profile changes what is there: a path that is nowhere else is a slip of the pen."""
    if not problems.free:
        return
    for profile in profiles:
        changes: list[tuple[Key, Mapping[str, Any]]] = [(("recipe",), profile.recipe)]
        changes += [(("levels", factor, level), settings) for (factor, level), settings in profile.levels.items()]
        for place, settings in changes:
            for path in settings:
                if wrong := unknown_path(path, known):
                    problems.add(("profiles", profile.name, *place, path), "unknown-field", wrong)


def fixed_by(factors: tuple[Factor, ...], path: str) -> str:
    """The factor whose levels all set this path, so that the base's value is never used; empty where there is none."""
    for factor in factors:
        if all(
            any(overlap(path, own) and not own.startswith(f"{path}.") for own in level.sets) for level in factor.levels
        ):
            return factor.name
    return ""


def _read_levels(
    problems: Problems, key: Key, value: object, factors: tuple[Factor, ...]
) -> dict[tuple[str, str], Mapping[str, Any]]:
    changes: dict[tuple[str, str], Mapping[str, Any]] = {}
    for name, spec in problems.mapping(key, value, "a mapping of factors").items():
        factor = known_factor(problems, (*key, name), name, factors)
        if factor is None:
            continue
        for text, settings in problems.mapping((*key, name), spec, "a mapping of levels or members").items():
            level = None if factor.members else match_level(factor, text)
            known = factor.members or tuple(level.name for level in factor.levels)
            if level is None and text not in factor.members:
                message = f"{name} has no {text!r}.{nearest(text, known)} Known: {', '.join(known)}."
                problems.add((*key, name, text), "unknown-name", message)
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
