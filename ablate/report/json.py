"""A table as the JSON document that the command line promises: `"schema": 1`, unknown is null, never NaN."""

from __future__ import annotations

import math
from typing import Any

from ablate.analysis.labels import labelled
from ablate.analysis.table import Cell, Row, Table

SCHEMA = 1


def document(table: Table) -> dict[str, Any]:
    """The document as JSON-ready values. Cells are keyed by the columns' keys, in the order of `columns`; numbers are exact.

    A cell's fields are those of `analysis.table.Cell`. Keys are added at the end, never taken away.
    """
    return {
        "schema": SCHEMA,
        "study": table.study,
        "profile": table.profile,
        "set": list(table.sets),
        "table": table.name,
        "comparable": table.comparable,
        "columns": [column.key for column in table.columns],
        "rows": [
            _row(table, row) | {"label": read.name} for row, read in zip(table.rows, labelled(table).rows, strict=True)
        ],
        "claims": [{"text": claim.text, "verdict": claim.verdict, "why": claim.why} for claim in table.claims],
        "test": table.test,
        "looks": table.looks,
        "notes": list(table.notes),
    }


def _row(table: Table, row: Row) -> dict[str, Any]:
    return {
        "row": row.name,
        "arm": row.arm,
        "levels": dict(row.levels),
        "epoch": row.epoch,
        "class": row.class_,
        "cells": {column.key: cell_document(row.cell(column.key)) for column in table.columns},
    }


CELL = (
    "mean", "sd", "n", "ci95", "delta", "delta_ci95", "p_adjusted", "reported", "reported_text", "agrees", "run_ids", "decided",
    "note", "test", "detectable", "total", "planned",
)  # fmt: skip
"""The fields of a cell, as the documents have them."""
INTERVALS = ("ci95", "delta_ci95")


def cell_document(cell: Cell) -> dict[str, Any]:
    """A cell's `CELL`, JSON-ready."""
    return {name: _plain(name, getattr(cell, name)) for name in CELL}


def _plain(name: str, value: Any) -> Any:
    if name in INTERVALS:  # unknown where either end is
        return None if value is None or not all(map(math.isfinite, value)) else [float(bound) for bound in value]
    if name == "run_ids":
        return list(value)
    return value if value is None or isinstance(value, str | int) else finite(value)


def finite(value: float | None) -> float | None:
    """`value` as a plain float, or None where it is no finite number (a NumPy scalar would not be JSON)."""
    return None if value is None or not math.isfinite(value) else float(value)
