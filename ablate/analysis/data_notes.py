"""What the runs of a table noted of their data: files left out, official parts that were pooled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ablate.analysis.scale import detail
from ablate.study.records import RunResult


def data_notes(results: Sequence[RunResult]) -> Iterable[str]:
    """Each note once, with the number of runs that it holds for where that is not all of them."""
    counts: dict[str, int] = {}
    for result in results:
        for note in dict.fromkeys(detail(result.details, "data", "notes") or ()):
            counts[str(note)] = counts.get(str(note), 0) + 1
    for note, count in counts.items():
        yield f"Data: {note}" if count == len(results) else f"Data of {count} of {len(results)} runs: {note}"
