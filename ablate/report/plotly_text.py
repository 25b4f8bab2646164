"""Names as Plotly shows them, which reads a small HTML in every label and tooltip, room for those beside each other, and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from ablate.report import theme

LONGEST = 34
"""Characters of a label on an axis; the hover has all of it."""


def text(name: str) -> str:
    """`name` as Plotly shows it letter by letter."""
    return escape(name, quote=False)


def hover(lines: str) -> str:
    """Lines of a tooltip as Plotly breaks them."""
    return text(lines).replace("\n", "<br>")


def short(name: str) -> str:
    """`name` for an axis: escaped, at most `LONGEST` characters."""
    return text(name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…")


def shortened(name: str, most: int) -> str:
    """At most so many characters: the beginning and, since names of one study begin alike, more of the end."""
    if len(name) <= most:
        return name
    head = most // 3
    return f"{name[:head]}…{name[len(name) - (most - head - 1) :]}"


def unique(names: list[str]) -> list[str]:
    """`names` with ` (2)` after the second of two equal ones, which one category of an axis would swallow."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return result


def spread(wanted: Sequence[float], gap: float, height: float) -> list[float]:
    """Places as near to the wanted ones as `gap` between each two allows, from 0 to `height` where they fit."""
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    blocks: list[list[float]] = []  # sum and count of what stands together, each less its own steps
    for step, place in enumerate(order):
        blocks.append([wanted[place] - step * gap, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + count]
    placed = [total / count for total, count in blocks for _ in range(int(count))]
    most = height - (len(wanted) - 1) * gap
    result = [0.0] * len(wanted)
    for step, (place, at) in enumerate(zip(order, placed, strict=True)):
        result[place] = max(min(at, most), 0.0) + step * gap
    return result


def errors(
    mean: Sequence[float | None], low: Sequence[float | None], high: Sequence[float | None]
) -> dict[str, Any] | None:
    """Intervals as Plotly takes them; None where there is none."""
    pairs = [
        (h - m, m - b) if m is not None and b is not None and h is not None else (None, None)
        for m, b, h in zip(mean, low, high, strict=True)
    ]
    if all(above is None for above, _ in pairs):
        return None
    ink = theme.INK["light"]
    return {
        "type": "data",
        "symmetric": False,
        "array": [above for above, _ in pairs],
        "arrayminus": [below for _, below in pairs],
        "thickness": 1.2,
        "width": 4,
        "color": ink,
    }
