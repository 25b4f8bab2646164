"""LaTeX tables, to paste into a paper."""

from __future__ import annotations

from ablate.report.declare import Format, StudyReport


def _study(report: StudyReport) -> str:
    from ablate.report.latex import render

    return "\n\n".join(render(table) for table in report.tables)


def _paper(report: StudyReport, width: float) -> str:
    from ablate.report.paper import render

    return "\n\n".join(render(table, width) for table in report.tables)


FORMAT = Format(name="latex", suffix=".tex", study=_study, styles={"paper": _paper})
