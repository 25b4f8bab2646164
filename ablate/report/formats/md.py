"""GitHub-flavoured Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.report.declare import Format, StudyReport

if TYPE_CHECKING:
    from ablate.study.values.trials import TuningResult


def _study(report: StudyReport) -> str:
    from ablate.report.markdown import answer, escape, render

    said = [escape(report.about, starts_block=True), answer(report.answer)] if report.answer else []
    return "\n\n".join([*filter(None, said), *(render(table) for table in report.tables)])


def _tuning(result: TuningResult, best: str) -> str:
    from ablate.report.tuning_text import markdown

    return markdown(result, best)


FORMAT = Format(name="md", suffix=".md", study=_study, tuning=_tuning, importance=True)
