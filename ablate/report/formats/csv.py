"""CSV for a spreadsheet or pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.report.declare import Format, StudyReport

if TYPE_CHECKING:
    from ablate.study.values.trials import TuningResult


def _study(report: StudyReport) -> str:
    from ablate.report.csv import render

    (table,) = report.tables
    return render(table)


def _tuning(result: TuningResult, best: str) -> str:
    from ablate.report.tuning_text import csv

    return csv(result)


FORMAT = Format(name="csv", suffix=".csv", study=_study, tuning=_tuning, one_table=True)
