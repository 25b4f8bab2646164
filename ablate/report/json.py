"""A table as the JSON document that the command line promises: `"schema": 1`, unknown is null, never NaN."""

from __future__ import annotations

import json
import math
from typing import Any

from ablate.analysis.labels import labelled
from ablate.analysis.table import Cell, Interval, Row, Table

SCHEMA = 1


def render(table: Table) -> str:
    """One document with two blanks of indentation, ending in a newline."""
    return json.dumps(document(table), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


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
        "cells": {column.key: _cell(row.cells.get(column.key, Cell())) for column in table.columns},
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "mean": finite(cell.mean),
        "sd": finite(cell.sd),
        "n": cell.n,
        "ci95": bounds(cell.ci95),
        "delta": finite(cell.delta),
        "delta_ci95": bounds(cell.delta_ci95),
        "p_adjusted": finite(cell.p_adjusted),
        "reported": finite(cell.reported),
        "reported_text": cell.reported_text,
        "agrees": cell.agrees,
        "run_ids": list(cell.run_ids),
        "decided": cell.decided,
        "note": cell.note,
        "test": cell.test,
        "detectable": finite(cell.detectable),
        "total": finite(cell.total),
        "planned": cell.planned,
    }


def finite(value: float | None) -> float | None:
    """`value` as a plain float, or None where it is no finite number (a NumPy scalar would not be JSON)."""
    return None if value is None or not math.isfinite(value) else float(value)


def bounds(interval: Interval | None) -> list[float | None] | None:
    """`[low, high]`, or None where either is unknown."""
    if interval is None or not all(map(math.isfinite, interval)):
        return None
    return [float(bound) for bound in interval]
