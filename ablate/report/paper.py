r"""A table for a paper: `article` at 10 pt, within a width, with `array`, `booktabs`, `siunitx` and, when long, `longtable`.

A cell is the mean with its sd; n stands once, in the note. Bold is what was decided to be better than the baseline, underlined the
best mean of a column. Where a table is wider than it may be, its p columns go first; then its columns are split into tables under
one another. Widths are estimated from the text (`text_width`). Claims and notes follow as comments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ablate.analysis.labels import labelled
from ablate.analysis.table import Cell, Column, Row, Table
from ablate.report import format as fmt
from ablate.report.declare import PAPER_WIDTH
from ablate.report.grid import parts_of
from ablate.report.latex import escape, label
from ablate.report.text_width import text_width

MOST_ROWS = 40
"""Rows of one float, those of stacked tables together; more make a `longtable`."""
_GAP = 12.0  # between two columns: twice \tabcolsep
_LEAST_LABEL = 60.0
_NOTHING = "---"

_SETUP = r"\sisetup{separate-uncertainty,detect-all,group-minimum-digits=9}\setlength{\belowcaptionskip}{4pt}"


@dataclass(frozen=True)
class _Part:
    """One column as it is printed; `name` is `value`, `effect`, `p` or `reported`."""

    name: str
    head: str
    cells: tuple[str, ...]
    width: float


@dataclass(frozen=True)
class _Group:
    """What is printed of one metric, under its heading."""

    head: str
    parts: tuple[_Part, ...]

    @property
    def width(self) -> float:
        return max(sum(part.width for part in self.parts) + _GAP * (len(self.parts) - 1), text_width(self.head))

    def without_p(self) -> _Group:
        return replace(self, parts=tuple(part for part in self.parts if part.name != "p"))


@dataclass(frozen=True)
class _Layout:
    """The tables under one another, each with the same labels; `label_width` is what the first of these must keep to, if any."""

    labels: tuple[_Part, ...]
    stacks: tuple[tuple[_Group, ...], ...]
    label_width: float | None = None


def render(table: Table, width: float = PAPER_WIDTH) -> str:
    """The table as a float, or as a `longtable`, no wider than `width` points as far as text can tell. Ends in a newline."""
    marks: dict[str, str] = {}
    read = labelled(table, "latex", lambda latex: marks.setdefault(latex, f"ABLATELABEL{len(marks)}X"))
    tex = partial(_tex, {mark: latex for latex, mark in marks.items()})
    counts = _letters(read)
    groups = [_group(read, column, tex, counts) for column in read.columns]
    layout = _layout(_labels(read, tex), [group for group in groups if group.parts], width)
    long = len(read.rows) * len(layout.stacks) > MOST_ROWS
    packages = ["array", "booktabs", *(["longtable"] if long else []), "siunitx"]
    caption = f"{table.caption or table.name}. {table.study}, {fmt.scale_line(replace(table, has_paper=False))}."
    title = rf"\caption{{{escape(caption)}}}\label{{tab:{label(f'{table.study}-{table.name}')}}}"
    note = " ".join(_note(read, layout, tex, counts))
    body = _long(layout, title, note) if long else _float(layout, title, note)
    return "\n".join([rf"% needs \usepackage{{{','.join(packages)}}}", *body, *_comments(table)]) + "\n"


def _tex(marks: dict[str, str], text: str) -> str:
    """`text` escaped, with the labels that are LaTeX already."""
    return re.sub(r"ABLATELABEL\d+X", lambda match: marks.get(match[0], match[0]), escape(text))


def _labels(table: Table, tex: Callable[[str], str]) -> tuple[_Part, ...]:
    heads = fmt.row_headings(table)
    rows = [fmt.row_labels(table, row) for row in table.rows]
    columns = [tuple(tex(row[place]) for row in rows) for place in range(len(heads))]
    return tuple(_part("label", tex(head), cells) for head, cells in zip(heads, columns, strict=True))


def _part(name: str, head: str, cells: Sequence[str]) -> _Part:
    wide = [text_width(cell, bold=r"\textbf" in cell or r"\boldmath" in cell) for cell in cells]
    return _Part(name, head, tuple(cells), max([text_width(head), *wide]))


def _group(table: Table, column: Column, tex: Callable[[str], str], counts: dict[int, str]) -> _Group:
    has = parts_of(table, column)
    best = _best(table, column)
    parts = []
    if table.kind == "effect":
        parts.append(_part("effect", "effect [95\\%]", [_effect(table, row, column) for row in table.rows]))
    elif "value" in has:
        cells = [_value(row.cell(column.key), column, best, counts) for row in table.rows]
        parts.append(_part("value", r"mean $\pm$ sd", cells))
    if "p" in has:
        parts.append(_part("p", "$p$", [_p(row.cell(column.key)) for row in table.rows]))
    if "reported" in has and table.comparable and table.kind != "effect":
        cells = [tex(fmt.reported(row.cell(column.key), column)) for row in table.rows]
        cells = ["" if cell == _NOTHING else cell for cell in cells]
        parts.append(_part("reported", "reported", cells))
    return _Group(tex(fmt.heading(column)), tuple(parts))


def _value(cell: Cell, column: Column, best: float | None, counts: dict[int, str]) -> str:
    if not fmt.known(cell.mean):
        return _NOTHING
    text = _number(fmt.number(cell.mean, column, seen=not cell.sd))
    if fmt.known(cell.sd):
        sd = _number(fmt.number(cell.sd, column, seen=True))
        whole = "e" not in text + sd and cell.sd
        text = rf"\num{{{text} +- {sd}}}" if whole else rf"\num{{{text}}}\,$\pm$\,\num{{{sd}}}"
    else:
        text = rf"\num{{{text}}}"
    if _better(cell, column):
        text = rf"\textbf{{{text}}}"
    if best is not None and cell.mean == best:
        text = rf"\underline{{{text}}}"
    # the letter takes no width, so that numbers stay under one another
    return text + (rf"\rlap{{\textsuperscript{{{counts[cell.n]}}}}}" if cell.n in counts else "")


def _effect(table: Table, row: Row, column: Column) -> str:
    cell = row.cell(column.key)
    delta, bounds = fmt.estimate(table, cell)
    if not fmt.known(delta):
        return _NOTHING
    text = re.sub(r"e([+-])0*(\d+)", r"\\cdot10^{\1\2}", _number(fmt.difference(delta, bounds, column)))
    text = f"${text.replace(' [', chr(92) + ';[')}$"
    return rf"{{\boldmath{text}}}" if _better(cell, column) else text


def _number(text: str) -> str:
    return text.replace(fmt.MINUS, "-")


def _p(cell: Cell) -> str:
    text = fmt.p_value(cell.p_adjusted).removeprefix("p").removeprefix("=")
    return "" if text == fmt.MISSING else re.sub("[<>]", lambda match: f"${match[0]}$", text)


def _better(cell: Cell, column: Column) -> bool:
    """True where it was decided that the arm, or the effect, is an improvement."""
    sign = {"higher": 1, "lower": -1}.get(column.better, 0)
    return cell.decided and sign * (cell.delta or 0.0) > 0


def _best(table: Table, column: Column) -> float | None:
    """The best mean of a column whose rows can be rivals: classes are none, and effects have no mean."""
    means = [mean for row in table.rows if (mean := row.cell(column.key).mean) is not None and fmt.known(mean)]
    if table.kind in ("effect", "class") or column.better not in ("higher", "lower") or len(means) < 2:
        return None
    return max(means) if column.better == "higher" else min(means)


def _letters(table: Table) -> dict[int, str]:
    """A letter for each n that is not the one of most cells."""
    cells = [row.cell(column.key) for row in table.rows for column in table.columns]
    others = sorted({cell.n for cell in cells if fmt.known(cell.mean)} - {fmt.shared_n(table)})
    return {n: chr(ord("a") + place) for place, n in enumerate(others[:26])} if table.kind != "effect" else {}


def _layout(labels: tuple[_Part, ...], groups: Sequence[_Group], width: float) -> _Layout:
    """The first that fits: everything; without p; split into several; with the rows' names on several lines."""
    leading = sum(part.width + _GAP for part in labels)
    if _wide(leading, groups) <= width:
        return _Layout(labels, (tuple(groups),))
    groups = [short for group in groups if (short := group.without_p()).parts]
    if _wide(leading, groups) <= width:
        return _Layout(labels, (tuple(groups),))
    stacks: list[tuple[_Group, ...]] = []
    for group in groups:
        if stacks and _wide(leading, [*stacks[-1], group]) <= width:
            stacks[-1] += (group,)
        else:
            stacks.append((group,))
    over = max((_wide(leading, stack) for stack in stacks), default=leading) - width
    least = max(_LEAST_LABEL, labels[0].width - over) if over > 0 else None
    return _Layout(labels, tuple(stacks), least)


def _wide(leading: float, groups: Sequence[_Group]) -> float:
    return leading + sum(group.width for group in groups) + _GAP * (len(groups) - 1)


def _columns(layout: _Layout, groups: Sequence[_Group]) -> str:
    first = "l"
    if layout.label_width is not None:
        first = rf">{{\raggedright\arraybackslash}}p{{{layout.label_width:.0f}pt}}"
    return "@{}" + first + "l" * (len(layout.labels) - 1) + "r" * sum(len(group.parts) for group in groups) + "@{}"


def _heads(layout: _Layout, groups: Sequence[_Group]) -> list[str]:
    """The metrics with what is printed of each below; the metrics alone where that is one column each."""
    names = [part.head for part in layout.labels]
    if all(len(group.parts) == 1 and group.parts[0].name == "value" for group in groups):
        return [" & ".join([*names, *(rf"\multicolumn{{1}}{{c}}{{{group.head}}}" for group in groups)]) + r" \\"]
    above, rules, start = [""] * len(names), [], len(names) + 1
    for group in groups:
        span = len(group.parts)
        above.append(rf"\multicolumn{{{span}}}{{c}}{{{group.head}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{start + span - 1}}}")
        start += span
    below = [rf"\multicolumn{{1}}{{c}}{{{part.head}}}" for group in groups for part in group.parts]
    return [" & ".join(above) + r" \\", " ".join(rules), " & ".join([*names, *below]) + r" \\"]


def _rows(layout: _Layout, groups: Sequence[_Group]) -> list[str]:
    first = layout.labels[0]
    if layout.label_width is not None:
        first = replace(first, cells=tuple(map(_breakable, first.cells)))
    columns = [first, *layout.labels[1:], *(part for group in groups for part in group.parts)]
    # a bracket right after the line break would be read as its optional argument
    return [
        ("{}" if line[0].startswith("[") else "") + " & ".join(line) + r" \\"
        for line in zip(*(part.cells for part in columns), strict=True)
    ]


def _breakable(text: str) -> str:
    """A name that may be broken after its slashes, pluses and underscores."""
    return re.sub(r"(/|\+|\\_)(?=\S)", r"\1\\allowbreak{}", text)


def _float(layout: _Layout, title: str, note: str) -> list[str]:
    lines = [r"\begin{table}[t]", rf"\centering\small{_SETUP}", title]
    for place, groups in enumerate(layout.stacks):
        lines += [r"\par\medskip"] if place else []
        lines += [rf"\begin{{tabular}}{{{_columns(layout, groups)}}}", r"\toprule", *_heads(layout, groups)]
        lines += [r"\midrule", *_rows(layout, groups), r"\bottomrule", r"\end{tabular}"]
    lines += [r"\par\smallskip", rf"\begin{{minipage}}{{\linewidth}}\footnotesize {note}\end{{minipage}}"]
    return [*lines, r"\end{table}"]


def _long(layout: _Layout, title: str, note: str) -> list[str]:
    """As tables over several pages, which are no floats."""
    lines = [rf"\begingroup\small{_SETUP}\setlength{{\LTcapwidth}}{{\linewidth}}"]
    for place, groups in enumerate(layout.stacks):
        heads = [r"\toprule", *_heads(layout, groups), r"\midrule"]
        lines += [rf"\begin{{longtable}}{{{_columns(layout, groups)}}}", *([] if place else [title + r"\\"])]
        lines += [*heads, r"\endfirsthead", *heads, r"\endhead", r"\bottomrule", r"\endfoot"]
        lines += [*_rows(layout, groups), r"\end{longtable}"]
    return [*lines, rf"\noindent\footnotesize {note}\par", r"\endgroup"]


def _note(table: Table, layout: _Layout, tex: Callable[[str], str], counts: dict[int, str]) -> list[str]:
    """What cells and type mean: n, then bold and underlined in one sentence, then p and dashes where there are any."""
    shown = {part.name for stack in layout.stacks for group in stack for part in group.parts}
    cells = [cell for stack in layout.stacks for group in stack for part in group.parts for cell in part.cells]
    said = []
    n = fmt.shared_n(table)
    if table.kind == "effect":
        runs = {len(cell.run_ids) for row in table.rows for cell in row.cells.values()} - {0}
        said.append(rf"Effects with 95\% intervals{f', $n = {runs.pop()}$ runs' if len(runs) == 1 else ''}.")
    elif n is not None:
        spread = r"Mean $\pm$ sd" if any(fmt.known(c.sd) for row in table.rows for c in row.cells.values()) else "Mean"
        others = "".join(rf", \textsuperscript{{{letter}}}$n = {other}$" for other, letter in counts.items())
        said.append(rf"{spread}, $n = {n}$ run{'s' * (n != 1)}{others}.")
    legend = []
    if any(fmt.known(cell.delta) for row in table.rows for cell in row.cells.values()):
        than = "" if table.kind == "effect" else f" than {tex(_from(table))}"
        legend.append(rf"bold: decided better{than} (adjusted $p < .05$)")
    if any(r"\underline" in cell for cell in cells):
        legend.append("underlined: best mean of the column")
    said += [f"{'; '.join(legend)[0].upper()}{'; '.join(legend)[1:]}."] if legend else []
    said += ["$p$ is adjusted over the column."] if "p" in shown else []
    said += ["Reported: the paper's figures."] if "reported" in shown else []
    return said + ([f"{_NOTHING}: not measured."] if _NOTHING in cells else [])


def _from(table: Table) -> str:
    of_steps = any(fmt.known(cell.total) for row in table.rows for cell in row.cells.values())
    return "the step before" if of_steps else fmt.plain(table.baseline) or "the baseline"


def _comments(table: Table) -> list[str]:
    """What stays out of the float: which note holds of which cell, how it was tested, what is stale, and the claims."""
    notes = [*fmt.notes_of_cells(table), *table.notes]
    claims = [f"{claim.verdict}: {claim.text}{f' ({claim.why})' if claim.why else ''}" for claim in table.claims]
    return [f"% {fmt.plain(line)}" for line in (*notes, *claims)]
