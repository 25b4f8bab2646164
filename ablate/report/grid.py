"""A `Table` as a grid of text cells: what Markdown, LaTeX and the terminal share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ablate.analysis.table import Column, Row, Table
from ablate.report import format as fmt

PARTS = ("value", "delta", "total", "p", "reported")
"""What a metric is printed as, in this order; a part that no row has is left out."""


@dataclass(frozen=True)
class Head:
    """`group` is the metric's heading, empty over the rows' labels; `part` is one of `PARTS`, or `label`."""

    group: str
    text: str
    part: str


@dataclass(frozen=True)
class GridCell:
    """`bold` only where the difference is decided."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class GridRow:
    cells: tuple[GridCell, ...]
    is_baseline: bool = False


@dataclass(frozen=True)
class Grid:
    """Header and rows of the same length. Cells are plain text: escaping is each format's own.

    `has_width` says whether the widths of the agreement intervals are printed.
    """

    heads: tuple[Head, ...]
    rows: tuple[GridRow, ...]
    has_width: bool = True


def parts_of(table: Table, column: Column, parts: Iterable[str] = PARTS) -> tuple[str, ...]:
    """Those of `parts` that some row of the column has."""
    wanted = set(parts)
    return tuple(part for part in PARTS if part in wanted and _has(table, column, part))


def _has(table: Table, column: Column, part: str) -> bool:
    cells = [row.cell(column.key) for row in table.rows]
    differs = any(fmt.known(cell.delta) for cell in cells)
    if table.kind == "effect" and not differs:
        # an effect may come as a mean with its interval: it is printed as the difference that it is
        return part == "delta" or (part == "p" and any(fmt.known(cell.p_adjusted) for cell in cells))
    present: Mapping[str, bool] = {
        "value": table.kind != "effect" or any(fmt.known(cell.mean) for cell in cells),
        "delta": differs,
        "total": any(fmt.known(cell.total) for cell in cells),
        "p": differs,
        "reported": any(fmt.known(cell.reported) for cell in cells),
    }
    return present[part]


def grid(
    table: Table,
    *,
    columns: Sequence[Column] | None = None,
    parts: Iterable[str] = PARTS,
    compact: bool = False,
    width: bool = True,
) -> Grid:
    """The table as text.

    `columns` restricts it to some of the table's columns. `compact` leaves to `format.legend` and
    `format.notes_of_cells` what those say once: n, notes, and the word undecided. `width` prints the width of the
    agreement interval beside agrees and differs.
    """
    parts = tuple(parts)
    shown = [(column, parts_of(table, column, parts)) for column in (table.columns if columns is None else columns)]
    heads = [Head("", text, "label") for text in fmt.row_headings(table)]
    heads += [Head(fmt.heading(column), _head(table, part), part) for column, own in shown for part in own]
    common_n = (fmt.shared_n(table) or 0) if compact else None
    rows = []
    for row in table.rows:
        cells = [GridCell(label) for label in fmt.row_labels(table, row)]
        for column, own in shown:
            cell = row.cell(column.key)
            bold = ("delta" if "delta" in own else "value") if cell.decided else ""
            cells += [GridCell(_text(table, row, column, part, common_n, width), part == bold) for part in own]
        rows.append(GridRow(tuple(cells), row.is_baseline))
    return Grid(tuple(heads), tuple(rows), width)


def _head(table: Table, part: str) -> str:
    if part == "reported" and not table.comparable:
        return "reported (not comparable)"
    if part == "delta":
        return "effect" if table.kind == "effect" else "Δ"
    return {"value": "mean ±sd", "total": "Δ total", "p": "p", "reported": "reported"}[part]


def _text(table: Table, row: Row, column: Column, part: str, common_n: int | None, width: bool) -> str:
    cell = row.cell(column.key)
    if part == "value":
        return fmt.value(cell, column, common_n=common_n)
    if part == "delta":
        if row.is_baseline and not fmt.known(cell.delta):
            return "baseline"
        delta, bounds = fmt.estimate(table, cell)
        return fmt.difference(delta, bounds, column)
    if part == "total":
        return fmt.number(cell.total, column, signed=True)
    if part == "p":
        return fmt.p_and_verdict(cell) if common_n is None else fmt.p_or_verdict(cell)
    if not table.comparable:
        return fmt.reported(cell, column)  # the heading says it for the whole column
    word = "width " if common_n is None else ""
    return fmt.reported_and_agreement(cell, column, table.comparable, width=word if width else None)
