"""Draws what arms cost and bring: a dot an arm, a thin line through those that no other beats in both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from ablate.report import theme
from ablate.report.infos import CostInfo
from ablate.report.plotly_text import hover, short, shortened, spread, text

HIGH, LINE_OF_TEXT, RIGHT = 300, 14, 120
"""Pixels of the figure's height, of a label's, and of the room for labels at the right."""
ABOVE = 12
"""Pixels from a dot up to its label."""
NAMED = 18
"""Characters of a label; the hover has all of it."""


def draw_cost(info: CostInfo, slots: Mapping[str, int]) -> go.Figure:
    """Arms by colour and marker; those of the line have their names, moved so that none covers another."""
    figure = go.Figure(
        layout={
            "template": theme.template("light"),
            "height": HIGH + 56,
            "margin": {"t": 10, "b": 46, "r": RIGHT},
            "showlegend": False,
            "xaxis": {"title": {"text": "seconds of a run"}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": short(info.axis)}, "range": list(info.limits)},
            "annotations": _labels(info),
        }
    )
    figure.add_scatter(
        x=[info.seconds[place] for place in info.front],
        y=[info.value[place] for place in info.front],
        mode="lines",
        name="front",
        line={"color": theme.MUTED["light"], "width": 1},
        hoverinfo="skip",
    )
    own = [slots.get(arm, 1) for arm in info.arms]
    figure.add_scatter(
        x=info.seconds,
        y=info.value,
        mode="markers",
        name="arms",
        marker={
            "color": [theme.colour(slot) for slot in own],
            "size": 9,
            "symbol": [theme.symbol(slot) for slot in own],
        },
        hovertext=[hover(lines) for lines in info.hover],
        hoverinfo="text",
    )
    return figure


def _labels(info: CostInfo) -> list[dict[str, Any]]:
    low, high = info.limits
    # above its dot: what is dearer and no better lies below
    at = [(info.value[place] - low) / (high - low) * HIGH for place in info.front]
    moved = spread([own + ABOVE for own in at], LINE_OF_TEXT, HIGH)
    return [
        {
            "x": info.seconds[place],
            "y": info.value[place],
            "xanchor": "left",
            "xshift": -4,
            "yshift": round(to - own, 1),
            "text": text(shortened(info.labels[place], NAMED)),
            "showarrow": False,
            "font": {"size": 11, "color": theme.MUTED["light"]},
        }
        for place, own, to in zip(info.front, at, moved, strict=True)
    ]
