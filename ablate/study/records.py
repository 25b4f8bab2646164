"""The values that cross layers: what a trainer reports, and what the store gives back.

Trainers hand `EpochRecord`s and an `Outcome` to whoever runs them; the store returns `RunResult`s, detached from the
database; the analysis reads nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ablate.study.code.provenance import Code
from ablate.study.values.run import Run


@dataclass(frozen=True)
class EpochRecord:
    """The metrics of one split after one epoch. Epochs count from 1; split is `train`, `val` or `test`."""

    epoch: int
    split: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Confusion:
    """Counts by true class (row) and predicted class (column), with the classes' names in that order.

    `at` is `last` or `selected`: the epoch that it was taken at.
    """

    split: str
    at: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Artifact:
    """A file that a run made. `path` is relative to the run folder; `sha256` has 64 hex digits."""

    kind: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Outcome:
    """How a run ended well.

    `metrics` holds the final numbers under the names that tables use: `top1`, `top5`, `loss`, `mean_class_accuracy` of the
    reported split at the last epoch (at the selected one where the recipe selects), `train_*` and `val_*` beside them,
    `examples_per_second`, `peak_memory` (bytes). Absent is absent: no NaN.
    `reported_split` is `test`, or `val` where there is no test set. `details` is JSON-ready and free.
    """

    metrics: Mapping[str, float]
    reported_split: str = "val"
    selected_epoch: int | None = None
    confusions: tuple[Confusion, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """Where a live run stands, for people to look at; never recorded. `step` of `steps` counts over the whole run."""

    run_id: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None = None
    top1: float | None = None


@dataclass
class Context:
    """What a trainer is given besides the run.

    `run_dir` is the run's own folder, the same for all of its attempts, where checkpoints and the log lie.
    `on_epoch` takes the records of all splits of one epoch (one commit). `should_stop` is polled at each step: a signal
    number to checkpoint and raise `Interrupted`, or 0. `options` changes speed, never what is drawn:
    `channels_last`, `compile`, `deterministic`, `keep`, `checkpoint_seconds`, `needed_by_child`.
    `parent_dir` is the run folder of the run that this one starts from. `code` is what a trainer that is not ours noted of its
    files as the attempt began.
    """

    run_dir: Path
    device: str = "cpu"
    threads: int = 1
    on_epoch: Callable[[Sequence[EpochRecord]], None] = lambda records: None
    on_progress: Callable[[Progress], None] = lambda progress: None
    should_stop: Callable[[], int] = lambda: 0
    options: Mapping[str, Any] = field(default_factory=dict)
    parent_dir: Path | None = None
    code: Code | None = None


class Fit(Protocol):
    """All that a worker knows of a trainer."""

    def __call__(self, run: Run, context: Context) -> Outcome: ...


@dataclass(frozen=True)
class AttemptResult:
    """One execution of a run, ended or not. Times are POSIX seconds by the database's clock."""

    number: int
    state: str
    worker: str
    started: float
    ended: float | None
    error: str | None
    environment: Mapping[str, Any]
    fingerprint: str | None


@dataclass(frozen=True)
class RunResult:
    """A run as the store knows it, detached from the database.

    `epochs` maps an epoch to {name: value}, `train_`, `val_` and `test_` before the split's own metrics, and the reported
    split's again without a prefix; for each epoch and split the newest attempt counts.
    `metrics` holds the final numbers of a done run, `seconds` the wall time of the attempt that ended it, `details` what its
    trainer told besides (`Outcome.details`). A done run whose code is another here is `stale`, and `why_stale` names the files
    that differ, where they are known; not `code_known`: its script is not here, so it cannot be told. `verified` (one of `ablate.study.code.verified.HOW`): other code trained it,
    and the present one is known to give the same numbers. `attempt` is the number of the
    attempt that all of this is of: the one that counts for the code that was looked with, else the newest.
    """

    run: Run
    state: str
    attempts: tuple[AttemptResult, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    epochs: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    confusions: tuple[Confusion, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    studies: tuple[str, ...] = ()
    reported_split: str | None = None
    selected_epoch: int | None = None
    seconds: float | None = None
    device: str | None = None
    error: str | None = None
    stale: bool = False
    why_stale: str = ""
    code_known: bool = True
    attempt: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    verified: str = ""

    @property
    def shown(self) -> AttemptResult | None:
        """The attempt that the numbers are of; the newest where none is told."""
        told = (attempt for attempt in self.attempts if attempt.number == self.attempt)
        return next(told, self.attempts[-1] if self.attempts else None)

    @property
    def environment(self) -> Mapping[str, Any]:
        """What that attempt told of its machine, its code and its packages; empty where there is none."""
        return self.shown.environment if self.shown else {}
