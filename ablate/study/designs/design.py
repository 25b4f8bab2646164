"""Designs: the rule that turns factors into arms.

`full` is every combination; `one-at-a-time` the baseline and each arm one level away from it; `leave-one-out` the same where the
baseline holds every member; `path` a walk from the baseline, step by step. A factor that the baseline leaves out is crossed
with all of this.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ablate.study.designs.factors import NONE, match_level
from ablate.study.document.problems import Problems
from ablate.study.document.source import Key
from ablate.study.values.study import Factor

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


@dataclass(frozen=True)
class Step:
    """One step of a path: `name` is what people call it, `level` what `factor` has after it."""

    name: str
    factor: str
    level: str


def read_design(problems: Problems, key: Key, value: object, factors: Sequence[Factor]) -> Design:
    """A `design`: a name, or `{path: [...]}`. Nothing at all is `full`."""
    if value is None:
        return Design("full")
    if isinstance(value, dict):
        problems.known_keys(key, value, ("path",))
        return Design("path", _read_walk(problems, (*key, "path"), value.get("path"), factors))
    if value not in DESIGNS or value == "path":
        problems.refuse(key, "full, one-at-a-time, leave-one-out or {path: [...]}", value, code="wrong-value")
        return Design("full")
    return Design(str(value))


def _read_walk(problems: Problems, key: Key, value: object, factors: Sequence[Factor]) -> tuple[str, ...]:
    if not value:
        problems.add(key, "wrong-type", "must be a list of factors and members, in the order of the steps.")
        return ()
    owners = Counter([f.name for f in factors] + [member for f in factors for member in f.members])
    walk = problems.names(key, value, "a list of factors and members")
    for index, name in enumerate(walk):
        place = (*key, index) if isinstance(value, list) else key
        if name not in owners:
            problems.add(place, "unknown-name", f"no factor or member {name!r}. Known: {', '.join(owners)}.")
        elif owners[name] > 1:
            problems.add(
                place, "ambiguous", f"{name!r} is the name of {owners[name]} factors or members; rename one of them."
            )
    for factor in factors:
        if factor.name in walk and (both := [member for member in factor.members if member in walk]):
            message = f"{factor.name} already steps through all of its members; remove {', '.join(both)}."
            problems.add(key, "conflict", message)
    if len(set(walk)) < len(walk):
        problems.add(key, "duplicate", "a step is listed twice.")
    return tuple(name for name in walk if name in owners)


def count_points(design: Design, factors: Sequence[Factor], baseline: Mapping[str, str]) -> int:
    """How many arms a design comes to, without building any."""
    if design.kind == "full":
        return math.prod(len(factor.levels) for factor in factors)
    matched = math.prod(len(factor.levels) for factor in factors if factor.name not in baseline)
    if design.kind == "path":
        return matched * (1 + len(_steps(design, factors, {f.name: baseline.get(f.name, "") for f in factors})))
    return matched * (1 + sum(len(f.members) or len(f.levels) - 1 for f in factors if f.name in baseline))


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
            yield from _walk(_steps(design, factors, start), start)
        else:
            yield from _one_at_a_time(factors, start, fixed)


def path_steps(design: Design, factors: Sequence[Factor], baseline: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    """What each step of a path may be called, `STEP` and `FACTOR=STEP`, with the levels of the arm that it leads to.

    Only the factors that the baseline names are in it; the others are matched. Empty for the other designs.
    """
    if design.kind != "path":
        return {}
    here = dict(baseline)
    named: dict[str, Mapping[str, str]] = {}
    for step in _steps(design, factors, {f.name: baseline.get(f.name, "") for f in factors}):
        here = {**here, step.factor: step.level}
        for name in (step.name, f"{step.factor}={step.name}", f"{step.factor}={step.level}"):
            named.setdefault(name, here)
    return named


def _one_at_a_time(factors: Sequence[Factor], start: Mapping[str, str], fixed: Mapping[str, str]) -> Iterator[Point]:
    for factor in factors:
        if factor.name in fixed:
            continue
        here = factor.level(start[factor.name])
        for level in factor.levels:
            away = len(set(level.members) ^ set(here.members)) if factor.members else int(level.name != here.name)
            if away == 1:
                yield Point({**start, factor.name: level.name})


def _walk(steps: Sequence[Step], start: Mapping[str, str]) -> Iterator[Point]:
    here = dict(start)
    for step in steps:
        following = {**here, step.factor: step.level}
        yield Point(following, step=step.name, previous=here)
        here = following


def _steps(design: Design, factors: Sequence[Factor], start: Mapping[str, str]) -> list[Step]:
    """The steps of a path in order. A name that several of them would have is written `FACTOR=NAME`."""
    here = dict(start)
    steps: list[Step] = []
    for name in design.walk:
        for factor in factors:
            if (factor.name != name and name not in factor.members) or not here[factor.name]:
                continue
            if factor.members:
                added = _member_steps(factor, here[factor.name], factor.members if name == factor.name else (name,))
            else:
                others = [level.name for level in factor.levels if level.name != here[factor.name]]
                added = [Step(level, factor.name, level) for level in others]
            steps += added
            here[factor.name] = added[-1].level if added else here[factor.name]
    often = Counter(step.name for step in steps)
    return [replace(step, name=f"{step.factor}={step.name}") if often[step.name] > 1 else step for step in steps]


def _member_steps(factor: Factor, level_name: str, members: Sequence[str]) -> list[Step]:
    held = list(factor.level(level_name).members)
    steps = []
    for member in members:
        if member in held:
            held.remove(member)
            name = "-" + member
        else:
            held.append(member)
            name = member
        level = match_level(factor, "+".join(held) or NONE)
        assert level is not None
        steps.append(Step(name, factor.name, level.name))
    return steps
