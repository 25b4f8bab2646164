"""Colours and Plotly templates, light and dark.

Eight colours a theme, in the same order of hues, so that a page can swap one list for the other. Slot 0 is a grey, for
the baseline. They were picked by search: every pair stays apart for people with deuteranopia and protanopia (a CIE76
distance of at least 24 under Machado's matrices), and each has a contrast of at least 3 with its page. Seven hues times
eight markers are 56 arms that never look alike, beside the baseline.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import plotly.graph_objects as go

LIGHT = ("#7a828c", "#2f76e9", "#d67c00", "#2b6743", "#a47ec8", "#9f4700", "#4a2a8c", "#6d0c00")
DARK = ("#8d96a3", "#51caff", "#eb7c19", "#8feabd", "#a147a8", "#f0ee7a", "#7b74f9", "#d94b51")
PAGE = {"light": "#ffffff", "dark": "#14171c"}
"""The page's background, which figures let through."""

DASHES = {"": "solid", "test": "solid", "val": "dash", "train": "dot"}
SYMBOLS = ("circle", "square", "triangle-up", "x", "star", "triangle-down", "cross", "bowtie")

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
INK = {"light": "#1d2127", "dark": "#e4e7eb"}
"""Text and the paper's markers. Drawn figures name the light colours; a page in the dark swaps them."""
MUTED = {"light": "#5b636e", "dark": "#a3abb6"}
GRID = {"light": "#e6e8eb", "dark": "#2b3037"}
_SCALE = {
    "light": ((0.0, "#ffffff"), (0.05, "#deeaf7"), (0.35, "#8fbce8"), (0.7, "#2f7fd0"), (1.0, "#0d3561")),
    "dark": ((0.0, "#14171c"), (0.05, "#1c2c40"), (0.35, "#23558a"), (0.7, "#4aa3ee"), (1.0, "#dcefff")),
}


def colour(slot: int) -> str:
    """The light colour of a slot; after the eighth they begin again at the second, for grey is the baseline's."""
    return LIGHT[slot] if slot < len(LIGHT) else LIGHT[1 + (slot - 1) % (len(LIGHT) - 1)]


def symbol(slot: int) -> str:
    """The marker of a slot, another one for each turn of the colours: 56 arms beside the baseline never look alike."""
    return SYMBOLS[(max(slot - 1, 0) // (len(LIGHT) - 1)) % len(SYMBOLS)]


def diamond(colour: str) -> dict[str, Any]:
    """The marker of a paper's figure."""
    return {"symbol": "diamond-open", "size": 11, "color": colour, "line": {"width": 2}}


def swaps() -> dict[str, str]:
    """Light colours to dark ones, for all that a figure names itself."""
    pairs = [*zip(LIGHT, DARK, strict=True), (INK["light"], INK["dark"]), (MUTED["light"], MUTED["dark"])]
    pairs += [(GRID["light"], GRID["dark"])]
    return dict([*pairs, (PAGE["light"], PAGE["dark"])])


@cache
def template(mode: str) -> go.layout.Template:
    """The template of `light` or `dark`: no frame, hairline grid, transparent ground."""
    axis: dict[str, Any] = {
        "gridcolor": GRID[mode],
        "zerolinecolor": GRID[mode],
        "linecolor": GRID[mode],
        "tickfont": {"color": MUTED[mode], "size": 12},
        "title": {"font": {"color": MUTED[mode], "size": 12}, "standoff": 10},
        "automargin": True,
        "zeroline": False,
        "ticklabelstandoff": 4,
    }
    clear = "rgba(0,0,0,0)"
    layout = go.Layout(
        font={"family": FONT, "size": 13, "color": INK[mode]},
        paper_bgcolor=clear,
        plot_bgcolor=clear,
        colorway=LIGHT if mode == "light" else DARK,
        colorscale={"sequential": _SCALE[mode]},
        xaxis=axis,
        yaxis=axis,
        margin={"l": 8, "r": 16, "t": 8, "b": 8},
        hoverlabel={
            "bgcolor": PAGE[mode],
            "bordercolor": MUTED[mode],
            "font": {"family": FONT, "size": 12, "color": INK[mode]},
            "align": "left",
        },
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"color": MUTED[mode], "size": 12}},
        hovermode="closest",
        modebar={"bgcolor": clear, "color": GRID[mode], "activecolor": MUTED[mode]},
    )
    return go.layout.Template(layout=layout)


def page_theme() -> dict[str, Any]:
    """What a page needs to draw in either mode, JSON-ready: `light` and `dark` templates, and the `swaps`."""
    return {mode: template(mode).to_plotly_json() for mode in ("light", "dark")} | {"swaps": swaps()}
