"""A table for people at a terminal: readable at 80 columns, with or without colour."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Sequence
from dataclasses import replace

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ablate.analysis.labels import labelled
from ablate.analysis.notes import IF_MISSING
from ablate.analysis.table import ClaimResult, Column, Table
from ablate.report import format as fmt
from ablate.report.declare import Sentence
from ablate.report.grid import Grid, Head, grid, parts_of

GAPS = (2, 1)
"""Blanks between columns, and how many there are where those would not fit."""

WORD, STAR = "decided", "*"
"""What stands beside a decided difference where bold does not show: the word where the width has room for it."""

LEGEND = {
    "": fmt.BOLD,
    WORD: "Decided where it says so; all else is undecided.",
    STAR: "* decided; all else is undecided.",
}

NOTHING = "None is decided."

MIN_LABEL = 10
"""Characters that the rows' labels keep beside numbers that must not break."""

_ASCII = str.maketrans({"±": "+/-", "−": "-", "Δ": "delta", "—": "-", "†": "*", "·": "-", "×": "x", "…": "..."})
_VERDICTS = {"holds": "green", "contradicted": "red", "undecided": "yellow", "not testable": "dim"}


def print_table(table: Table, console: Console, *, max_rows: int = 40) -> None:
    """Prints the scale line, the table, its claims, how to read it, and its notes.

    Metrics stand beside each other where that fits, else below each other. Of a table with more than `max_rows` rows
    the first ones are printed, and how many were left out.
    """
    table = labelled(table, "short")
    console.print()
    console.print(_line(console, f"{table.study}, {fmt.scale_line(table)}", "" if table.comparable else "yellow"))
    console.print(_line(console, f"{table.name}: {table.caption}" if table.caption else table.name, "bold"))
    blocks, mark = _blocks(replace(table, rows=table.rows[:max_rows]), console)
    several = {column.key: column.metric for column in table.columns if column.metric != column.key}
    for block in blocks:
        console.print()
        groups = {head.group for head in block.heads if head.group}
        if len(groups) == 1:
            group = groups.pop()
            title = f"{several[group]}, {group}" if group in several else group
            console.print(_line(console, title, "bold"))
        console.print(_draw(console, block, len(groups) > 1))
    _print_left_out(table, blocks[0], console, max_rows, mark)
    _print_claims(table.claims, console)
    _print_notes(table, blocks[0], console, mark)


def print_answer(question: str, sentences: Sequence[Sentence], console: Console) -> None:
    """A study's question and what it comes to, a paragraph a sentence; those that are decided stand out."""
    if sentences:
        console.print()
        if question:
            console.print(_line(console, question, "italic"))
    for sentence in sentences:
        console.print(_line(console, sentence.text, "bold" if sentence.verdict == "decided" else ""))


def _line(console: Console, text: str, style: str = "") -> Text:
    return Text(_encodable(console, fmt.plain(text)), style=style)


def _encodable(console: Console, text: str) -> str:
    """`text` in what the terminal can write: an ASCII or Latin-1 one gets words in place of our signs."""
    if console.encoding.lower().startswith("utf"):
        return text
    return text.translate(_ASCII).encode(console.encoding, "replace").decode(console.encoding)


def _blocks(table: Table, console: Console) -> tuple[list[Grid], str]:
    """Grids that fit the width, one if possible, else one a metric; and how they mark what is decided: `""` is bold.

    Where four or more metrics fit beside each other as bare values, as in a classification report or with a factor as
    columns, that is preferred to four tables: the differences then stand in the other formats.
    """
    width = console.width
    marks = ("",) if console.color_system and not console.no_color else (WORD, STAR)
    whole = [grid(table, compact=True), grid(table, compact=True, width=False)]
    if len(table.columns) > 3:
        values = [("value", "reported"), ("value",)]
        whole += [grid(table, parts=parts, compact=True, width=False) for parts in values]
    for block, mark in itertools.product(whole, marks):
        if _width(marked := _marked(block, mark)) <= width:
            return [marked], mark
    several: list[Grid] = []
    for mark in marks:
        several = [_block(table, column, width, mark) for column in table.columns]
        if all(_width(block) <= width for block in several):
            break
    return several, mark


def _marked(block: Grid, mark: str) -> Grid:
    """A block in which decided differences say so, beside their p where it is printed."""
    if not mark:
        return block
    rows = []
    for row in block.rows:
        cells = list(row.cells)
        for place, cell in enumerate(row.cells):
            if cell.bold:
                own = (
                    at
                    for at, head in enumerate(block.heads)
                    if head.part == "p" and head.group == block.heads[place].group
                )
                at = next((at for at in own if at > place), place)
                gap = "" if mark == STAR else ", " if at != place else " "
                cells[at] = replace(cells[at], text=f"{cells[at].text}{gap}{mark}")
        rows.append(replace(row, cells=tuple(cells)))
    return replace(block, rows=tuple(rows))


def _block(table: Table, column: Column, width: int, mark: str) -> Grid:
    """One metric, without the widths of the agreement intervals where those do not fit."""
    wide = _marked(grid(table, columns=[column], compact=True), mark)
    return wide if _width(wide) <= width else _marked(grid(table, columns=[column], compact=True, width=False), mark)


def _width(block: Grid, label: int | None = None, gap: int = GAPS[0]) -> int:
    """Characters that a block takes, with its labels cut to `label`."""
    widths = []
    for place, head in enumerate(block.heads):
        texts = _aligned([row.cells[place].text for row in block.rows])
        widest = max(map(cell_len, [*_heading(head), *texts]))
        widths.append(min(widest, label) if label is not None and head.part == "label" else widest)
    return sum(widths) + gap * (len(widths) - 1)


def _heading(head: Head) -> list[str]:
    """The heading's lines: the metric, then what is printed of it."""
    lines = head.text.replace(" (", "\n(").replace(
        "(not comparable)", "(not\ncomparable)"
    )  # narrow: names need the room
    return [head.group, *lines.split("\n")]


def _aligned(texts: Sequence[str]) -> list[str]:
    """Numbers under each other by their decimal point; texts without one stay as they are."""
    places = [text.find(".") if text[:1].isdigit() or text[:1] in "+−" else -1 for text in texts]
    most = max(places, default=0)
    return [
        " " * (most - place) + text if 0 <= place < most else text for text, place in zip(texts, places, strict=True)
    ]


def _draw(console: Console, block: Grid, named: bool) -> RichTable:
    """`named` puts the metric above its first column. Labels fold where the numbers leave them too little room."""
    gap = next((gap for gap in GAPS if _width(block, gap=gap) <= console.width), GAPS[-1])
    drawn = RichTable(box=None, padding=(0, gap, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    numbers_fit = _width(block, MIN_LABEL, gap) <= console.width
    columns, last = [], ""
    for place, head in enumerate(block.heads):
        group, *lines = _heading(head)
        above = [group if group != last else ""] if named else []
        text = Text(_encodable(console, "\n".join([*above, *lines])))
        drawn.add_column(text, overflow="fold", no_wrap=numbers_fit and head.part != "label")
        last = group
        texts = [row.cells[place].text for row in block.rows]
        columns.append(texts if head.part == "label" else _aligned(texts))
    for row, cells in zip(block.rows, zip(*columns, strict=True), strict=True):
        styles = ["bold" if cell.bold else "dim" if row.is_baseline else "" for cell in row.cells]
        drawn.add_row(
            *(Text(_encodable(console, text), style=style) for text, style in zip(cells, styles, strict=True))
        )
    return drawn


def _print_left_out(table: Table, block: Grid, console: Console, max_rows: int, mark: str) -> None:
    left = len(table.rows) - max_rows
    missing = [f"{left} more rows"] if left > 0 else []
    parts = {head.part for head in block.heads}
    hidden = {part for column in table.columns for part in parts_of(table, column)} - parts
    if "delta" in hidden:
        missing.append({"": "differences and p (bold: decided)", STAR: "differences and p (*: decided)"}.get(mark, "differences and p"))  # fmt: skip
    if "reported" in hidden:
        missing.append("reported figures")
    if missing:
        profile = f" --profile {shlex.quote(table.profile)}" if table.profile else ""
        sets = "".join(f" --set {shlex.quote(setting)}" for setting in table.sets)
        command = f"ablate report {table.study}{profile}{sets} --table {table.name} --format md"
        console.print(_line(console, f"… and {', '.join(missing)}: {command}", "dim"))


def _print_claims(claims: Sequence[ClaimResult], console: Console) -> None:
    if not claims:
        return
    console.print()
    console.print(Text("Claims", style="bold"))
    drawn = RichTable(box=None, padding=(0, GAPS[0], 0, 0), pad_edge=False, show_header=False, show_edge=False)
    drawn.add_column(no_wrap=True)
    drawn.add_column(overflow="fold")
    for claim in claims:
        why = f": {claim.why}" if claim.why else ""
        drawn.add_row(
            _line(console, claim.verdict, _VERDICTS.get(claim.verdict, "")), _line(console, f"{claim.text}{why}")
        )
    console.print(drawn)


def _print_notes(table: Table, block: Grid, console: Console, mark: str) -> None:
    shown = {"n"} | {head.part for head in block.heads} | ({"width"} if block.has_width else set())
    notes = [f"{fmt.MARK} {note}" for note in fmt.notes_of_cells(table)]
    console.print()
    # what is missing where stands at the marks already
    told = [IF_MISSING if notes and note.startswith(IF_MISSING) else note for note in table.notes]
    decided = any(cell.decided for row in table.rows for cell in row.cells.values())
    reading = LEGEND[mark] if decided or not mark else NOTHING
    legend = [line.replace(fmt.BOLD, reading) for line in fmt.legend(table, shown)]
    for line in filter(None, [*notes, fmt.difference_from_paper(table), *legend, *told]):
        console.print(_line(console, line, "dim"))
