"""What is clicked in a figure of curves: switches that turn lines over, and a picker of arms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ablate.report import theme
from ablate.report.infos import Line
from ablate.report.plotly_text import shortened, text

IN_PICKER = 30
"""Characters of an arm's name in the picker; the hover has all of it."""


@dataclass(frozen=True)
class Switch:
    """A button that turns traces over, and the layout with them: `there` says whether it is on at first."""

    name: str
    traces: list[int]
    there: bool = False
    on: Mapping[str, Any] = field(default_factory=dict)
    off: Mapping[str, Any] = field(default_factory=dict)


def switches(known: Iterable[Switch]) -> list[dict[str, Any]]:
    """Buttons beside each other, for those that have something to turn over."""
    menus: list[dict[str, Any]] = []
    for switch in known:
        if not switch.traces:
            continue
        on = [{"visible": True}, dict(switch.on), switch.traces]
        off = [{"visible": False}, dict(switch.off), switch.traces]
        button = {"label": switch.name, "method": "update", "args": on, "args2": off}
        left = {"l": 92} if menus else {}
        menus.append(_menu([button]) | {"type": "buttons", "active": 0 if switch.there else -1, "pad": left})
    return menus


class Picker:
    """A list of the arms that are not seen; its first entry hides them again."""

    def __init__(self) -> None:
        self._picks: dict[str, list[int]] = {}
        self._packs: list[tuple[str, Sequence[Line], list[int]]] = []

    def draw(self, arm: str, traces: Sequence[int]) -> None:
        """An arm whose traces are there, and wait."""
        self._picks.setdefault(arm, []).extend(traces)

    def pack(self, arm: str, lines: Sequence[Line], traces: list[int]) -> None:
        """An arm whose numbers its entry puts into traces that many arms share."""
        self._packs.append((arm, lines, traces))

    def menus(self) -> list[dict[str, Any]]:
        """The list, or nothing where all arms are seen."""
        owned = [*self._picks.values(), *(traces for *_, traces in self._packs)]
        traces = sorted({trace for own in owned for trace in own})
        if not traces:
            return []
        none = {"label": "other arms", "method": "restyle", "args": [{"visible": False}, traces]}
        picks = [_pick(arm, [{"visible": True}, own]) for arm, own in self._picks.items()]
        packs = [_pick(arm, [_packed(lines, len(own)), own]) for arm, lines, own in self._packs]
        return [_menu([none, *picks, *packs])]


def _pick(arm: str, args: list[Any]) -> dict[str, Any]:
    return {"label": text(shortened(arm, IN_PICKER)), "method": "restyle", "args": args}


def _packed(lines: Sequence[Line], traces: int) -> dict[str, Any]:
    """What fills the waiting traces with an arm's lines."""
    missing = traces - len(lines)
    ends = [[*[""] * (len(line.epochs) - 1), text(shortened(line.arm, IN_PICKER))] for line in lines[:1]]
    looks = [hovered(line) for line in lines]
    return {
        "visible": True,
        "x": [*(line.epochs for line in lines), *[[]] * missing],
        "y": [*(line.mean for line in lines), *[[]] * missing],
        "name": [*(text(line.name) for line in lines), *[""] * missing],
        "line.dash": [*(theme.DASHES[line.split] for line in lines), *["solid"] * missing],
        "text": [*ends, *[[]] * (traces - len(ends))],
        "customdata": [*(look.get("customdata", []) for look in looks), *[[]] * missing],
        "hovertemplate": [*(look["hovertemplate"] for look in looks), *[""] * missing],
    }


def hovered(line: Line) -> dict[str, Any]:
    """The name comes from the trace, so that nothing in it can be read as a placeholder."""
    said = f"%{{fullData.name}}, epoch %{{x}}<br>%{{y:.4g}} (n={line.n})"
    if not line.low:
        return {"hovertemplate": f"{said}<extra></extra>"}
    bands = [f"{low:.4g}, {high:.4g}" for low, high in zip(line.low, line.high, strict=True)]
    return {"hovertemplate": f"{said}<br>95% band [%{{customdata}}]<extra></extra>", "customdata": bands}


def _menu(buttons: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "buttons": buttons,
        "direction": "down",
        "showactive": False,
        "x": 0,
        "xanchor": "left",
        "y": 1,
        "yanchor": "bottom",
        "bgcolor": theme.PAGE["light"],
        "bordercolor": theme.GRID["light"],
        "borderwidth": 1,
        "font": {"size": 11, "color": theme.INK["light"]},
    }
