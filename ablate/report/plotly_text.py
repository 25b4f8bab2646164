"""Names as Plotly shows them: it reads a small HTML in every label and tooltip."""

from __future__ import annotations

from html import escape

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
