"""A table as CSV for a spreadsheet or pandas: one line a row, numbers at full precision, unknown left empty.

The columns, in this order:

    study, profile, table, comparable         the same in each line; comparable is `true` or `false`
    row, arm, levels.FACTOR..., epoch, class  what the row stands for, one column a factor
    KEY.mean .sd .n .ci95.low .ci95.high      and, for each metric, all that its cell holds, as JSON names it;
    .delta .delta_ci95.low .delta_ci95.high   accuracies are fractions, also where the table prints percent
    .p_adjusted .decided .total .reported .reported_text .agrees .run_ids .note .planned .test .detectable

    label                                     the row as people read it

`run_ids` are separated by blanks. Texts that a spreadsheet would run get an apostrophe: see `spreadsheet.csv_text`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ablate.analysis.labels import labelled
from ablate.analysis.table import Cell, Table
from ablate.report.json import INTERVALS, cell_document
from ablate.report.spreadsheet import Value, csv_text


def render(table: Table) -> str:
    """The header line and one line a row, comma-separated, each ending in a newline."""
    factors = list(dict.fromkeys(name for row in table.rows for name in row.levels))
    keys = [column.key for column in table.columns]
    levels = [f"levels.{name}" for name in factors]
    heads = ["study", "profile", "table", "comparable", "row", "arm", *levels, "epoch", "class"]
    rows: list[list[Value]] = [[*heads, *(f"{key}.{name}" for key in keys for name, _ in _cell(Cell())), "label"]]
    for row, read in zip(table.rows, labelled(table).rows, strict=True):
        values: list[Value] = [table.study, table.profile, table.name, table.comparable, row.name, row.arm]
        values += [*(row.levels.get(name) for name in factors), row.epoch, row.class_]
        values += [value for key in keys for _, value in _cell(row.cell(key))]
        rows.append([*values, read.name])
    return csv_text(rows)


_ORDER = (
    "mean", "sd", "n", "ci95", "delta", "delta_ci95", "p_adjusted", "decided", "total", "reported", "reported_text", "agrees",
    "run_ids", "note", "planned", "test", "detectable",
)  # fmt: skip
"""JSON's fields as they stand in a line."""


def _cell(cell: Cell) -> Iterator[tuple[str, Value]]:
    known = cell_document(cell)
    for name in _ORDER:
        if name in INTERVALS:
            low, high = known[name] or (None, None)
            yield f"{name}.low", low
            yield f"{name}.high", high
        else:
            yield name, " ".join(known[name]) if name == "run_ids" else known[name]
