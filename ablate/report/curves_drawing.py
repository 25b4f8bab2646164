"""Draws curves as small multiples with Plotly: labels at the ends of lines, switches for bands and training, a picker.

A page narrower than `NARROW_PAGE` sets what `layout.meta.narrow` says before it draws: the panels below each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from ablate.report import theme
from ablate.report.controls import IN_PICKER, Picker, Switch, hovered, switches
from ablate.report.infos import CurvesInfo, Line, Panel
from ablate.report.plotly_text import hover, shortened, spread, text

ALONE, BESIDE = 330, 210
"""Pixels that a panel is high, alone and as one of several."""
NARROW_PAGE = 900
"""Pixels of a figure below which panels stand below each other, and by which the room between those beside is measured."""
LETTER, LINE_OF_TEXT = 6.4, 14
"""Pixels of a letter at a line's end, and of the space that it takes in height."""
AT_END = 18
"""Characters of a name at a line's end; the hover has all of it."""
TITLE, SWITCHES, TICKS = 26, 36, 46
"""Pixels above and below a panel."""


def draw_curves(info: CurvesInfo, slots: Mapping[str, int]) -> go.Figure:
    """Means by epoch: colour and marker are the arm, dash the split, diamonds the paper's figures."""
    drawing = _Curves(info, slots)
    for number, panel in enumerate(info.panels, 1):
        drawing.add_panel(number, panel)
    return drawing.finished()


class _Curves:
    def __init__(self, info: CurvesInfo, slots: Mapping[str, int]) -> None:
        self._info, self._slots = info, slots
        labels = dict.fromkeys(line.label for line in info.lines) if len(info.panels) > 1 else {}
        self._hues = {
            label: place for place, label in enumerate(labels, 1)
        }  # what panels share looks alike in all of them
        self._data: list[dict[str, Any]] = []
        self._labels: list[dict[str, Any]] = []
        self._wider: list[float] = []
        self._bands: list[int] = []
        self._second: list[int] = []
        self._picks = Picker()
        count = max(len(info.panels), 1)
        self._across = count if count <= 3 else 2 if count == 4 else 3
        self._high = ALONE if count == 1 else BESIDE
        longest = max((len(shortened(end, AT_END)) for panel in info.panels for end in panel.ends), default=0)
        self._right = round(16 + LETTER * longest)

    def add_panel(self, number: int, panel: Panel) -> None:
        axes = {"xaxis": f"x{number}" if number > 1 else "x", "yaxis": f"y{number}" if number > 1 else "y"}
        lines = self._info.lines
        for place in panel.shown:
            self._add(lines[place], panel, axes, visible=True)
        self._label_ends(panel, axes)
        for place in panel.second:
            self._second += self._add(lines[place], panel, axes, visible=False)
        arms: dict[str, list[Line]] = {}
        for place in panel.others:
            arms.setdefault(lines[place].arm, []).append(lines[place])
        if self._info.packed:
            self._add_packed(arms, axes)
            return
        for arm, own in arms.items():
            for line in own:
                self._picks.draw(arm, self._add(line, panel, axes, visible=False, named=line is own[0]))

    def _look(self, line: Line, panel: Panel) -> tuple[str, str]:
        slot = 0 if line.arm == panel.baseline else self._hues.get(line.label) or self._slots.get(line.arm, 1)
        return theme.colour(slot), theme.symbol(slot)

    def _add(
        self,
        line: Line,
        panel: Panel,
        axes: dict[str, str],
        *,
        visible: bool,
        named: bool = False,
    ) -> list[int]:
        """The traces of a line, and their numbers."""
        colour, symbol = self._look(line, panel)
        first = len(self._data)
        if visible and line.low:
            self._bands.append(first)
            self._data.append(self._band(line, colour) | axes)
        points = len(line.epochs)
        trace: dict[str, Any] = {
            "type": "scatter",
            "x": line.epochs,
            "y": line.mean,
            "mode": "lines+markers" if points <= 20 else "lines",
            "name": text(line.name),
            "line": {"color": colour, "width": 2, "dash": theme.DASHES[line.split]},
            "marker": {"color": colour, "size": 5 if points > 1 else 8, "symbol": symbol},
            **hovered(line),
            **axes,
        }
        if named:  # picked lines carry their names: the room at the ends is for those that are always there
            trace |= {"mode": f"{trace['mode']}+text", "textposition": "top left", "textfont": {"color": colour}}
            trace["text"] = [*[""] * (points - 1), text(shortened(line.name.rpartition(", ")[0], IN_PICKER))]
        if not visible:
            trace["visible"] = False
        self._data.append(trace)
        if line.reported:
            self._data.append(_reported(line, colour) | axes | ({} if visible else {"visible": False}))
        return list(range(first, len(self._data)))

    def _band(self, line: Line, colour: str) -> dict[str, Any]:
        low, high = self._both_limits()[0]
        edge = [*line.high, *reversed(line.low)]
        return {
            "type": "scatter",
            "x": [*line.epochs, *reversed(line.epochs)],
            "y": [min(max(value, low), high) for value in edge],
            "fill": "toself",
            "fillcolor": colour,
            "line": {"width": 0},
            "opacity": 0.16,
            "visible": self._info.bands,
            "hoverinfo": "skip",
            "mode": "lines",
        }

    def _label_ends(self, panel: Panel, axes: dict[str, str]) -> None:
        named = [(self._info.lines[place], end) for place, end in zip(panel.shown, panel.ends, strict=True) if end]
        shifts, wider = (self._shifts([line for line, _ in named], limits) for limits in self._both_limits())
        for (line, end), shift, other in zip(named, shifts, wider, strict=True):
            self._wider.append(other)
            self._labels.append(
                {
                    "x": line.epochs[-1],
                    "y": self._scale(line.mean[-1]),
                    "xref": axes["xaxis"],
                    "yref": axes["yaxis"],
                    "xanchor": "left",
                    "xshift": 6,
                    "yshift": shift,
                    "text": text(shortened(end, AT_END)),
                    "showarrow": False,
                    "font": {"size": 11, "color": self._look(line, panel)[0]},
                }
            )

    def _both_limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        limits = self._info.limits or (1.0, 2.0)
        return limits, self._info.wider or limits

    def _scale(self, value: float) -> float:
        return math.log10(value) if self._info.log else value

    def _shifts(self, lines: Sequence[Line], limits: tuple[float, float]) -> list[float]:
        """How many pixels above its line's end each label stands, so that none covers another."""
        low, high = map(self._scale, limits)
        at = [(self._scale(line.mean[-1]) - low) / ((high - low) or 1.0) * self._high for line in lines]
        return [round(moved - own, 1) for own, moved in zip(at, spread(at, LINE_OF_TEXT, self._high), strict=True)]

    def _axis(self, *, wider: bool) -> dict[str, Any]:
        """What the switch of the second lines changes: the axis of all panels, and the labels that it moves."""
        limits = self._both_limits()[wider]
        if self._info.wider == self._info.limits:
            return {}
        names = ["yaxis", *(f"yaxis{number}" for number in range(2, len(self._info.panels) + 1))]
        first = sum(bool(panel.title) for panel in self._info.panels)
        shifts = self._wider if wider else [label["yshift"] for label in self._labels]
        moved = {f"annotations[{first + place}].yshift": shift for place, shift in enumerate(shifts)}
        return {f"{name}.range": [self._scale(limit) for limit in limits] for name in names} | moved

    def _add_packed(self, arms: Mapping[str, list[Line]], axes: dict[str, str]) -> None:
        """Empty traces, which the page's own picker fills."""
        first = len(self._data)
        most = max(map(len, arms.values()), default=0)
        style = {"color": theme.INK["light"], "width": 2}
        self._data += [
            {
                "type": "scatter",
                "x": [],
                "y": [],
                "mode": "lines+markers+text",
                "textposition": "top left",
                "line": style,
            }
            | {"marker": {"color": theme.INK["light"], "size": 5}, "visible": False, **axes}
            for _ in range(most)
        ]
        for arm, own in arms.items():
            self._picks.pack(arm, own, list(range(first, first + most)))

    def finished(self) -> go.Figure:
        bands = Switch("95% bands", self._bands, self._info.bands)
        second = Switch(self._info.second, self._second, False, self._axis(wider=True), self._axis(wider=False))
        menus = switches([bands, second])
        picker = self._picks.menus()
        titled = TITLE if any(panel.title for panel in self._info.panels) else 0
        for menu in (*menus, *picker):
            menu["pad"] = {**menu.get("pad", {}), "b": titled + 4 + (SWITCHES if menus and menu in picker else 0)}
        top = 12 + titled + SWITCHES * (bool(menus) + bool(picker))
        wide, narrow = self._layout(self._across), self._layout(1)
        outside = top + TICKS
        figure = go.Figure(
            data=self._data,
            layout={
                "template": theme.template("light"),
                "height": outside + self._rows(self._across),
                "showlegend": False,
                "margin": {"t": top, "r": self._right, "b": TICKS},
                "annotations": [*self._titles(), *self._labels],
                "updatemenus": [*menus, *picker],
                **wide,
            },
        )
        meta: dict[str, Any] = {}
        if len(self._info.panels) > 1:
            changed = {f"{axis}.{key}": value for axis, own in narrow.items() for key, value in own.items()}
            same = {f"{axis}.{key}": value for axis, own in wide.items() for key, value in own.items()}
            differs = {path: value for path, value in changed.items() if same.get(path) != value}
            meta["narrow"] = {**differs, "height": outside + self._rows(1)}
        if packed := self._picks.packed():
            meta["picker"] = packed
        if meta:
            figure.layout.meta = meta
        return figure

    def _rows(self, across: int) -> int:
        """Pixels that the panels take with what stands between them."""
        down = -(-max(len(self._info.panels), 1) // across)
        return down * self._high + (down - 1) * (TITLE + TICKS)

    def _layout(self, across: int) -> dict[str, dict[str, Any]]:
        """The axes of all panels, so many beside each other."""
        info, axes = self._info, {}
        between = (self._right + 16) / (NARROW_PAGE - self._right - 60)
        width = (1 - (across - 1) * between) / across
        total, count = self._rows(across), len(info.panels)
        epochs = [epoch for line in info.lines for epoch in line.epochs] or [0]
        first, last = min(epochs), max(epochs)
        room = 0.03 * (last - first) or 0.5
        name = text(info.title.removesuffix(" by epoch"))
        for place in range(max(count, 1)):
            down, right = divmod(place, across)
            left, above = right * (width + between), down * (self._high + TITLE + TICKS)
            number = str(place + 1) if place else ""
            axes[f"xaxis{number}"] = {
                "domain": [round(left, 4), round(left + width, 4)],
                "anchor": f"y{number}",
                "range": [first - room, last + room],
                "title": {"text": "epoch" if place + across >= count else ""},
                **({"dtick": 1} if last - first <= 12 else {}),  # there is no epoch 1.2
            }
            axes[f"yaxis{number}"] = {
                "domain": [round(1 - (above + self._high) / total, 4), round(1 - above / total, 4)],
                "anchor": f"x{number}",
                "title": {"text": "" if right else f"{name} (log)" if info.log else name},
                "showticklabels": not right,
                **({"matches": "y"} if place else {}),
                **({"type": "log"} if info.log else {}),
                **({"range": [self._scale(limit) for limit in info.limits]} if info.limits else {}),
            }
        return axes

    def _titles(self) -> list[dict[str, Any]]:
        return [
            {
                "x": 0,
                "y": 1,
                "xref": f"x{number if number > 1 else ''} domain",
                "yref": f"y{number if number > 1 else ''} domain",
                "xanchor": "left",
                "yanchor": "bottom",
                "yshift": 4,
                "text": f"<b>{text(shortened(panel.title, 2 * AT_END))}</b>",
                "showarrow": False,
                "font": {"size": 12},
            }
            for number, panel in enumerate(self._info.panels, 1)
            if panel.title
        ]


def _reported(line: Line, colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": [epoch for epoch, _ in line.reported],
        "y": [value for _, value in line.reported],
        "mode": "markers",
        "name": f"{text(line.name)}, reported",
        "marker": theme.diamond(colour),
        "hovertext": [hover(f"{line.name}, epoch {epoch}\nreported {value:.6g}") for epoch, value in line.reported],
        "hoverinfo": "text",
    }
