"""The grid of a study: the design's points, less what `exclude` takes out, plus what `include` adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ablate.errors import few
from ablate.study.designs.design import MAX_ARMS, Design, Point, count_points, points
from ablate.study.designs.factors import matches, read_condition
from ablate.study.document.problems import Problems
from ablate.study.document.source import Key
from ablate.study.values.study import Condition, Exclusion, Factor


@dataclass(frozen=True)
class Rule:
    """One exclude rule and where it stands. One that `may_miss` was written for another design, and may match nothing."""

    key: Key
    condition: Condition
    may_miss: bool = False


def read_rules(problems: Problems, key: Key, value: object, factors: tuple[Factor, ...]) -> list[Rule]:
    """A list of exclude rules."""
    if value is None:
        return []
    if not isinstance(value, list):
        problems.refuse(key, "a list of rules such as {tweak: C, refinements: m}", value)
        return []
    return [Rule((*key, i), read_condition(problems, (*key, i), rule, factors)) for i, rule in enumerate(value)]


@dataclass(frozen=True)
class Grid:
    """`points` are what is left to run, `before` how many there were."""

    points: tuple[Point, ...]
    excluded: tuple[Exclusion, ...]
    before: int


def build_grid(
    problems: Problems,
    design: Design,
    factors: tuple[Factor, ...],
    baseline: Mapping[str, str],
    rules: Sequence[Rule],
    include: object,
) -> Grid | None:
    """The points of the study, counted before any is built. None where a mistake keeps it from being built."""
    told = len(problems.errors)
    if design.kind == "leave-one-out":
        _check_leave_one_out(problems, factors, baseline)
    if design.kind != "full":
        _check_start(problems, design, factors, baseline)
    total = count_points(design, factors, baseline)
    if total > MAX_ARMS:
        message = f"the grid has {total:,} arms; at most {MAX_ARMS:,} are allowed. Use fewer levels, or another design."
        problems.add(("factors",), "too-many", message)
    if len(problems.errors) > told:
        return None
    everything = list(points(design, factors, baseline))
    kept, hits, taken = _exclude(everything, rules)
    for rule, matched in zip(rules, hits, strict=True):
        if matched == 0 and not rule.may_miss:
            problems.add(rule.key, "no-effect", "this rule matches no arm; fix or remove it.")
    if everything and not kept:
        problems.add(("exclude",), "empty", f"the rules exclude all {len(everything)} arms; nothing is left to run.")
        return None
    kept += _included(problems, factors, baseline, kept, include)
    _check_baseline(problems, factors, baseline, kept)
    excluded = tuple(
        Exclusion(problems.document.flow(rule.key), problems.document.line(rule.key), count)
        for rule, count, matched in zip(rules, taken, hits, strict=True)
        if matched
    )
    return Grid(tuple(kept), excluded, len(everything))


def _exclude(everything: Sequence[Point], rules: Sequence[Rule]) -> tuple[list[Point], list[int], list[int]]:
    """What is left; for each rule how many arms it matches; and how many it takes out that no rule before it does.

    In a path, a step whose forerunner is taken out is compared with the last one that is left.
    """
    hits, taken = [0] * len(rules), [0] * len(rules)
    kept: list[Point] = []
    gone: dict[tuple[str, ...], Mapping[str, str] | None] = {}
    for point in everything:
        matched = [index for index, rule in enumerate(rules) if matches(point.levels, rule.condition)]
        for index in matched:
            hits[index] += 1
        previous = point.previous
        while previous is not None and tuple(previous.values()) in gone:
            previous = gone[tuple(previous.values())]
        if matched:
            taken[matched[0]] += 1
            gone[tuple(point.levels.values())] = previous
        else:
            kept.append(replace(point, previous=previous) if previous is not point.previous else point)
    return kept, hits, taken


def _check_baseline(
    problems: Problems, factors: Sequence[Factor], baseline: Mapping[str, str], kept: Sequence[Point]
) -> None:
    """The baseline is in the grid; where it is matched, each group of arms should have its own."""
    if not factors or not baseline:
        return
    matched = [factor.name for factor in factors if factor.name not in baseline]
    groups: dict[tuple[str, ...], bool] = {}
    for point in kept:
        group = tuple(point.levels[name] for name in matched)
        is_baseline = baseline.items() <= point.levels.items()
        groups[group] = groups.get(group, False) or is_baseline
    without = [group for group, found in groups.items() if not found]
    if len(without) == len(groups):
        message = (
            f"an exclude rule leaves out the baseline {'/'.join(baseline.values())}. Choose another, or fix the rule."
        )
        problems.add(("baseline",), "not-in-grid", message)
    elif without:
        message = f"the arms of {few(list(map('/'.join, without)), 3)} have no baseline in the grid, so they are not compared."
        problems.warn(("baseline",), "not-in-grid", message)


def _check_leave_one_out(problems: Problems, factors: Sequence[Factor], baseline: Mapping[str, str]) -> None:
    for factor in factors:
        if factor.members and factor.name in baseline:
            full = "+".join(factor.members)
            if set(factor.level(baseline[factor.name]).members) != set(factor.members):
                message = f"leave-one-out starts from all members: baseline {factor.name} must be {full}."
                problems.add(("baseline", factor.name), "conflict", message)


def _check_start(problems: Problems, design: Design, factors: Sequence[Factor], baseline: Mapping[str, str]) -> None:
    for factor in factors:
        walked = design.kind == "path" and (factor.name in design.walk or set(factor.members) & set(design.walk))
        if walked and factor.name not in baseline:
            problems.add(
                ("baseline",), "missing", f"a path starts at the baseline, so it must name a level of {factor.name}."
            )


def _included(
    problems: Problems, factors: tuple[Factor, ...], baseline: Mapping[str, str], kept: Sequence[Point], value: object
) -> list[Point]:
    if value is None:
        return []
    if not isinstance(value, list):
        problems.refuse(("include",), "a list of arms such as {tweak: C}", value)
        return []
    there = {tuple(point.levels.values()) for point in kept}
    found: list[Point] = []
    for index, item in enumerate(value):
        told = len(problems.errors)
        condition = read_condition(problems, ("include", index), item, factors)
        if len(problems.errors) > told:
            continue
        levels = {factor.name: condition.get(factor.name, (baseline.get(factor.name, ""),)) for factor in factors}
        unclear = [name for name, names in levels.items() if len(names) != 1 or not names[0]]
        if unclear:
            message = f"an arm has one level of each factor; give one for {', '.join(unclear)}."
            problems.add(("include", index), "ambiguous", message)
            continue
        point = Point({name: names[0] for name, names in levels.items()})
        if tuple(point.levels.values()) in there:
            problems.warn(("include", index), "no-effect", "this arm is already in the grid.")
        else:
            there.add(tuple(point.levels.values()))
            found.append(point)
    return found
