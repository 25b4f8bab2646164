"""Names: how a few words address an arm or a row.

An arm is named by its levels in the file's order, joined by `/`. Where people write names (reported figures, claims, `init`,
`arms`), levels equal to the baseline's may be left out, `baseline` is the baseline, and `FACTOR=LEVEL` says which factor is meant.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from ablate.errors import nearest
from ablate.study.factors import match_level
from ablate.study.study import Factor


class UnclearName(ValueError):
    """A name that means no arm, or more than one; the message says which and what is allowed."""


def arm_name(levels: Mapping[str, str]) -> str:
    """`resnet18/A/c+l` for the levels in the file's order; `baseline` where there is no factor."""
    return "/".join(levels.values()) or "baseline"


def resolve(text: str, factors: Sequence[Factor], baseline: Mapping[str, str]) -> dict[str, str]:
    """The level of each factor that a name means, in the factors' order.

    `baseline` gives the levels that may be left out. Raises UnclearName for what is unknown, left open or ambiguous.
    """
    parts = [] if text == "baseline" else text.split("/")
    found = _assign(parts, factors)
    if not found:
        raise UnclearName(_unknown(text, parts, factors))
    complete = []
    for given in found:
        missing = [factor.name for factor in factors if factor.name not in given and factor.name not in baseline]
        if not missing:
            complete.append({factor.name: given.get(factor.name, baseline.get(factor.name, "")) for factor in factors})
    if not complete:
        wanted = next(f for f in factors if f.name not in found[0] and f.name not in baseline)
        raise UnclearName(
            f"{text!r} leaves {wanted.name} open, and the baseline does not name one; "
            f"add one of {', '.join(level.name for level in wanted.levels)}."
        )
    distinct = [levels for index, levels in enumerate(complete) if levels not in complete[:index]]
    if len(distinct) > 1:
        ways = " or ".join("/".join(f"{k}={v}" for k, v in levels.items()) for levels in distinct[:3])
        raise UnclearName(f"{text!r} is ambiguous: it could mean {ways}. Write FACTOR=LEVEL.")
    return distinct[0]


def _assign(parts: Sequence[str], factors: Sequence[Factor]) -> list[dict[str, str]]:
    """Every way to give each part to a factor of its own, in the factors' order where all are named."""
    options = [_options(part, factors) for part in parts]
    if len(parts) == len(factors):
        in_order = [
            [level for name, level in found if name == factor.name]
            for found, factor in zip(options, factors, strict=True)
        ]
        if all(in_order):
            return [{factor.name: levels[0] for factor, levels in zip(factors, in_order, strict=True)}]
    ways = []
    for choice in itertools.islice(itertools.product(*options), 1000):
        if len({name for name, _ in choice}) == len(choice):
            ways.append(dict(choice))
    return ways


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


def _unknown(text: str, parts: Sequence[str], factors: Sequence[Factor]) -> str:
    known = [level.name for factor in factors for level in factor.levels]
    for part in parts:
        if not _options(part, factors):
            shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
            return f"{text!r} names no row: {part!r} is no level.{nearest(part.rpartition('=')[2], known)} Levels: {shown}."
    return f"{text!r} names one factor twice; a name has at most one level of each of {', '.join(f.name for f in factors)}."
