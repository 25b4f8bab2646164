"""LOOK: frozen tables in; HTML, Markdown, LaTeX, CSV and JSON out. Plotly lives here.

`render` gives one table as text; `ablate.report.html.render_html` a page of tables with figures,
`ablate.report.terminal.print_table` a table for a terminal.
"""

from __future__ import annotations

from importlib import import_module

from ablate.analysis.table import Table
from ablate.errors import UsageError, nearest

FORMATS = ("md", "latex", "csv", "json")
"""What `render` knows. HTML is a page of several tables, so it has a function of its own."""

_MODULES = {"md": "markdown", "latex": "latex", "csv": "csv", "json": "json"}

__all__ = ["FORMATS", "render"]


def render(table: Table, fmt: str) -> str:
    """`table` as text in one of `FORMATS`, ending in a newline.

    Each format is imported when it is asked for, and none of them imports Plotly. Raises `UsageError` for another one.
    """
    if fmt not in _MODULES:
        raise UsageError(
            f"unknown format {fmt!r}; allowed: html, {', '.join(FORMATS)}.{nearest(fmt, (*FORMATS, 'html'))}"
        )
    text: str = import_module(f"ablate.report.{_MODULES[fmt]}").render(table)
    return text
