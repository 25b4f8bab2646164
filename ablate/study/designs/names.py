"""Names: how a few words address an arm or a row.

An arm is named by its levels in the file's order, joined by `/`. Where people write names (reported figures, claims, `init`,
`arms`), levels equal to the baseline's may be left out, `baseline` is the baseline, and `FACTOR=LEVEL` says which factor is meant.
In a path an arm may also be called by its last step.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from ablate.errors import few, nearest
from ablate.study.designs.factors import match_level
from ablate.study.values.study import Factor

Levels = Mapping[str, str]
_TRIES = 100_000
"""Ways to read one name that are looked at, in the worst case of many factors that share their levels' names."""


class UnclearName(ValueError):
    """A name that means no arm, or more than one; the message says which and what is allowed."""

    def __init__(self, message: str, code: str = "unknown-name") -> None:
        super().__init__(message)
        self.code = code


def arm_name(levels: Levels) -> str:
    """`resnet18/A/c+l` for the levels in the file's order; `baseline` where there is no factor."""
    return "/".join(levels.values()) or "baseline"


def resolve(
    text: str, factors: Sequence[Factor], baseline: Levels, steps: Mapping[str, Levels] | None = None
) -> dict[str, str]:
    """The level of each factor that a name means, in the factors' order.

    `baseline` gives the levels that may be left out; `steps` the levels at each step of a path.
    Raises UnclearName for what is unknown, left open or ambiguous.
    """
    parts = [] if text == "baseline" else text.split("/")
    if len(parts) > len(factors):
        there = ", ".join(factor.name for factor in factors) or "no factor"
        raise UnclearName(f"{text[:200]!r} has {len(parts)} levels; the factors are {there}.")
    options = [_options(part, factors) for part in parts]
    stepped = [part for part in parts if steps and part in steps]
    if steps and stepped and not _on_path(options, factors, [baseline, *steps.values()]):
        if len(stepped) > 1:
            raise UnclearName(
                f"{text!r} names two steps, {' and '.join(stepped)}; name only the last one.", "ambiguous"
            )
        rest = [part for part in parts if part != stepped[0]]
        found = resolve("/".join(rest) or "baseline", [f for f in factors if f.name not in baseline], {})
        levels = {**baseline, **steps[stepped[0]], **found}
        return {factor.name: levels[factor.name] for factor in factors}
    return _resolve(text, parts, options, factors, baseline)


def _on_path(
    options: Sequence[Sequence[tuple[str, str]]], factors: Sequence[Factor], stations: Sequence[Levels]
) -> bool:
    """Whether a name that gives every factor its level is an arm of the path as it stands."""
    levels = next(_in_order(options, factors), None) if len(options) == len(factors) else None
    return levels is not None and any(
        all(station.get(name, level) == level for name, level in levels.items()) for station in stations
    )


def _resolve(
    text: str, parts: Sequence[str], options: list[list[tuple[str, str]]], factors: Sequence[Factor], baseline: Levels
) -> dict[str, str]:
    first: Levels | None = None
    complete: list[dict[str, str]] = []
    for ways in (_in_order(options, factors), _any_order(options)):
        for given in itertools.islice(ways, _TRIES):
            first = first or given
            if all(factor.name in given or factor.name in baseline for factor in factors):
                levels = {factor.name: given.get(factor.name, baseline.get(factor.name, "")) for factor in factors}
                if levels not in complete:
                    complete.append(levels)
            if len(complete) > 1:
                raise UnclearName(_ambiguous(text, complete), "ambiguous")
        if complete:
            return complete[0]
    if first is None:
        raise UnclearName(_unknown(text, parts, options, factors))
    wanted = next(f for f in factors if f.name not in first and f.name not in baseline)
    raise UnclearName(
        f"{text!r} does not say which {wanted.name}, and neither does the baseline; "
        f"add one of {', '.join(level.name for level in wanted.levels[:20])}.",
        "ambiguous",
    )


def _in_order(options: Sequence[Sequence[tuple[str, str]]], factors: Sequence[Factor]) -> Iterator[Levels]:
    """Every way to give each part to a factor of its own so that the parts follow the factors' order."""
    place = {factor.name: index for index, factor in enumerate(factors)}
    last = len(factors) - len(options)

    def extend(index: int, after: int, given: dict[str, str]) -> Iterator[Levels]:
        if index == len(options):
            yield given
            return
        for name, level in options[index]:
            if after < place[name] <= last + index:
                yield from extend(index + 1, place[name], {**given, name: level})

    return extend(0, -1, {})


def _any_order(options: Sequence[Sequence[tuple[str, str]]]) -> Iterator[Levels]:
    """Every way to give each part to a factor of its own. Gives up in silence after `_TRIES` dead ends."""
    tries = itertools.count()

    def extend(index: int, given: dict[str, str]) -> Iterator[Levels]:
        if index == len(options):
            yield given
            return
        for name, level in options[index]:
            if next(tries) > _TRIES:
                return
            if name not in given:
                yield from extend(index + 1, {**given, name: level})

    return extend(0, {})


def _options(part: str, factors: Sequence[Factor]) -> list[tuple[str, str]]:
    wanted, equals, level_text = part.partition("=")
    if equals:
        factors = [factor for factor in factors if factor.name == wanted]
    else:
        level_text = part
    exact = [(f.name, level.name) for f in factors for level in f.levels if level.name == level_text]
    if exact:
        return exact
    matched = [(factor.name, match_level(factor, level_text)) for factor in factors]
    return [(name, level.name) for name, level in matched if level is not None]


def _ambiguous(text: str, complete: Sequence[Levels]) -> str:
    ways = " or ".join("/".join(f"{name}={level}" for name, level in levels.items()) for levels in complete[:3])
    return f"{text!r} is ambiguous: it could mean {ways}. Write FACTOR=LEVEL."


def _unknown(
    text: str, parts: Sequence[str], options: Sequence[Sequence[tuple[str, str]]], factors: Sequence[Factor]
) -> str:
    known = [level.name for factor in factors for level in factor.levels]
    for part, found in zip(parts, options, strict=True):
        if found:
            continue
        named, equals, level = part.rpartition("=")
        if equals and named not in [factor.name for factor in factors]:
            names = [factor.name for factor in factors]
            return f"no row matches {text!r}: unknown factor {named!r}.{nearest(named, names)} Factors: {', '.join(names)}."
        return (
            f"no row matches {text!r}: unknown level {part!r}.{nearest(level, known)} Levels: {few(known) or 'none'}."
        )
    return f"{text!r} names two levels of one factor; write at most one level of each of {', '.join(f.name for f in factors)}."
