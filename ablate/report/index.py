"""The HTML page that lists all published studies: papers, their studies, their tables, with links to each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ablate.report import format as fmt
from ablate.report import published as say
from ablate.report.html import asset, environment, policy
from ablate.report.page import chip, table_id
from ablate.report.published import Collection, Paper, StudyEntry, TableEntry
from ablate.version import __version__

INDEX = "index.html"


def render_index(collection: Collection) -> str:
    """The page as text; it runs no script and needs no other file."""
    studies = collection.studies
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            database=fmt.plain(collection.database),
            progress=f"{say.progress(studies)}, {say.cost(studies)}",
            answer=[_answer(study) for study in studies if study.page and study.answer],
            when=say.when(studies),
            hardware="; ".join(say.trained_on(studies)),
            claims=_chips(say.verdicts(studies)),
            papers=[_paper(paper) for paper in collection.papers],
            version=__version__,
            policy=policy([], shared=False),
            style=asset("report.css"),
        )
    )


def _paper(paper: Paper) -> dict[str, Any]:
    return {
        "name": fmt.plain(paper.label),
        "title": paper.title,
        "source": paper.source,
        "markdown": quote(paper.page),
        "studies": [_study(study) for study in paper.studies],
        "unreadable": list(paper.unreadable),
    }


def _answer(study: StudyEntry) -> dict[str, Any]:
    """What the study found, in its first sentence, and how its claims did; its last sentence, on the runs, is the page's own."""
    found = [sentence for sentence in study.answer[:-1] if sentence.table]
    claims = [sentence for sentence in study.answer[:-1] if not sentence.table]
    return {
        "name": fmt.plain(study.label),
        "page": study.page,
        "text": " ".join(fmt.plain(sentence.text) for sentence in (*found[:1], *claims)),
        "decided": bool(found) and found[0].verdict == "decided",
    }


def _study(study: StudyEntry) -> dict[str, Any]:
    return {
        "name": fmt.plain(study.label),
        "page": study.page,
        "about": fmt.plain(study.about),
        "scale": say.scale(study),
        "whole": study.done == study.planned,
        "progress": say.progress([study]),
        "when": say.when([study]),
        "commands": list(study.commands),
        "tables": [_table(study, place, entry) for place, entry in enumerate(study.tables, 1)],
    }


def _table(study: StudyEntry, place: int, entry: TableEntry) -> dict[str, Any]:
    table = entry.table
    alone = [StudyEntry(study.name, study.file, tables=(entry,))]
    return {
        "name": fmt.plain(table.name),
        "link": f"{study.page}#{table_id(place, table.name)}",
        "caption": fmt.plain(table.caption),
        "done": entry.done,
        "planned": entry.planned,
        "verdicts": _chips(say.verdicts(alone)) + _chips(say.agreements(alone), "figure"),
    }


def _chips(counts: Mapping[str, int], noun: str = "") -> list[dict[str, str]]:
    """A chip for each word that is counted at all: `2 holds`, `8 figures not comparable`."""

    def text(word: str, number: int) -> str:
        return f"{number} {noun}{'' if number == 1 else 's'} {word}" if noun else f"{number} {word}"

    return [chip(word) | {"text": text(word, number)} for word, number in counts.items() if number]
