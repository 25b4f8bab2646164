"""GitHub-flavoured Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.report.declare import Format, StudyReport

if TYPE_CHECKING:
    from ablate.study.values.trials import TuningResult


def _study(report: StudyReport) -> str:
    from ablate.report.markdown import answer, render

    return "\n\n".join([*filter(None, [answer(report.answer)]), *(render(table) for table in report.tables)])


def _tuning(result: TuningResult, best: str) -> str:
    from ablate.report.tuning_text import markdown

    return markdown(result, best)


FORMAT = Format(name="md", suffix=".md", study=_study, tuning=_tuning, importance=True)
