"""Everything that is published, written as pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ablate.errors import Problem, UsageError
from ablate.project.gathering import Gathered, collect
from ablate.project.pages import study_report
from ablate.project.telling import tell
from ablate.report.html import render_html, write_plotlyjs, write_report
from ablate.report.index import INDEX, render_index
from ablate.report.pages import MADE, README, markdown_pages
from ablate.report.published import Collection, StudyEntry, counted, page_name, progress, scale, verdicts


@dataclass(frozen=True)
class Published:
    """`summary` is a line a study; `problems` are the mistakes of study files that were left out."""

    summary: str
    index: Path
    markdown: Path
    problems: tuple[Problem, ...]


def publish(experiments: Path, out: Path, db: str | None) -> Published:
    """Write the pages of all studies below `experiments` into `out`. Files with mistakes are left out.

    Raises NotFound where nothing at all is done,
    UsageError and NoSpaceOrPermission where `out` cannot be written to.
    """
    if out.suffix in (".html", ".md") or out.is_file():
        raise UsageError(f"{out}: must be a folder, for the pages of all studies.", code="not-a-folder")
    found = collect(experiments, db)
    texts = markdown_pages(found.collection)
    _refuse_others(out, texts)
    write_plotlyjs(out)
    for entry in found.collection.studies:
        if entry.page:
            write_report(out / entry.page, _study_page(entry, found.gathered[entry.label]))
    for name, text in {INDEX: render_index(found.collection), **texts}.items():
        write_report(out / name, text)
    for path in _overtaken(out, found.collection):
        path.unlink()
        tell(f"removed: {path}, since its scale now has the main page")
    return Published(_summary(found.collection), out / INDEX, out / README, found.problems)


def _overtaken(out: Path, collection: Collection) -> list[Path]:
    """Pages of ours that showed another scale, which now has the main page."""
    mains = [
        (paper.name, study) for paper in collection.papers for study in paper.studies if study.done and not study.other
    ]
    written = {paper.page for paper in collection.papers} | {study.page for study in collection.studies}
    names = {f"{page_name(paper, study.profile, other=True)}.md" for paper, study in mains}
    names |= {f"{page_name(study.name, study.profile, other=True)}.html" for _, study in mains}
    found = [out / name for name in sorted(names - written) if (out / name).is_file()]
    signs = (MADE, "Made with ablate")
    return [path for path in found if any(sign in path.read_text(encoding="utf-8", errors="replace") for sign in signs)]


def _refuse_others(out: Path, names: Iterable[str]) -> None:
    """Raises UsageError where a page would replace a file that ablate did not write, such as a README."""
    for name in names:
        path = out / name
        if path.is_file() and MADE not in path.read_text(encoding="utf-8", errors="replace"):
            message = f"{path} was not written by ablate and would be replaced. Use another folder, or move the file."
            raise UsageError(message, code="would-overwrite")


def _study_page(entry: StudyEntry, item: Gathered) -> str:
    tables, runs = [table.table for table in entry.tables], list(item.results.values())
    report = study_report(item.study, tables, runs, title=entry.label, answer=entry.answer)
    return render_html(report, plotlyjs="shared", home=INDEX)


def _summary(collection: Collection) -> str:
    """One line a study."""
    return "\n".join(
        f"{study.name} ({scale(study)}): {progress([study])}; claims: {counted(verdicts([study]))}"
        for study in collection.studies
    )
