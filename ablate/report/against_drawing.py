"""Draws a paper's figures against ours: on the diagonal they are the same."""

from __future__ import annotations

import plotly.graph_objects as go

from ablate.report import theme
from ablate.report.infos import AgainstInfo
from ablate.report.plotly_text import hover, text

HIGH = 380


def draw_against(info: AgainstInfo) -> go.Figure:
    """A dot a pair, filled where the two agree; colour and marker are the column."""
    limits = list(info.limits)
    figure = go.Figure(
        layout={
            "template": theme.template("light"),
            "height": HIGH,
            "showlegend": len(info.series) > 1,
            "xaxis": {"title": {"text": "reported by the paper"}, "range": limits},
            "yaxis": {"title": {"text": "measured"}, "range": limits},
        }
    )
    figure.add_scatter(
        x=limits,
        y=limits,
        mode="lines",
        line={"color": theme.MUTED["light"], "width": 1, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
        name="the same",
    )
    for slot, series in enumerate(info.series, 1):
        colour, symbol = theme.colour(slot), theme.SYMBOLS[(slot - 1) % len(theme.SYMBOLS)]
        figure.add_scatter(
            x=series.paper,
            y=series.ours,
            mode="markers",
            name=text(series.name),
            marker={
                "color": colour,
                "size": 9,
                "symbol": [symbol if agrees else f"{symbol}-open" for agrees in series.agrees],
            },
            hovertext=[hover(lines) for lines in series.hover],
            hoverinfo="text",
        )
    return figure
