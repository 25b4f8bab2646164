"""What a report format declares of itself.

Declarations are read whenever the command line starts, so nothing at the top of a declaration's file imports Plotly, NumPy or a
template engine; its functions do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ablate.analysis.table import Table
    from ablate.study.records import RunResult
    from ablate.study.values.trials import TuningResult


PAPER_WIDTH = 345.0
"""Points that a table in a paper's style may be wide unless told otherwise: the text of `article` at 10 pt."""


@dataclass(frozen=True)
class Sentence:
    """One sentence, and where its numbers stand: a table, the first of the rows that it names, a metric, a verdict."""

    text: str
    table: str = ""
    row: str = ""
    metric: str = ""
    verdict: str = ""

    def document(self) -> dict[str, str | None]:
        """As JSON gives it; what a sentence has none of is null."""
        return {key: value or None for key, value in vars(self).items()}


@dataclass(frozen=True, kw_only=True)
class StudyReport:
    """What is to be written of a study: its tables, and what stands around them on a page.

    `title` is the study's name, `about` its question, `cite` its citation, `source` its YAML, `ran` the recipe that ran where that
    is another than the file's, as YAML, `runs` the runs behind the numbers, `answer` what they come to, for a whole study, `again` the
    command that trains a run again, without the run, `logs` the ends of the runs' logs by run id: with them, be they empty, a page
    has all curves and matrices of its runs, too.
    """

    tables: Sequence[Table]
    title: str = ""
    about: str = ""
    cite: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    ran: str = ""
    runs: Sequence[RunResult] = ()
    answer: Sequence[Sentence] = ()
    again: str = ""
    logs: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format as `--format NAME` takes it.

    suffix      of its files, with the dot
    study       a study's report as text; None where it is for tunings only
    tuning      a tuning's result, and its best arms as a study's YAML, as text; None where it is for studies only
    one_table   a document holds one table, so several need a folder
    page        a document is a page to look at: it is written to reports/ unless told otherwise, and holds all tables of a study
    importance  a tuning is written with the share of each setting, which takes a while to work out
    styles      other ways to write a study's report, by name; each takes the width in points that it must keep to
    """

    name: str
    suffix: str
    study: Callable[[StudyReport], str] | None = None
    tuning: Callable[[TuningResult, str], str] | None = None
    one_table: bool = False
    page: bool = False
    importance: bool = False
    styles: Mapping[str, Callable[[StudyReport, float], str]] = field(default_factory=dict)
