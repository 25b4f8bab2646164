"""The JSON documents that the command line promises."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ablate.report.declare import Format, StudyReport

if TYPE_CHECKING:
    from ablate.study.values.trials import TuningResult


def _study(report: StudyReport) -> str:
    from ablate.report.json import document

    tables = [document(table) for table in report.tables]
    found = tables[0] if len(tables) == 1 else {"schema": 1, "tables": tables}
    if report.answer:
        found["answer"] = [sentence.document() for sentence in report.answer]
    return json.dumps(found, indent=2 if len(tables) == 1 else 1, allow_nan=False, ensure_ascii=False) + "\n"


def _tuning(result: TuningResult, best: str) -> str:
    from ablate.report.tuning_text import json_text

    return json_text(result)


FORMAT = Format(name="json", suffix=".json", study=_study, tuning=_tuning)
