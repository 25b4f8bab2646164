"""LOOK: frozen tables in; HTML, Markdown, LaTeX, CSV and JSON out. Plotly lives here.

`render` gives one table as text; `ablate.report.html.render_html` a page of tables with figures,
`ablate.report.terminal.print_table` a table for a terminal. `formats/` holds what `--format` knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.errors import UsageError
from ablate.parts.discover import Catalog
from ablate.report.declare import Format, StudyReport

if TYPE_CHECKING:
    from ablate.analysis.table import Table

FORMATS = Catalog("format", Format, "ablate.report.formats", "ablate.formats", "FORMAT")

__all__ = ["FORMATS", "render"]


def render(table: Table, fmt: str) -> str:
    """`table` as text in a format of studies, ending in a newline.

    Each format is imported when it is asked for, and only that of HTML imports Plotly. Raises `UsageError` for another one.
    """
    found = FORMATS.get(fmt)
    if found.study is None:
        raise UsageError(f"the format {fmt!r} is for tunings, not for study tables.")
    return found.study(StudyReport(tables=[table], title=table.study))
