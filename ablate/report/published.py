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
from ablate.report.declare import Sentence
from ablate.study.designs.variants import file_name
from ablate.study.values.study import FULL, full_name

VERDICTS = ("holds", "contradicted", "undecided", "not testable")
AGREEMENTS = ("agrees", "differs", "not comparable")
NOT_RUN = "not run"
FULL_SCALE = "full scale"


def page_name(name: str, profile: str | None, *, other: bool) -> str:
    """What the page of a study or a paper is called: by its name alone at the scale that this means, else with the scale."""
    return file_name(name, scale=profile or FULL) if other else name


@dataclass(frozen=True)
class TableEntry:
    """A table, and how many of the runs that stand behind it are done."""

    table: Table
    done: int
    planned: int


@dataclass(frozen=True)
class RunEntry:
    """One run: its state (`queued` where it is not known yet) and, of a done one, when it ended (POSIX seconds), what it was
    trained on, the code that trained it, and whether it came out bit-equal where it was compared with later code. `seconds` are
    those of all of its attempts."""

    state: str
    ended: float | None = None
    hardware: str = ""
    code: str = ""
    again: bool | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class StudyEntry:
    """A study at the scale that is shown.

    other      whether its plain name means another scale, which has a page of its own
    file       relative to the repository, as commands take it
    runs       by run_id, so that one that several studies share is counted once
    tables     empty where nothing is done
    commands   what trains the runs that are missing, or all of them again
    """

    name: str
    file: str
    about: str = ""
    cite: Mapping[str, str] = field(default_factory=dict)
    profile: str | None = None
    runs: Mapping[str, RunEntry] = field(default_factory=dict)
    tables: tuple[TableEntry, ...] = ()
    commands: tuple[str, ...] = ()
    other: bool = False
    answer: tuple[Sentence, ...] = ()

    @property
    def label(self) -> str:
        """`lee2024`, or `lee2024 (full scale)` where the plain name means another scale."""
        return full_name(self.name, self.profile or FULL_SCALE) if self.other else self.name

    @property
    def done(self) -> int:
        return done([self])

    @property
    def planned(self) -> int:
        return len(self.runs)

    @property
    def page(self) -> str:
        """Its page's file beside the index; empty where nothing is done."""
        return f"{page_name(self.name, self.profile, other=self.other)}.html" if self.done else ""


@dataclass(frozen=True)
class Paper:
    """The studies of one folder. `differs` is what its README says differs; `unreadable` are files with mistakes.

    Each study is there at the scale that its plain name means. A scale that others were run at makes a paper of its own with
    `other`, whose `profile` it is; `beside` names the other pages of the paper and their files.
    """

    name: str
    studies: tuple[StudyEntry, ...]
    unreadable: tuple[str, ...] = ()
    differs: str = ""
    profile: str | None = None
    other: bool = False
    beside: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """`lee2024`, or `lee2024 (full scale)`."""
        return full_name(self.name, self.profile or FULL_SCALE) if self.other else self.name

    @property
    def page(self) -> str:
        """Its page's file beside the index."""
        return f"{page_name(self.name, self.profile, other=self.other)}.md"

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
    return f"profile {fmt.plain(study.profile)}" if study.profile else FULL_SCALE


def scales(studies: Iterable[StudyEntry]) -> str:
    """The scales of several studies, each once: `profile cpu, full scale`; `not run` only where all are."""
    found = dict.fromkeys(scale(study) for study in studies if study.done)
    return ", ".join(found) or NOT_RUN


def runs_of(studies: Iterable[StudyEntry]) -> dict[str, RunEntry]:
    """The runs of several studies, each once."""
    return {run_id: run for study in studies for run_id, run in study.runs.items()}


def done(studies: Iterable[StudyEntry]) -> int:
    """How many distinct runs are done."""
    return sum(run.state == "done" for run in runs_of(studies).values())


def progress(studies: Iterable[StudyEntry]) -> str:
    """`54 of 72 runs done, 2 failed`."""
    states = Counter(run.state for run in runs_of(studies).values())
    total = states.total()
    others = [f"{states[state]} {state}" for state in ("running", "failed", "lost", "cancelled") if states[state]]
    return ", ".join([f"{states['done']} of {total} run{'' if total == 1 else 's'} done", *others])


def cost(studies: Iterable[StudyEntry]) -> str:
    """What all attempts of the runs took, each run once: `12.3 device-hours`, `4 device-minutes`, `17 device-seconds`."""
    seconds = sum(run.seconds for run in runs_of(studies).values())
    if seconds >= 360:
        return f"{seconds / 3600:,.1f} device-hours"
    return f"{seconds / 60:.0f} device-minutes" if seconds >= 90 else f"{seconds:.0f} device-seconds"


def when(studies: Iterable[StudyEntry]) -> str:
    """The days on which the runs ended, in UTC: `2026-11-24`, `2026-11-24 to 2026-11-25`, or empty."""
    ended = [run.ended for run in runs_of(studies).values() if run.ended is not None]
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


def trained_on(studies: Iterable[StudyEntry]) -> list[str]:
    """`AMD EPYC, 2 threads (54 runs)`, `NVIDIA H200 (12 runs)`: the most used first; empty where nothing is done."""
    return _shares(run.hardware for run in runs_of(studies).values())


def trained_by(studies: Iterable[StudyEntry]) -> list[str]:
    """The code that trained the runs, as `trained_on` says the hardware."""
    return _shares(run.code for run in runs_of(studies).values())


def trained_again(studies: Iterable[StudyEntry]) -> str:
    """`12 runs were compared with later code: all came out bit-equal`; empty where none was."""
    again = [run.again for run in runs_of(studies).values() if run.again is not None]
    if not again:
        return ""
    if len(again) == 1:
        return f"1 run was compared with later code: it came out {'bit-equal' if again[0] else 'different'}"
    equal = "all" if all(again) else f"{sum(again)} of them"
    return f"{len(again)} runs were compared with later code: {equal} came out bit-equal"


def _shares(names: Iterable[str]) -> list[str]:
    total = Counter(name for name in names if name)
    ordered = sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))
    return [f"{fmt.plain(name)} ({number} run{'' if number == 1 else 's'})" for name, number in ordered]
