"""A table as GitHub-flavoured Markdown, to commit beside the code or paste into an issue."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ablate.analysis.labels import labelled
from ablate.analysis.table import Table
from ablate.report import format as fmt
from ablate.report.declare import Sentence
from ablate.report.grid import Grid, Head, grid

_SPECIAL = re.compile(
    r"""[\\`*|~$]                               # emphasis, code, a cell's border, strike-through, mathematics
      | (?<![A-Za-z0-9])_ | _(?![A-Za-z0-9])   # emphasis; inside of a word it is none
      | !(?=\[) | \](?=[(\[:])                # images, links and their definitions""",
    re.VERBOSE,
)
_HTML = re.compile(r"<(?=[A-Za-z/!?])|&(?=[#A-Za-z])")


def render(table: Table) -> str:
    """Scale line, heading, table, claims with their verdicts, and how to read it. Ends in a newline."""
    table = labelled(table)
    blocks = [escape(f"{table.study}, {fmt.scale_line(table)}", starts_block=True), heading(table), *body(table)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def answer(sentences: Sequence[Sentence]) -> str:
    """What the tables come to, a line each; empty where nothing is said."""
    return "\n".join(f"- {escape(sentence.text, starts_block=True)}" for sentence in sentences)


def heading(table: Table) -> str:
    """`### table1: Model tweaks`."""
    return f"### {escape(f'{table.name}: {table.caption}' if table.caption else table.name)}"


def body(table: Table) -> tuple[str, str, str]:
    """What stands under a table's heading: its rows, its claims, its notes. Claims and notes may be empty."""
    table = labelled(table)
    rows = _table(grid(table), len(table.columns) > 1)
    claims = "\n".join(_claim(claim.verdict, claim.text, claim.why) for claim in table.claims)
    sentences = [fmt.difference_from_paper(table), *fmt.legend(table, ("delta", "reported", "width")), *table.notes]
    notes = "\n".join(f"- {escape(note, starts_block=True)}" for note in sentences if note)
    return rows, f"Claims:\n\n{claims}" if claims else "", f"Notes:\n\n{notes}" if notes else ""


def escape(text: str, *, starts_block: bool = False) -> str:
    """`text` on one line that Markdown shows as it is: no markup, no HTML, no cell border.

    `starts_block` also guards a beginning that would make a list, a heading or a quotation.
    """
    text = _SPECIAL.sub(r"\\\g<0>", _HTML.sub(lambda match: "&lt;" if match[0] == "<" else "&amp;", fmt.plain(text)))
    if starts_block:
        text = re.sub(r"^(\d+)([.)])", r"\1\\\2", re.sub(r"^([#>+=-])", r"\\\1", text))
    return text


def _table(block: Grid, several: bool) -> str:
    lines = [_line([_head(head, several) for head in block.heads])]
    lines.append(_line(["---"] * len(block.heads)))
    for row in block.rows:
        texts = [f"**{escape(cell.text)}**" if cell.bold else escape(cell.text) for cell in row.cells]
        lines.append(_line(texts))
    return "\n".join(lines)


def _head(head: Head, several: bool) -> str:
    """`top1`, then `top1 Δ`, `top1 p`, `top1 reported`; without the metric before them where there is only one."""
    if head.part == "value":
        return escape(head.group)
    named = several or head.text == "effect"
    return escape(f"{head.group} {head.text}" if named and head.group else head.text)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _claim(verdict: str, text: str, why: str) -> str:
    word = f"**{verdict}**" if verdict in ("holds", "contradicted") else escape(verdict)
    reason = f" ({escape(why)})" if why else ""
    return f"- {word}: {escape(text)}{reason}"
