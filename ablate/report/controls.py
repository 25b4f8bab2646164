"""What is clicked in a figure of curves: switches that turn lines over, and a picker of arms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ablate.report import format as fmt
from ablate.report import theme
from ablate.report.infos import Line
from ablate.report.packing import pack
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
        """The list of arms that are drawn, or nothing where all of them are seen."""
        traces = sorted({trace for own in self._picks.values() for trace in own})
        if not traces:
            return []
        none = {"label": "other arms", "method": "restyle", "args": [{"visible": False}, traces]}
        picks = [_pick(arm, [{"visible": True}, own]) for arm, own in self._picks.items()]
        return [_menu([none, *picks])]

    def packed(self) -> dict[str, Any]:
        """What the page makes its own list of, for arms that are too many to be drawn; empty where there are none.

        `epochs` are the distinct ones, `arms` are [name, place of the first trace, lines], a line [metric, dash, n, place in
        `epochs`, means and the upper end of their band as `pack` has them].
        """
        if not self._packs:
            return {}
        epochs: dict[tuple[int, ...], int] = {}
        arms = []
        for arm, lines, traces in self._packs:
            told = []
            for line in lines:
                place = epochs.setdefault(tuple(line.epochs), len(epochs))
                values = pack([*line.mean, *line.high]) or []
                told.append([line.name.rpartition(", ")[2], theme.DASHES[line.split], line.n, place, *values])
            arms.append([fmt.plain(arm), traces[0], told])
        owned = sorted({trace for *_, traces in self._packs for trace in traces})
        return {"traces": owned, "epochs": list(epochs), "arms": arms}


def _pick(arm: str, args: list[Any]) -> dict[str, Any]:
    return {"label": text(shortened(arm, IN_PICKER)), "method": "restyle", "args": args}


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
