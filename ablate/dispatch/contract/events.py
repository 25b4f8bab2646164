"""What happens in a grid, as frozen values for a live display, a log or a test.

Events of one slot arrive in their order; the executor calls `on_event` from one thread at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ablate.errors import AblateError, DatabaseGone
from ablate.study.recipes.digest import SHORT
from ablate.study.records import EpochRecord, Progress
from ablate.study.values.run import Run


@dataclass(frozen=True)
class GridReport:
    """How a grid ended, each run counted once, by the last state that this grid saw of it.

    `released` runs were given back on a signal, a stop or a full disk; `fenced` ones were taken over by another
    worker, whose result counts; `pruned` ones were ended early by a judge. `unrecorded` are the ids of those that were
    trained when the results database had gone. `interrupted` is the signal's number, or 0. `errors` are what kept the
    grid from going on, not the errors of single runs. `blocked` counts runs that nothing can start. `started` counts the
    attempts that were begun here; it is 0 where workers are elsewhere.
    """

    done: int = 0
    failed: int = 0
    lost: int = 0
    released: int = 0
    fenced: int = 0
    blocked: int = 0
    pruned: int = 0
    started: int = 0
    interrupted: int = 0
    unrecorded: tuple[str, ...] = ()
    errors: tuple[AblateError, ...] = ()
    seconds: float = 0.0

    @classmethod
    def of(cls, states: Iterable[str], **rest: Any) -> GridReport:
        """From the last state of each run."""
        count = Counter(states)
        counted = ("done", "failed", "lost", "released", "fenced", "pruned")
        fields: dict[str, Any] = {state: count[state] for state in counted}
        return cls(**fields, **rest)

    @property
    def exit_code(self) -> int:
        """130 after SIGINT, 143 after SIGTERM; else the first error's; 4 where a run failed, was lost or is blocked."""
        if self.interrupted:
            return 128 + self.interrupted
        if self.errors:
            return self.errors[0].exit_code
        return 4 if self.failed or self.lost or self.blocked else 0

    @property
    def gone(self) -> DatabaseGone | None:
        """Why nothing can be recorded any more, where that is so."""
        return next((error for error in self.errors if isinstance(error, DatabaseGone)), None)

    def explained(self, home: Path) -> GridReport:
        """Where the results database has gone: the same, with one error that says what became of the runs and what to do."""
        gone = self.gone
        if gone is None:
            return self
        said = [f"{gone}. Everything was stopped at once, and nothing was written to what lies there now."]
        if self.unrecorded:
            ids = ", ".join(run_id[:SHORT] for run_id in self.unrecorded)
            said.append(f"Trained but not recorded: {len(self.unrecorded)} of this grid's runs ({ids}).")
        if self.done:
            runs = "1 run" if self.done == 1 else f"{self.done} runs"
            said.append(
                f"{runs} of this grid had ended before; their results are in the file that is gone, and nowhere else."
            )
        said.append(
            f"Checkpoints, weights and logs are in {home / 'runs'}, and a run goes on from its checkpoint. Put the file back, "
            "or a backup with `ablate db restore FILE`, and start again."
        )
        return replace(self, errors=(DatabaseGone("\n".join(said)),))


class Event:
    """Something that happened in a grid."""


@dataclass(frozen=True)
class WorkerStarted(Event):
    """A slot's worker is ready after `seconds` of start-up (imports)."""

    slot: int
    seconds: float


@dataclass(frozen=True)
class RunStarted(Event):
    run: Run
    slot: int
    attempt: int


@dataclass(frozen=True)
class RunProgress(Event):
    slot: int
    progress: Progress


@dataclass(frozen=True)
class EpochDone(Event):
    """One epoch is in the store."""

    slot: int
    run_id: str
    records: tuple[EpochRecord, ...]


@dataclass(frozen=True)
class RunEnded(Event):
    """`state` is `done`, `failed`, `lost`, `released`, `pruned`, `fenced` or `unrecorded`; `seconds` the wall time of this attempt.

    `metrics` is empty unless done; `error` says why where it is not done; `kind` is one of `store.values.KINDS` where it
    failed.
    """

    slot: int
    run_id: str
    attempt: int
    state: str
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    kind: str | None = None


@dataclass(frozen=True)
class WorkerReplaced(Event):
    """A worker process ended, and a fresh one takes the slot's next run."""

    slot: int
    reason: str


@dataclass(frozen=True)
class WorkerEnded(Event):
    """A worker elsewhere ended before its time, and none takes its place; `reason` is a sentence."""

    name: str
    reason: str


@dataclass(frozen=True)
class Waiting(Event):
    """Nothing to do at present; `reason` is a sentence."""

    slot: int
    reason: str


@dataclass(frozen=True)
class Stopping(Event):
    """A signal arrived: running runs checkpoint and are given back."""

    signal: int


@dataclass(frozen=True)
class GridEnded(Event):
    report: GridReport
