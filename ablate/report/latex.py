r"""A table as LaTeX, to paste into a paper: needs `\usepackage{booktabs}` and nothing else."""

from __future__ import annotations

import re
from itertools import groupby

from ablate.analysis.labels import labelled
from ablate.analysis.table import Table
from ablate.report import format as fmt
from ablate.report.grid import Grid, GridCell, grid

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "Δ": r"$\Delta$",
    "—": "---",
    "†": r"$\dagger$",
    "ε": r"$\varepsilon$",
    "α": r"$\alpha$",
    "≥": r"$\ge$",
    "≤": r"$\le$",
    "…": r"\ldots{}",
}
_SPECIAL = re.compile("|".join(map(re.escape, _ESCAPES)))


def render(table: Table) -> str:
    """A `table` environment with a caption, grouped heads, and its notes below. Ends in a newline."""
    marks: dict[str, str] = {}
    table = labelled(table, "latex", lambda latex: marks.setdefault(latex, f"ABLATELABEL{len(marks)}X"))
    block = grid(table, compact=True)
    caption = f"{table.caption or table.name}. {table.study}, {fmt.scale_line(table)}."
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}[t]",
        r"\centering\small",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{label(f'{table.study}-{table.name}')}}}",
        rf"\begin{{tabular}}{{{''.join('l' for _ in block.heads)}}}",
        r"\toprule",
        *_heads(block),
        r"\midrule",
        *(_line(row.cells) for row in block.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *_notes(table),
        r"\end{table}",
    ]
    text = "\n".join(lines) + "\n"
    for latex, mark in marks.items():
        text = text.replace(mark, latex)
    return text


def escape(text: str) -> str:
    """`text` on one line with every character that TeX would act on made plain."""
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], fmt.plain(text))


def label(text: str) -> str:
    r"""`text` as a `\label` that TeX takes: letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-") or "table"


def _heads(block: Grid) -> list[str]:
    """The metrics over their columns with a rule under each, then what is printed of them."""
    spans = [(group, len(list(heads))) for group, heads in groupby(head.group for head in block.heads)]
    cells, rules, start = [], [], 1
    for group, width in spans:
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(group)}}}" if group else " & " * (width - 1))
        if group:
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    names = " & ".join(escape(head.text) for head in block.heads)
    return [" & ".join(cells) + r" \\", " ".join(rules), names + r" \\"]


def _line(cells: tuple[GridCell, ...]) -> str:
    # a bracket right after the line break would be read as its optional argument
    texts = [rf"\textbf{{{escape(cell.text)}}}" if cell.bold else escape(cell.text) for cell in cells]
    if texts and texts[0].startswith("["):
        texts[0] = f"{{}}{texts[0]}"
    return " & ".join(texts) + r" \\"


def _notes(table: Table) -> list[str]:
    notes = [f"{fmt.MARK} {note}." for note in fmt.notes_of_cells(table)]
    notes += filter(None, [fmt.difference_from_paper(table), *fmt.legend(table), *table.notes])
    notes += [f"{claim.verdict}: {claim.text}{f' ({claim.why})' if claim.why else ''}." for claim in table.claims]
    if not notes:
        return []
    return [
        r"\par\smallskip",
        r"\begin{minipage}{\linewidth}\footnotesize",
        *(escape(n) + r"\par" for n in notes),
        r"\end{minipage}",
    ]
