"""As a terminal shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.report.declare import Format, StudyReport

if TYPE_CHECKING:
    from ablate.study.values.trials import TuningResult


def _study(report: StudyReport) -> str:
    from rich.console import Console

    from ablate.report.terminal import print_answer, print_table

    console = Console(highlight=False)
    with console.capture() as captured:
        print_answer(report.about, report.answer, console)
        for table in report.tables:
            print_table(table, console)
    return captured.get()


def _tuning(result: TuningResult, best: str) -> str:
    from ablate.report.tuning_text import text

    return text(result, best)


FORMAT = Format(name="text", suffix=".txt", study=_study, tuning=_tuning)
