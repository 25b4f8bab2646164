"""The grid of a study: the design's points, less what `exclude` takes out, plus what `include` adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablate.study.design import MAX_ARMS, Design, Point, count_points, points
from ablate.study.factors import matches, read_condition
from ablate.study.problems import Problems, show
from ablate.study.source import Key
from ablate.study.study import Condition, Exclusion, Factor


@dataclass(frozen=True)
class Rule:
    """One exclude rule and where it stands."""

    key: Key
    condition: Condition


def read_rules(problems: Problems, key: Key, value: Any, factors: tuple[Factor, ...]) -> list[Rule]:
    """A list of exclude rules."""
    if value is None:
        return []
    if not isinstance(value, list):
        problems.add(key, f"must be a list of rules such as {{tweak: C, refinements: m}}, not {show(value)}.")
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
    include: Any,
) -> Grid:
    """The points of the study, counted before any is built. Raises StudyError where a rule cannot be meant."""
    total = count_points(design, factors)
    if total > MAX_ARMS:
        message = f"the grid has {total:,} arms; at most {MAX_ARMS:,} are planned. Use fewer levels, or another design."
        problems.add(("factors",), message)
        problems.stop()
    if design.kind == "leave-one-out":
        _check_leave_one_out(problems, factors, baseline)
    if design.kind != "full":
        _check_start(problems, design, factors, baseline)
    problems.stop()
    everything = list(points(design, factors, baseline))
    kept, counts = _exclude(everything, rules)
    for rule, count in zip(rules, counts, strict=True):
        if count == 0:
            problems.add(rule.key, "this rule matches no arm of the grid; mend it or take it out.")
    if everything and not kept:
        problems.add(("exclude",), f"the rules take out all {len(everything)} arms; nothing is left to run.")
    kept += _included(problems, factors, baseline, kept, include)
    if kept and factors and not any(_is_baseline(point, baseline) for point in kept):
        problems.add(
            ("baseline",),
            f"the baseline {'/'.join(baseline.values())} is not in the grid: an exclude rule takes it out. "
            "Choose another or mend the rule.",
        )
    problems.stop()
    excluded = tuple(
        Exclusion(_rule_text(problems, rule), problems.document.line(rule.key), count)
        for rule, count in zip(rules, counts, strict=True)
    )
    return Grid(tuple(kept), excluded, len(everything))


def _exclude(everything: Sequence[Point], rules: Sequence[Rule]) -> tuple[list[Point], list[int]]:
    counts = [0] * len(rules)
    kept = []
    for point in everything:
        hits = [index for index, rule in enumerate(rules) if matches(point.levels, rule.condition)]
        for index in hits:
            counts[index] += 1
        if not hits:
            kept.append(point)
    return kept, counts


def _is_baseline(point: Point, baseline: Mapping[str, str]) -> bool:
    return all(point.levels[factor] == level for factor, level in baseline.items())


def _check_leave_one_out(problems: Problems, factors: Sequence[Factor], baseline: Mapping[str, str]) -> None:
    for factor in factors:
        if factor.members and factor.name in baseline:
            full = "+".join(factor.members)
            if set(factor.level(baseline[factor.name]).members) != set(factor.members):
                problems.add(
                    ("baseline", factor.name),
                    f"leave-one-out starts from all members: baseline {factor.name} must be {full}.",
                )


def _check_start(problems: Problems, design: Design, factors: Sequence[Factor], baseline: Mapping[str, str]) -> None:
    for factor in factors:
        walked = design.kind == "path" and (factor.name in design.walk or set(factor.members) & set(design.walk))
        if walked and factor.name not in baseline:
            problems.add(("baseline",), f"a path starts at the baseline, so it must name a level of {factor.name}.")
    if factors and not baseline:
        problems.add(("baseline",), f"the design {design.kind} starts at the baseline, so it must name a level.")


def _included(
    problems: Problems, factors: tuple[Factor, ...], baseline: Mapping[str, str], kept: Sequence[Point], value: Any
) -> list[Point]:
    if value is None:
        return []
    if not isinstance(value, list):
        problems.add(("include",), f"must be a list of arms such as {{tweak: C}}, not {show(value)}.")
        return []
    found: list[Point] = []
    for index, item in enumerate(value):
        condition = read_condition(problems, ("include", index), item, factors)
        levels = {factor.name: condition.get(factor.name, (baseline.get(factor.name, ""),)) for factor in factors}
        unclear = [name for name, names in levels.items() if len(names) != 1 or not names[0]]
        if unclear:
            problems.add(("include", index), f"one arm has one level a factor; say which {', '.join(unclear)}.")
            continue
        point = Point({name: names[0] for name, names in levels.items()})
        if any(point.levels == other.levels for other in (*kept, *found)):
            problems.warn(("include", index), "this arm is in the grid already.")
        else:
            found.append(point)
    return found


def _rule_text(problems: Problems, rule: Rule) -> str:
    """An exclude rule as one line of YAML, for people."""
    value: Any = problems.document.data
    for part in rule.key:
        value = value[part]
    return _flow(value)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return str(value)
