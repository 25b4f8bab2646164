"""Draws the infos of `ablate.report.infos` with Plotly. No numbers are made here.

Figures name the light theme's colours; a page in the dark swaps them for the dark ones (`theme.swaps`). Text that comes
from names is escaped, since Plotly reads a small HTML in labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ablate.report import theme
from ablate.report.against_drawing import draw_against
from ablate.report.costs_drawing import draw_cost
from ablate.report.curves_drawing import draw_curves
from ablate.report.infos import (
    AgainstInfo,
    BarsInfo,
    ConfusionInfo,
    CostInfo,
    CurvesInfo,
    EffectsInfo,
    GroupsInfo,
    Info,
)
from ablate.report.plotly_text import errors, hover, short, text, unique

ROW = 30
"""Pixels that a row of bars, dots or effects takes; less in a figure that would be taller than `TALL`."""
MIN_ROW, TALL = 14, 900
BELOW = 0.19
"""Rows by which single runs stand below their mean."""
LARGE = 40
"""Confusion matrices of more classes are drawn across the page."""
WRITTEN = 12
"""Confusion matrices of at most so many classes have their numbers written into the cells."""

Slots = Mapping[str, int]


def draw(info: Info, slots: Slots) -> tuple[go.Figure, ...]:
    """The figures of an info: one, or two for a confusion matrix (counts, shares). `slots` colours the arms."""
    if isinstance(info, BarsInfo):
        return (draw_bars(info, slots),)
    if isinstance(info, GroupsInfo):
        return (draw_groups(info, slots),)
    if isinstance(info, CurvesInfo):
        return (draw_curves(info, slots),)
    if isinstance(info, EffectsInfo):
        return (draw_effects(info),)
    if isinstance(info, CostInfo):
        return (draw_cost(info, slots),)
    if isinstance(info, AgainstInfo):
        return (draw_against(info),)
    return (draw_confusion(info, shares=False), draw_confusion(info, shares=True))


def draw_bars(info: BarsInfo, slots: Slots) -> go.Figure:
    """Horizontal bars from zero, or dots where those would hide the differences, with 95% intervals.

    The paper's figures are open diamonds at the same row, the baseline's mean is a dotted line.
    """
    places = list(range(len(info.labels)))
    figure = _figure(len(places), _rows_axis(info.labels), {"title": {"text": short(info.axis)}})
    if info.from_zero:
        figure.update_xaxes(rangemode="tozero")
    own = [slots.get(arm, 1) for arm in info.arms]
    colours = [theme.colour(slot) for slot in own]
    shared: dict[str, Any] = {
        "x": info.mean,
        "y": places,
        "error_x": errors(info.mean, info.low, info.high),
        "hovertext": [hover(lines) for lines in info.hover],
        "hoverinfo": "text",
        "showlegend": False,
        "name": "measured",
    }
    _add_singles(figure, info)
    if info.from_zero:
        figure.add_bar(orientation="h", marker={"color": colours}, width=0.62, **shared)
    else:
        figure.add_scatter(
            mode="markers", marker={"color": colours, "size": 10, "symbol": list(map(theme.symbol, own))}, **shared
        )
    if info.baseline is not None:
        figure.add_vline(
            x=info.baseline, line={"color": theme.MUTED["light"], "width": 1, "dash": "dot"}, layer="below"
        )
    _add_reported(figure, info, places)
    _add_notes(figure, info, places)
    return figure


def _add_singles(figure: go.Figure, info: BarsInfo) -> None:
    """A dot for each run behind a mean, where there are several: a little below it, clear of the interval."""
    points = [(value, place + BELOW) for place, own in enumerate(info.singles) if len(own) > 1 for value in own]
    if not points:
        return
    figure.add_scatter(
        x=[value for value, _ in points],
        y=[place for _, place in points],
        mode="markers",
        name="single runs",
        marker={"color": theme.PAGE["light"], "size": 6, "line": {"color": theme.INK["light"], "width": 1}},
        hovertemplate="one run: %{x:.6g}<extra></extra>",
        showlegend=False,
    )


def _add_reported(figure: go.Figure, info: BarsInfo, places: Sequence[int]) -> None:
    points = [(value, place) for value, place in zip(info.reported, places, strict=True) if value is not None]
    if not points:
        return
    figure.update_layout(showlegend=True)
    figure.add_scatter(
        x=[value for value, _ in points],
        y=[place for _, place in points],
        mode="markers",
        name="reported by the paper",
        marker=theme.diamond(theme.INK["light"]),
        hovertext=[hover(info.hover[place]) for _, place in points],
        hoverinfo="text",
        showlegend=True,
    )


def _add_notes(figure: go.Figure, info: BarsInfo, places: Sequence[int]) -> None:
    """Why a row is empty: at the left end, or at the right one where the paper's marker stands left."""
    values = [value for value in (*info.mean, *info.reported) if value is not None] or [0.0]
    middle = (min(values) + max(values)) / 2
    for place, note in zip(places, info.notes, strict=True):
        if note:
            style = {"color": theme.MUTED["light"], "size": 12}
            marker = info.reported[place]
            right = marker is not None and marker < middle
            figure.add_annotation(
                x=int(right),
                xref="paper",
                xanchor="right" if right else "left",
                xshift=-6 if right else 6,
                y=place,
                text=short(note),
                showarrow=False,
                font=style,
            )


def draw_groups(info: GroupsInfo, slots: Slots) -> go.Figure:
    """Dots with intervals by level, the rows side by side within each level."""
    step = (0.12 if info.joined else 0.6) / max(len(info.series), 1)
    figure = _figure(10, {"title": {"text": short(info.axis)}}, _ticks([short(level) for level in info.levels]))
    figure.update_layout(showlegend=True, xaxis_title_text=short(info.across))
    for place, series in enumerate(info.series):
        slot = slots.get(series.arms[0], place + 1) if series.arms else place + 1
        at = [level + (place - (len(info.series) - 1) / 2) * step for level in range(len(info.levels))]
        figure.add_scatter(
            x=at,
            y=series.mean,
            mode="lines+markers" if info.joined else "markers",
            line={"color": theme.colour(slot), "width": 1.5},
            name=text(series.title),
            error_y=errors(series.mean, series.low, series.high),
            marker={"color": theme.colour(slot), "size": 9, "symbol": theme.symbol(slot)},
            hovertext=[hover(lines) for lines in series.hover],
            hoverinfo="text",
        )
        if any(value is not None for value in series.reported):
            figure.add_scatter(
                x=at,
                y=series.reported,
                mode="markers",
                name=f"{text(series.title)}, reported",
                marker=theme.diamond(theme.colour(slot)),
                hoverinfo="skip",
            )
    return figure


def draw_effects(info: EffectsInfo) -> go.Figure:
    """Effects around zero with their intervals; decided ones are filled, the rest is open."""
    figure = _figure(len(info.labels), _rows_axis(info.labels), {"title": {"text": text(info.title)}})
    figure.update_layout(showlegend=True)
    figure.add_vline(x=0, line={"color": theme.MUTED["light"], "width": 1}, layer="below")
    for decided, name in ((True, "decided"), (False, "undecided")):
        chosen = [
            p for p, (d, e) in enumerate(zip(info.decided, info.effect, strict=True)) if d == decided and e is not None
        ]
        if not chosen:
            continue
        colour = theme.LIGHT[1]
        figure.add_scatter(
            x=[info.effect[p] for p in chosen],
            y=chosen,
            mode="markers",
            name=name,
            showlegend=True,
            error_x=errors(*([values[p] for p in chosen] for values in (info.effect, info.low, info.high))),
            marker={
                "color": colour if decided else theme.PAGE["light"],
                "size": 10,
                "line": {"color": colour, "width": 2},
            },
            hovertext=[hover(info.hover[p]) for p in chosen],
            hoverinfo="text",
        )
    return figure


_CATEGORIES = {"type": "category", "constrain": "domain", "constraintoward": "left", "showgrid": False, "ticks": ""}
_CONFUSION_AXES = {
    "xaxis": {**_CATEGORIES, "title": {"text": "predicted"}},
    "yaxis": {
        **_CATEGORIES,
        "constraintoward": "top",
        "title": {"text": "true"},
        "autorange": "reversed",
        "scaleanchor": "x",
    },
}


def draw_confusion(info: ConfusionInfo, *, shares: bool) -> go.Figure:
    """True classes down, predicted ones across. Hover names every cell; small matrices have their numbers written.

    The axes are categories, whose labels Plotly thins out by itself and brings back on zooming in.
    """
    small = len(info.classes) <= WRITTEN
    names = unique([short(name) for name in info.classes])
    # arrays, not lists: Plotly looks at every item of a list, a second for two matrices of a hundred classes
    counts = np.array(info.counts)
    rates = np.array(info.shares, dtype=np.float32)  # None becomes NaN, an empty cell
    own, other = (rates, counts) if shares else (counts, rates)
    cell = "%{z:.1%} (%{customdata})" if shares else "%{z} (%{customdata:.1%} of the class)"
    figure = go.Figure(
        layout={
            "template": theme.template("light"),
            "height": 440 if small else 560 if len(info.classes) <= LARGE else 820,
        }
    )
    figure.update_layout(_CONFUSION_AXES)
    figure.add_heatmap(
        z=own,
        x=names,
        y=names,
        customdata=other,
        zmin=0,
        zmax=1 if shares else max((max(row) for row in info.counts), default=0) or 1,
        hovertemplate=f"true %{{y}}<br>predicted %{{x}}<br>{cell}<extra></extra>",
        texttemplate=("%{z:.2f}" if shares else "%{z}") if small else None,
        xgap=1 if small else 0,
        ygap=1 if small else 0,
        autocolorscale=True,  # the template's own scale, light or dark
        colorbar={
            "thickness": 10,
            "outlinewidth": 0,
            "tickformat": ".0%" if shares else None,
            "tickfont": {"color": theme.MUTED["light"]},
        },
    )
    return figure


def _figure(rows: int, yaxis: Mapping[str, Any], xaxis: Mapping[str, Any]) -> go.Figure:
    return go.Figure(
        layout={
            "template": theme.template("light"),
            "height": 90 + round(max(rows, 2) * max(MIN_ROW, min(ROW, TALL / max(rows, 2)))),
            "xaxis": xaxis,
            "yaxis": yaxis,
            "showlegend": False,
        }
    )


def _rows_axis(labels: Sequence[str]) -> dict[str, Any]:
    """An axis of rows from top to bottom."""
    return {**_ticks([short(label) for label in labels]), "range": [len(labels) - 0.4, -0.6], "showgrid": False}


def _ticks(labels: Sequence[str]) -> dict[str, Any]:
    # numbers with texts, not categories: two rows may have one label, and "1" must not become a number
    return {"tickmode": "array", "tickvals": list(range(len(labels))), "ticktext": list(labels)}
