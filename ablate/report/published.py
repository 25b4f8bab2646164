"""Published results as frozen values: papers, their studies, their tables, and the words that all of their pages share.

The command line gathers them; `ablate.report.pages` writes them as Markdown, `ablate.report.index` as an HTML page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ablate.analysis.table import Table
from ablate.report import format as fmt

VERDICTS = ("holds", "contradicted", "undecided", "not testable")
AGREEMENTS = ("agrees", "differs", "not comparable")
NOT_RUN = "not run"


@dataclass(frozen=True)
class TableEntry:
    """A table, and how many of the runs that stand behind it are done."""

    table: Table
    done: int
    planned: int


@dataclass(frozen=True)
class StudyEntry:
    """A study at the scale that is shown.

    file       relative to the repository, as commands take it
    states     how many runs are in each state; a run that is not known yet is `queued`
    ended      when its done runs ended, POSIX seconds
    hardware   what its done runs were trained on, with their number; `code` the same of the code that trained them
    tables     empty where nothing is done
    commands   what trains the runs that are missing, or all of them again
    """

    name: str
    file: str
    about: str = ""
    cite: Mapping[str, str] = field(default_factory=dict)
    profile: str | None = None
    states: Mapping[str, int] = field(default_factory=dict)
    ended: tuple[float, ...] = ()
    hardware: Mapping[str, int] = field(default_factory=dict)
    code: Mapping[str, int] = field(default_factory=dict)
    tables: tuple[TableEntry, ...] = ()
    commands: tuple[str, ...] = ()

    @property
    def done(self) -> int:
        return self.states.get("done", 0)

    @property
    def planned(self) -> int:
        return sum(self.states.values())

    @property
    def page(self) -> str:
        """Its page's file beside the index; empty where nothing is done."""
        return f"{self.name}.html" if self.done else ""


@dataclass(frozen=True)
class Paper:
    """The studies of one folder. `differs` is what its README says differs; `unreadable` are files with mistakes."""

    name: str
    studies: tuple[StudyEntry, ...]
    unreadable: tuple[str, ...] = ()
    differs: str = ""

    @property
    def title(self) -> str:
        return next((fmt.plain(study.cite.get("title", "")) for study in self.studies if study.cite.get("title")), "")

    @property
    def source(self) -> str:
        return next((fmt.plain(study.cite.get("source", "")) for study in self.studies if study.cite.get("source")), "")


@dataclass(frozen=True)
class Collection:
    """All that is published. `database` is the database's name, without the folder that it lies in."""

    database: str
    papers: tuple[Paper, ...]

    @property
    def studies(self) -> tuple[StudyEntry, ...]:
        return tuple(study for paper in self.papers for study in paper.studies)


def scale(study: StudyEntry) -> str:
    """`full scale`, `profile cpu`, or `not run`."""
    if not study.done:
        return NOT_RUN
    return f"profile {fmt.plain(study.profile)}" if study.profile else "full scale"


def scales(studies: Iterable[StudyEntry]) -> str:
    """The scales of several studies, each once: `profile cpu, full scale`; `not run` only where all are."""
    found = dict.fromkeys(scale(study) for study in studies if study.done)
    return ", ".join(found) or NOT_RUN


def progress(studies: Iterable[StudyEntry]) -> str:
    """`54 of 72 runs done, 2 failed`."""
    states: Counter[str] = Counter()
    for study in studies:
        states.update(study.states)
    total = states.total()
    others = [f"{states[state]} {state}" for state in ("running", "failed", "lost", "cancelled") if states[state]]
    return ", ".join([f"{states['done']} of {total} run{'' if total == 1 else 's'} done", *others])


def when(studies: Iterable[StudyEntry]) -> str:
    """The days on which the runs ended, in UTC: `2026-11-24`, `2026-11-24 to 2026-11-25`, or empty."""
    ended = [at for study in studies for at in study.ended]
    if not ended:
        return ""
    first, last = (datetime.fromtimestamp(at, UTC).date().isoformat() for at in (min(ended), max(ended)))
    return first if first == last else f"{first} to {last}"


def verdicts(studies: Iterable[StudyEntry]) -> dict[str, int]:
    """How many claims of the studies' tables have each of `VERDICTS`."""
    found = Counter(claim.verdict for study in studies for entry in study.tables for claim in entry.table.claims)
    return {verdict: found[verdict] for verdict in VERDICTS}


def agreements(studies: Iterable[StudyEntry]) -> dict[str, int]:
    """How many of the papers' figures have each of `AGREEMENTS` with ours; those that were not measured are left out."""
    found = Counter(
        fmt.agreement(cell, entry.table.comparable)
        for study in studies
        for entry in study.tables
        for row in entry.table.rows
        for cell in row.cells.values()
    )
    return {word: found[word] for word in AGREEMENTS}


def counted(counts: Mapping[str, int]) -> str:
    """`2 holds, 1 undecided`; `—` where there are none."""
    return ", ".join(f"{number} {fmt.plain(word)}" for word, number in counts.items() if number) or fmt.MISSING


def trained_on(studies: Iterable[StudyEntry]) -> str:
    """`AMD EPYC, 2 threads (54 runs), NVIDIA H200 (12 runs)`, the most used first; empty where nothing is done."""
    return _shares(study.hardware for study in studies)


def trained_by(studies: Iterable[StudyEntry]) -> str:
    """The code that trained the runs, as `trained_on` says the hardware."""
    return _shares(study.code for study in studies)


def _shares(counts: Iterable[Mapping[str, int]]) -> str:
    total: Counter[str] = Counter()
    for item in counts:
        total.update(item)
    ordered = sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))
    return "; ".join(f"{fmt.plain(name)} ({number} run{'' if number == 1 else 's'})" for name, number in ordered)
