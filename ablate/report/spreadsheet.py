"""Rows as CSV that a spreadsheet reads as the text and numbers that they are: what tables and predictions share."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

Value = str | int | float | bool | None

_FORMULA = tuple("=+-@\t")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def csv_text(rows: Iterable[Iterable[Value]]) -> str:
    r"""One line a row, each ending in `\n`; unknown is empty, a bool `true` or `false`, a float exact.

    A text that a spreadsheet would run as a formula (it begins with `= + - @` or a tab, and is no number) gets an
    apostrophe before it. `\r` and `\n` stand in quotes, so that no name makes a row too many.
    """
    out = io.StringIO()
    # "\r\n" has the csv module quote either of both; a row at a time, that end can be told from the text
    writer = csv.writer(out, lineterminator="\r\n")
    text = []
    for row in rows:
        writer.writerow([_cell(value) for value in row])
        text.append(out.getvalue().removesuffix("\r\n"))
        out.seek(0)
        out.truncate()
    return "".join(f"{line}\n" for line in text)


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return str(value)
