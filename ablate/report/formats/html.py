"""One page with tables, claims and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.report.declare import Format, StudyReport

if TYPE_CHECKING:
    from ablate.study.values.trials import TuningResult


def _study(report: StudyReport) -> str:
    from ablate.report.html import render_html

    return render_html(report)


def _tuning(result: TuningResult, best: str) -> str:
    from ablate.report.tuning_page import render_tuning

    return render_tuning(result, best)


FORMAT = Format(name="html", suffix=".html", study=_study, tuning=_tuning, page=True, importance=True)
