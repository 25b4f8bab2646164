"""Designs: the rule that turns factors into arms.

`full` is every combination; `one-at-a-time` the baseline and each arm one level away from it; `leave-one-out` the same where the
baseline holds every member; `path` a walk from the baseline, step by step. A factor that the baseline leaves out is crossed
with all of this.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ablate.study.factors import NONE, match_level
from ablate.study.problems import Problems, show
from ablate.study.study import Factor, Level

DESIGNS = ("full", "one-at-a-time", "leave-one-out", "path")
MAX_ARMS = 1_000_000


@dataclass(frozen=True)
class Point:
    """One arm to be: a level of each factor. In a path, the step that leads to it and the point before."""

    levels: Mapping[str, str]
    step: str | None = None
    previous: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Design:
    """`walk` names the factors and members of a path, in order."""

    kind: str
    walk: tuple[str, ...] = ()


def read_design(problems: Problems, value: object, factors: Sequence[Factor]) -> Design:
    """The `design` key: a name, or `{path: [...]}`."""
    key = ("design",)
    if value is None:
        return Design("full")
    if isinstance(value, dict):
        problems.known_keys(key, value, ("path",))
        known = [factor.name for factor in factors] + [m for factor in factors for m in factor.members]
        walk = problems.names((*key, "path"), value.get("path"), "a list of factors and members")
        for index, name in enumerate(walk):
            if name not in known:
                problems.add((*key, "path", index), f"no factor or member {name!r}. Known: {', '.join(known)}.")
        if len(set(walk)) < len(walk):
            problems.add((*key, "path"), "a step is there twice.")
        return Design("path", tuple(name for name in walk if name in known))
    if value not in DESIGNS or value == "path":
        problems.add(key, f"must be full, one-at-a-time, leave-one-out or {{path: [...]}}, not {show(value)}.")
        return Design("full")
    return Design(str(value))


def count_points(design: Design, factors: Sequence[Factor]) -> int:
    """How many arms a full design comes to, without building any."""
    return math.prod(len(factor.levels) for factor in factors) if design.kind == "full" else 0


def points(design: Design, factors: Sequence[Factor], baseline: Mapping[str, str]) -> Iterator[Point]:
    """The arms of a design in the order of the file, the last factor changing fastest."""
    if design.kind == "full":
        names = [factor.name for factor in factors]
        for combination in itertools.product(*([level.name for level in factor.levels] for factor in factors)):
            yield Point(dict(zip(names, combination, strict=True)))
        return
    matched = [factor for factor in factors if factor.name not in baseline]
    for combination in itertools.product(*([level.name for level in factor.levels] for factor in matched)):
        fixed = dict(zip((factor.name for factor in matched), combination, strict=True))
        start = {factor.name: fixed.get(factor.name, baseline.get(factor.name, "")) for factor in factors}
        yield Point(start)
        if design.kind == "path":
            yield from _walk(design, factors, start)
        else:
            yield from _one_at_a_time(factors, start, fixed)


def _one_at_a_time(factors: Sequence[Factor], start: Mapping[str, str], fixed: Mapping[str, str]) -> Iterator[Point]:
    for factor in factors:
        if factor.name in fixed:
            continue
        here = factor.level(start[factor.name])
        for level in factor.levels:
            away = len(set(level.members) ^ set(here.members)) if factor.members else int(level.name != here.name)
            if away == 1:
                yield Point({**start, factor.name: level.name}, step=_changed(factor, here, level))


def _changed(factor: Factor, here: Level, level: Level) -> str:
    if not factor.members:
        return level.name
    added, removed = set(level.members) - set(here.members), set(here.members) - set(level.members)
    return "".join(added) or "-" + "".join(removed)


def _walk(design: Design, factors: Sequence[Factor], start: Mapping[str, str]) -> Iterator[Point]:
    here = dict(start)
    for name in design.walk:
        for factor in factors:
            if factor.name == name and not factor.members:
                steps = [(level.name, level.name) for level in factor.levels if level.name != start[factor.name]]
            elif factor.name == name or name in factor.members:
                members = factor.members if factor.name == name else (name,)
                steps = _member_steps(factor, here[factor.name], members)
            else:
                continue
            for level_name, step in steps:
                following = {**here, factor.name: level_name}
                yield Point(following, step=step, previous=dict(here))
                here = following


def _member_steps(factor: Factor, level_name: str, members: Sequence[str]) -> list[tuple[str, str]]:
    held = list(factor.level(level_name).members)
    steps = []
    for member in members:
        if member in held:
            held.remove(member)
            step = "-" + member
        else:
            held.append(member)
            step = member
        level = match_level(factor, "+".join(held)) if len(held) > 1 else match_level(factor, held[0] if held else NONE)
        assert level is not None
        steps.append((level.name, step))
    return steps
