"""Numbers and words as people read them, written once for every output format.

A cell reads `0.842 ±0.012 (sd, n=3)`, a difference `+0.130 [+0.080, +0.180]`, a p `p=.03`, a paper's figure
`0.79 agrees (width 0.064)`, and nothing is `—`. Texts use a real minus sign; data formats (CSV, JSON) never come here.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Container, Iterable

from ablate.analysis.table import Cell, Column, Interval, Row, Table

MISSING = "—"
MINUS = "−"
MARK = "†"
"""Beside a cell whose note stands under the table."""

_LEAST = 6  # decimals from which small numbers are written as powers of ten

BOLD = "Bold: decided; everything else is undecided."
EVERYTHING = ("n", "delta", "reported", "width")

_UNITS = {"bytes": "MB"}

LONGEST = 15
"""Digits that a number shows at most: a double has no more."""


def plain(text: str) -> str:
    """`text` on one line without control and direction characters, so that no name can steer a terminal or a page."""
    if text.isprintable():  # most are, and a page asks a hundred thousand times
        return " ".join(text.split())
    kept = (" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))
    return " ".join("".join(kept).split())


def known(value: float | None) -> bool:
    """True for a finite number."""
    return value is not None and math.isfinite(value)


def unit(column: Column) -> str:
    """The printed unit: `%`, `MB`, or nothing where the metric's name says it all."""
    return "%" if column.percent else _UNITS.get(column.unit, "")


def heading(column: Column) -> str:
    """The column's name with its unit: `top1`, `top1 (%)`, `peak_memory (MB)`."""
    suffix, name = unit(column), plain(column.label or column.key)
    return f"{name} ({suffix})" if suffix else name


def number(value: float | None, column: Column, *, signed: bool = False, seen: bool = False) -> str:
    """`0.842`, or `+0.842` and `−0.842` where `signed`; `1.20e-05` and `1.234e+45` where decimals would not do.

    A value that rounds to zero has a minus sign only where `signed`: an interval that ends just below zero leaves it out.
    With `seen` one that is not zero does not read as zero: `4.1e-09`.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    text = _digits(value * column.factor, column.decimals)
    if not text.strip("-0."):
        if seen and value:
            text = f"{value * column.factor:.1e}"
        elif not signed:
            text = text.lstrip("-")
    if text.startswith("-"):
        return MINUS + text[1:]
    return f"+{text}" if signed else text


def _digits(value: float, decimals: int) -> str:
    """`value` with so many decimals, in at most `LONGEST` digits; as a power of ten where that says it shorter."""
    if value == 0:
        return f"{value:.{max(0, min(decimals, _LEAST))}f}"
    exponent = math.floor(math.log10(abs(value)))
    significant = exponent + 1 + decimals
    if abs(value) < 1e-4 and decimals > _LEAST:
        return f"{value:.{min(max(2, significant), LONGEST - 1) - 1}e}"
    if exponent >= LONGEST or (exponent >= 9 and significant <= _LEAST):
        return f"{value:.{(max(2, significant) if significant < LONGEST else 4) - 1}e}"
    return f"{value:.{max(0, min(decimals, LONGEST - 1 - max(0, exponent)))}f}"


def interval(bounds: Interval | None, column: Column, *, signed: bool = False) -> str:
    """`[0.812, 0.872]`, or empty where there is none."""
    if bounds is None or not all(map(math.isfinite, bounds)):
        return ""
    return f"[{number(bounds[0], column, signed=signed)}, {number(bounds[1], column, signed=signed)}]"


def value(cell: Cell, column: Column, *, common_n: int | None = None) -> str:
    """`0.842 ±0.012 (sd, n=3)` or `— (not run: no weights)`.

    With `common_n`, for tables that state n beside them: `0.842 ±0.012`, `0.842 ±0.012 (n=2)` where n is another, and a
    mark in place of the note.
    """
    if not known(cell.mean):
        note = plain(cell.note)
        if common_n is not None:
            return f"{MISSING} {MARK}" if note else MISSING
        return f"{MISSING} ({note})" if note else MISSING
    text = number(cell.mean, column, seen=not cell.sd)
    if known(cell.sd):
        text += f" ±{number(cell.sd, column, seen=True) if cell.sd else '0'}"
    if common_n is None:
        counted = f"sd, n={cell.n}" if known(cell.sd) else f"n={cell.n}"
        return f"{text} ({counted}; {plain(cell.note)})" if cell.note else f"{text} ({counted})"
    if cell.n != common_n:
        text += f" (n={cell.n})"
    return f"{text} {MARK}" if cell.note else text


def difference(delta: float | None, bounds: Interval | None, column: Column) -> str:
    """`+0.130 [+0.080, +0.180]`, without brackets where there is no interval."""
    if not known(delta):
        return MISSING
    return f"{number(delta, column, signed=True)} {interval(bounds, column, signed=True)}".rstrip()


def p_value(p: float | None) -> str:
    """`p=.03`, `p=.004`, `p<.001`, `p>.99`; with as many digits as it takes to stay on its own side of .05."""
    if p is None or not math.isfinite(p):
        return MISSING
    if p < 0.001:
        return "p<.001"
    if p > 0.99:
        return "p>.99"
    digits = 3 if p < 0.01 else 2
    while float(f"{p:.{digits}f}") == 0.05 and p != 0.05 and digits < 9:
        digits += 1
    return f"p={p:.{digits}f}".replace("0.", ".", 1)


def verdict(cell: Cell) -> str:
    """`decided`, `undecided`, or empty where nothing is compared: the baseline, a cell with neither number nor note."""
    if cell.decided:
        return "decided"
    return "undecided" if known(cell.delta) or (cell.note and not known(cell.mean)) else ""


def p_and_verdict(cell: Cell) -> str:
    """`p=.03`, `p=.21, undecided`, `undecided`, or `—` where nothing is compared."""
    parts = [p_value(cell.p_adjusted)] if known(cell.p_adjusted) else []
    if verdict(cell) == "undecided":
        parts.append("undecided")
    return ", ".join(parts) or MISSING


def agreement(cell: Cell, comparable: bool) -> str:
    """`agrees`, `differs`, `not comparable`, or empty where the paper has no figure or nothing was measured."""
    if not (known(cell.reported) and known(cell.mean)):
        return ""
    if not comparable:
        return "not comparable"
    return "" if cell.agrees is None else ("agrees" if cell.agrees else "differs")


def reported(cell: Cell, column: Column) -> str:
    """The paper's figure as it prints it: its own text, else the number in our decimals."""
    if cell.reported_text:
        return plain(cell.reported_text)
    return number(cell.reported, column)


def reported_and_agreement(cell: Cell, column: Column, comparable: bool, *, width: str | None = "width ") -> str:
    """`0.79 agrees (width 0.064)`, `0.79 not comparable`, `—`.

    `width` is the word before the width; None leaves both out.
    """
    word = agreement(cell, comparable)
    text = f"{reported(cell, column)} {word}".rstrip()
    if width is not None and word in ("agrees", "differs") and known(cell.agreement_width):
        text += f" ({width}{number(cell.agreement_width, column)})"
    return text


def p_or_verdict(cell: Cell) -> str:
    """`p=.21`, where a legend says what that means; `undecided` where a difference has no p; else `—`."""
    return p_value(cell.p_adjusted) if known(cell.p_adjusted) else (verdict(cell) or MISSING)


def estimate(table: Table, cell: Cell) -> tuple[float | None, Interval | None]:
    """A difference with its interval. An effect without one is the mean itself."""
    if table.kind == "effect" and not known(cell.delta):
        return cell.mean, cell.ci95
    return cell.delta, cell.delta_ci95


def shared_n(table: Table) -> int | None:
    """The n that most measured cells have (the larger one at a tie); None where nothing was measured."""
    counts = [cell.n for row in table.rows for cell in row.cells.values() if known(cell.mean)]
    return max(set(counts), key=lambda n: (counts.count(n), n)) if counts else None


def row_headings(table: Table) -> tuple[str, ...]:
    """Names of the leading columns: `tweak`, or `arm`, then `epoch` or `class` in tables over those."""
    if table.kind == "effect":
        return ("effect",)
    names = [_own_name(row) for row in table.rows]
    keys = table.rows[0].levels if table.rows else {}
    own = [key for key in keys if all(row.levels.get(key) == name for row, name in zip(table.rows, names, strict=True))]
    first = plain(own[0]) if own else "arm"
    if table.kind not in ("epoch", "class"):
        return (first,)
    return (first, table.kind) if any(names) else (table.kind,)


def row_labels(table: Table, row: Row) -> tuple[str, ...]:
    """The leading cells of a row, one for each of `row_headings`."""
    if table.kind not in ("epoch", "class"):
        return (plain(row.name),)
    last = plain(_last_name(row)) or MISSING
    return (last,) if len(row_headings(table)) == 1 else (plain(_own_name(row)) or MISSING, last)


def _last_name(row: Row) -> str:
    return str(row.epoch) if row.epoch is not None else row.class_ or ""


def _own_name(row: Row) -> str:
    """The row's name without its epoch or class: `resnet18/11` at epoch 11 is `resnet18`."""
    last = _last_name(row)
    if not last:
        return row.name
    return "" if row.name == last else row.name.removesuffix(f"/{last}")


def notes_of_cells(table: Table, most: int = 6) -> tuple[str, ...]:
    """Each note of a cell once, with its places: `C, D top1: not run: no weights`; only `most` rows are named."""
    places: dict[str, dict[str, list[str]]] = {}
    for row in table.rows:
        for column in table.columns:
            cell = row.cells.get(column.key)
            if cell is not None and cell.note:
                label = " ".join(row_labels(table, row))
                places.setdefault(plain(cell.note), {}).setdefault(label, []).append(plain(column.key))
    lines = []
    for note, rows in places.items():
        # a note on the whole row needs no columns
        named = [
            label if len(keys) == len(table.columns) else f"{label} {' '.join(keys)}" for label, keys in rows.items()
        ]
        more = f" and {len(named) - most} more rows" if len(named) > most else ""
        lines.append(f"{', '.join(named[:most])}{more}: {note}")
    return tuple(lines)


def scale_line(table: Table) -> str:
    """What was trained, and whether it can stand beside the paper.

    `profile cpu: digits, 8 px, 10 epochs; not comparable with the paper (a profile)`
    """
    scale = plain(table.scale)
    parts = [f"profile {plain(table.profile)}"] if table.profile else []
    parts += [f"with --set {plain(', '.join(table.sets))}"] if table.sets else []
    name = " ".join(parts) or "full scale"
    line = scale if scale and name in scale else f"{name}: {scale}" if scale else name
    if table.comparable or not table.has_paper:
        return line
    why = plain(table.not_comparable)
    return f"{line}; not comparable with the paper ({why})" if why else f"{line}; not comparable with the paper"


def difference_from_paper(table: Table) -> str:
    """`Mean absolute difference from the reported figures: top1 0.032, top5 0.011.`, or empty; at another scale it says so."""
    means = table.mean_absolute_difference
    parts = [f"{heading(c)} {number(means[c.key], c)}" for c in table.columns if known(means.get(c.key))]
    beside = "" if table.comparable else " (at another scale, so it says nothing about the paper)"
    return f"Mean absolute difference from the reported figures{beside}: {', '.join(parts)}." if parts else ""


def legend(table: Table, shown: Container[str] = EVERYTHING) -> tuple[str, ...]:
    """Sentences that say how to read the cells; what was tested and how stands in the table's own notes.

    `shown` holds what is printed, of `EVERYTHING`; nothing is said of the rest. `n` asks for the n of most cells.
    """
    cells = [cell for row in table.rows for cell in row.cells.values()]
    lines = []
    n = shared_n(table)
    if "n" in shown and n is not None:
        unless = "" if _same(cell.n for cell in cells if known(cell.mean)) else " unless n is given"
        lines.append(f"Mean ±sd over {_plural(n, 'run')}{unless}." if n > 1 or unless else "One run a cell.")
    if "delta" in shown and any(known(cell.delta) for cell in cells):
        points = ", in points where the column is in percent" if any(column.percent for column in table.columns) else ""
        what = "Effects" if table.kind == "effect" else f"Δ: difference from {_from(table)}"
        lines.append(f"{what}, with 95% intervals{points}. {BOLD}")
    metrics = {plain(column.metric) for column in table.columns if column.metric != column.key}
    if metrics:
        lines.append(f"Each column shows {' and '.join(sorted(metrics))}.")
    if "reported" in shown and table.comparable and any(cell.agrees is not None for cell in cells):
        width = ", of the width given" if "width" in shown else ""
        lines.append(f"A reported figure agrees where it lies in the 95% interval for one new run{width}.")
    return tuple(lines)


def _from(table: Table) -> str:
    baseline = plain(table.baseline) or "the baseline"
    if any(known(cell.total) for row in table.rows for cell in row.cells.values()):
        return f"the step before (the total from {baseline})"
    return baseline


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _same(values: Iterable[int]) -> bool:
    return len(set(values)) <= 1


def duration(seconds: float | None) -> str:
    """`—`, `0.4 s`, `59 s`, `12 min 05 s`, `3 h 07 min`."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
