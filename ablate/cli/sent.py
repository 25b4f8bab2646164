"""What `ablate report` prints for a paper, or beside a report that was sent before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ablate.analysis.table import Table
from ablate.cli.common import print_json, say
from ablate.errors import UsageError, check_choice
from ablate.project.earlier import changes_since
from ablate.project.text import plural
from ablate.report.methods import methods
from ablate.study.designs.variants import file_name
from ablate.study.records import RunResult
from ablate.study.values.study import Study

_DOES = {"--all": "writes the HTML and Markdown pages of every study", "--figures": "writes files of figures"}


def refuse(option: str, given: Mapping[str, object]) -> None:
    """Raises UsageError where options are given that `option` cannot be combined with."""
    if names := [name for name, value in given.items() if value]:
        does = _DOES.get(option, "prints text, or JSON with --json")
        allowed = " Allowed: --out FOLDER, --experiments FOLDER, --db." if option == "--all" else ""
        raise UsageError(f"{option} {does}, so it cannot be combined with {', '.join(names)}.{allowed}")


def print_methods(study: Study, tables: Sequence[Table], results: Mapping[str, RunResult], *, json: bool) -> None:
    """A paragraph for a paper, and its BibTeX."""
    found = methods(study, tables, results)
    print_json(found.document()) if json else print(found.markdown())


def print_changes(file: Path, study: Study, tables: Sequence[Table], only: str | None, *, json: bool) -> None:
    """What changed since the report in `file`."""
    changes = changes_since(file, study, tables, only)
    if json:
        print_json(
            {
                "schema": 1,
                "study": study.name,
                "profile": study.profile,
                "set": list(study.sets),
                "since": str(file),
                "changes": [change.document() for change in changes.found],
                "text": list(changes.sentences),
            }
        )
        return
    print("\n".join(changes.sentences) or f"Nothing has changed since {file}: verdicts, means and runs are the same.")


def write_figures(tables: Sequence[Table], out: Path | None, study: Study, scale: str, kind: str) -> None:
    """The figures as files in a folder; without what draws them, a word on what to install."""
    from ablate.report import figure_files

    check_choice(f"--figures {kind}", kind, figure_files.KINDS, code="unknown-format")
    folder = out or Path("reports")
    try:
        written = figure_files.write_figures(tables, folder, file_name(study.name, study.sets, scale), kind)
    except figure_files.CannotDraw as why:
        say(f"figures are skipped: {why}.")
        return
    say("\n".join(f"written: {path}" for path in written) or f"{plural(len(tables), 'table')} without a figure")
