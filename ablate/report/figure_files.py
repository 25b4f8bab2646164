"""A study's figures as PDF or SVG files, drawn by kaleido in Chromium, which is kept from every network."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.analysis.labels import labelled
from ablate.analysis.table import Table
from ablate.report.html import write_whole
from ablate.report.infos import ConfusionInfo
from ablate.report.page import slug

if TYPE_CHECKING:
    import kaleido
    import plotly.graph_objects as go

KINDS = ("pdf", "svg")
WIDTH = 600
"""Pixels, 96 to the inch: letters of 9 pt where a figure is set as wide as it is."""
TOP = 40
"""Pixels above a figure's panels, where no switches stand: room for the panels' titles."""
_NOWHERE = "http://127.0.0.1:9"
"""The browser's proxy: nothing listens there, so no request of a page is ever answered."""


class CannotDraw(Exception):
    """Why there can be no files of figures here, and what to install."""


def write_figures(tables: Sequence[Table], folder: Path, stem: str, kind: str) -> list[Path]:
    """Write each figure of the tables into `folder`, as `STEM-TABLE-FIGURE.pdf`. Raises CannotDraw."""
    try:
        import kaleido
        from choreographer.errors import ChromeNotFoundError
    except ImportError:
        raise CannotDraw("kaleido is not installed: pip install 'ablate-studies[export]'") from None
    drawn = _drawn(tables)
    try:
        browser = kaleido.Kaleido(mathjax=False, proxy_server=_NOWHERE)
    except ChromeNotFoundError:
        raise CannotDraw(
            "neither Chromium nor Chrome was found: install one, or say in BROWSER_PATH where it is"
        ) from None
    written = []
    for (name, _), data in zip(drawn, asyncio.run(_render(browser, drawn, kind)), strict=True):
        written.append(folder / f"{stem}-{name}.{kind}")
        write_whole(written[-1], data)
    return written


def _drawn(tables: Sequence[Table]) -> list[tuple[str, go.Figure]]:
    """The figures with the names of their files, each once: tables over the same arms have the same curves.

    Confusion matrices are those of tables over classes.
    """
    from ablate.report import drawing, figures

    read = [labelled(table, "short") for table in tables]
    slots = figures.colour_slots(read)
    found: dict[str, go.Figure] = {}
    seen: set[str] = set()
    for table in read:
        for info in figures.figures(table):
            matrix = isinstance(info, ConfusionInfo)
            if matrix and table.kind != "class":
                continue
            for figure, part in zip(drawing.draw(info, slots), ("counts", "shares") if matrix else ("",), strict=True):
                _as_printed(figure)
                if (text := figure.to_json()) not in seen:
                    seen.add(text)
                    found[_free("-".join(filter(None, map(slug, (table.name, info.title, part)))), found)] = figure
    return list(found.items())


def _as_printed(figure: go.Figure) -> None:
    """Leave out what is to be clicked, and lay small multiples out for a page as narrow as a file is wide."""
    figure.data = [trace for trace in figure.data if trace.visible not in ("legendonly", False)]
    for path, value in ((figure.layout.meta or {}).get("narrow") or {}).items():
        figure.layout[path] = value
    if figure.layout.updatemenus:
        figure.layout.updatemenus = ()
        figure.layout.height -= figure.layout.margin.t - TOP
        figure.layout.margin.t = TOP


def _free(name: str, taken: Container[str]) -> str:
    """`name`, or `name-2` and so on where that is taken."""
    return next(each for each in chain([name], (f"{name}-{n}" for n in count(2))) if each not in taken)


async def _render(browser: kaleido.Kaleido, drawn: Sequence[tuple[str, go.Figure]], kind: str) -> list[bytes]:
    async with browser:
        return [
            await browser.calc_fig(figure, {"format": kind, "width": WIDTH, "height": figure.layout.height})
            for _, figure in drawn
        ]
