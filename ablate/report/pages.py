"""Published results as Markdown to commit: one page a paper, and an index of them.

The same database and study files give the same bytes: dates are those of the runs, and nothing is said of the code as it
is now or of the machine that writes the page. What a table says of staleness is therefore left out; the code that trained
the runs is named instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from urllib.parse import quote

from ablate.analysis.notes import OF_THE_PRESENT
from ablate.analysis.table import Table
from ablate.report import format as fmt
from ablate.report import published as say
from ablate.report.markdown import answer, body, escape, heading
from ablate.report.published import Collection, Paper, StudyEntry, TableEntry

README = "README.md"
MADE = "Made by `make reports`; do not edit."
"""On every page: tells it from a file written by hand."""
FEW = 24
"""Tables of more rows are folded."""
MOST_CODES = 3
"""How many of the codes that trained are named."""
DIFFERS = "What differs"

_PLACE = re.compile(r"(?<![\w./:~\\-])(?:\\?~)?/(?:[^\s/:;,()]+/)+([^\s/:;,()]+)")
"""A path from the root of a file system, as an error that a cell repeats may hold; its last part is kept."""


def markdown_pages(collection: Collection) -> dict[str, str]:
    """Every page by its file's name."""
    papers = {paper.page: paper_page(paper) for paper in collection.papers}
    return {**papers, README: index_page(collection)}


def paper_page(paper: Paper) -> str:
    """One paper: its studies at a glance, what differs, then each study with its tables. Ends in a newline."""
    title = f"{paper.label}: {paper.title or 'results'}"
    blocks = [f"# {escape(title)}"]
    if paper.source:
        blocks.append(f"*{escape(paper.source)}*")
    beside = "".join(f" Also: [{escape(label)}]({quote(page)})." for label, page in paper.beside.items())
    blocks.append(f"{MADE} All papers: [{README}]({README}).{beside}")
    blocks.append(_table(_STUDY_HEADS, [_study_line(study) for study in paper.studies]))
    blocks += [_unreadable(file) for file in paper.unreadable]
    if paper.differs:
        blocks.append(f"## {DIFFERS}\n\n{paper.differs}")
    for study in paper.studies:
        blocks += _study(study)
    return _joined(blocks)


def index_page(collection: Collection) -> str:
    """All papers, a line each with the verdicts on their claims, and how to make the pages again. Ends in a newline."""
    papers, studies = collection.papers, collection.studies
    span = say.when(studies)
    blocks = [
        "# Published results",
        f"From {_span(collection.database)}: {say.progress(studies)}{', ' + span if span else ''}. {MADE}",
        _table(
            ["paper", "studies run", "scale", "runs done", "when", "claims", "the paper's figures"],
            [*(_paper_line(paper) for paper in papers), _line("**all**", studies)],
        ),
        "Counts: verdicts on the papers' claims, and reported figures that were measured here; a run "
        "shared by several studies counts once. Under a profile our verdicts hold, but nothing is comparable with a paper.",
        *_made_with(studies),
    ]
    blocks += [_unreadable(file) for paper in papers for file in paper.unreadable]
    blocks.append("## Claims\n\n" + "\n".join(_claims(papers)))
    blocks.append(
        "## Make them again\n\n```\nmake reports\n```\n\nwrites these pages and, beside them, one HTML page a study with "
        "its figures and `index.html`, which git does not keep. The runs themselves:\n\n"
        + _code(command for study in studies for command in study.commands[:1])
    )
    return _joined(blocks)


def what_differs(readme: str) -> str:
    """The text under a README's heading `What differs`, as it is, up to the next heading of its level or above; or empty."""
    kept: list[str] = []
    level, fenced = 0, False
    for line in readme.splitlines():
        fenced ^= line.lstrip().startswith(("```", "~~~"))
        found = None if fenced else re.match(r"(#{1,6})\s+(.*?)\s*#*\s*$", line)
        if found and level and len(found[1]) <= level:
            break
        if level:
            kept.append(line)
        elif found and found[2] == DIFFERS:
            level = len(found[1])
    return "\n".join(kept).strip("\n")


# A paper's page ---------------------------------------------------------------------------------------------------------

_STUDY_HEADS = ("study", "question", "scale", "runs done", "when", "claims", "the paper's figures")


def _study_line(study: StudyEntry) -> list[str]:
    anchor = re.sub(r"[^a-z0-9_-]", "", study.name)
    return [
        f"[{escape(study.name)}](#{anchor})",
        escape(study.about),
        escape(say.scale(study)),
        f"{study.done} of {study.planned}",
        say.when([study]) or fmt.MISSING,
        say.counted(say.verdicts([study])),
        say.counted(say.agreements([study])),
    ]


def _study(study: StudyEntry) -> list[str]:
    blocks = [f"## {escape(study.name)}", escape(study.about, starts_block=True)]
    if not study.done:
        return [
            *blocks,
            f"Not run: none of {study.planned} runs of {_span(study.file)} is done. To run it:",
            _code(study.commands),
        ]
    lines = list(dict.fromkeys(fmt.scale_line(entry.table) for entry in study.tables))
    if len(lines) == 1:
        blocks.append(f"> {escape(lines[0], starts_block=True)}")
    span = say.when([study])
    blocks.append(f"{_span(study.file)}: {say.progress([study])}{', ' + span if span else ''}.")
    blocks += [answer(study.answer), *_made_with([study])]
    if study.done < study.planned:
        blocks += ["The rest:", _code(study.commands)]
    for entry in study.tables:
        blocks += _entry(entry, own_scale=len(lines) > 1)
    return blocks


def _entry(entry: TableEntry, *, own_scale: bool) -> list[str]:
    table = _for_ever(entry.table)
    rows, *rest = body(table)
    if len(table.rows) > FEW:
        rows = f"<details>\n<summary>{len(table.rows)} rows</summary>\n\n{rows}\n\n</details>"
    blocks = [heading(table), f"{entry.done} of {entry.planned} runs done."]
    if own_scale:
        blocks.append(f"> {escape(fmt.scale_line(table), starts_block=True)}")
    return [without_places(block) for block in [*blocks, rows, *rest]]


def _for_ever(table: Table) -> Table:
    """The table without what is only true beside the present code."""
    return replace(table, notes=tuple(note for note in table.notes if not note.startswith(OF_THE_PRESENT)))


def without_places(text: str) -> str:
    """`text` with every path from the root of a file system cut to its last part: pages name nothing of a machine."""
    return _PLACE.sub(r"\1", text)


# The index --------------------------------------------------------------------------------------------------------------


def _paper_line(paper: Paper) -> list[str]:
    title = f": {escape(paper.title)}" if paper.title else ""
    return _line(f"[{escape(paper.label)}]({quote(paper.page)}){title}", paper.studies)


def _line(name: str, studies: Sequence[StudyEntry]) -> list[str]:
    run = {study.name for study in studies if study.done}
    return [
        name,
        f"{len(run)} of {len({study.name for study in studies})}",
        escape(say.scales(studies)),
        f"{say.done(studies)} of {len(say.runs_of(studies))}",
        say.when(studies) or fmt.MISSING,
        say.counted(say.verdicts(studies)),
        say.counted(say.agreements(studies)),
    ]


def _claims(papers: Iterable[Paper]) -> list[str]:
    """One line a claim, by paper, study and table."""
    lines = []
    for paper in papers:
        for study in paper.studies:
            for entry in study.tables:
                for claim in entry.table.claims:
                    where = f"[{escape(paper.label)}]({quote(paper.page)}), {escape(study.name)}, {escape(entry.table.name)}"
                    lines.append(f"- {claim.verdict}: {escape(claim.text)} ({where})")
    return lines or ["No study that has run makes a claim."]


# Both -------------------------------------------------------------------------------------------------------------------


def _made_with(studies: Sequence[StudyEntry]) -> list[str]:
    hardware, code = say.trained_on(studies), say.trained_by(studies)
    blocks = [f"Hardware: {escape(without_places('; '.join(hardware)))}."] if hardware else []
    present = f"{_span('ablate report STUDY')} tells which results were trained by other code than the present."
    again = f" {said}." if (said := say.trained_again(studies)) else ""
    more = f" and {len(code) - MOST_CODES} more" if len(code) > MOST_CODES else ""
    return [*blocks, f"Code: {escape('; '.join(code[:MOST_CODES]))}{more}.{again} {present}"] if code else blocks


def _unreadable(file: str) -> str:
    return f"{_span(file)} has mistakes and was skipped; {_span(f'ablate grid check {file}')} names them."


def _span(text: str) -> str:
    """`text` as code on one line; a backtick would end it."""
    return f"`{fmt.plain(text).replace('`', '')}`"


def _code(lines: Iterable[str]) -> str:
    return "```\n" + "\n".join(lines) + "\n```"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _joined(blocks: Iterable[str]) -> str:
    return "\n\n".join(block for block in blocks if block) + "\n"
