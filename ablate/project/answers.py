"""What a study found, with what its runs cost: for pages and for a report of a whole study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ablate.analysis.table import Table
from ablate.project.advice import command, shown_file
from ablate.project.text import plural
from ablate.report.answer import answer
from ablate.report.declare import Sentence
from ablate.report.published import RunEntry, StudyEntry
from ablate.study.records import RunResult
from ablate.study.values.study import Study


def answer_of(study: Study, tables: Sequence[Table], results: Mapping[str, RunResult]) -> tuple[Sentence, ...]:
    """The sentences that stand before a whole study's tables; see `ablate.report.answer`."""
    again = command("grid", "run", shown_file(study), profile=study.profile, sets=study.sets)
    entry = StudyEntry(study.name, study.file, profile=study.profile, runs=runs_of(study, results), commands=(again,))
    return answer(study, tables, entry, again)


def runs_of(
    study: Study, results: Mapping[str, RunResult], again: Mapping[tuple[str, str], bool] | None = None
) -> dict[str, RunEntry]:
    """The study's runs as pages count them; `again` tells, by run and code, which came out bit-equal with later code."""
    return {run.run_id: _run(results.get(run.run_id), again or {}) for run in study.runs}


def _run(result: RunResult | None, again: Mapping[tuple[str, str], bool]) -> RunEntry:
    if result is None:
        return RunEntry("queued")
    if result.state != "done" or result.shown is None:
        return RunEntry(result.state, seconds=_seconds(result))
    code = result.environment.get("code")
    equal = again.get((result.run.run_id, str(code)))
    shown = str(code or "not recorded")[:12]
    return RunEntry(result.state, result.shown.ended, _hardware(result), shown, equal, _seconds(result))


def _hardware(result: RunResult) -> str:
    """`AMD EPYC, 2 threads, torch 2.11.0`, as far as it was recorded."""
    known = result.environment
    device = str(known.get("device") or result.device or "unknown hardware")
    threads = known.get("threads") if result.device in (None, "cpu") else None
    parts = [device, plural(threads, "thread") if isinstance(threads, int) else ""]
    torch = known.get("packages", {}).get("torch")
    return ", ".join([*filter(None, parts), *([f"torch {torch}"] if torch else [])])


def _seconds(result: RunResult) -> float:
    """Wall time of all attempts that have ended."""
    return sum(attempt.ended - attempt.started for attempt in result.attempts if attempt.ended is not None)
