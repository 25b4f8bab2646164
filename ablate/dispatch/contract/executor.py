"""The one contract of all executors: a `GridRequest` goes in, a `GridReport` comes out.

An executor only starts workers. Workers claim runs from the store, so what is done is decided there and nowhere else:
each run is executed at least once and recorded exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ablate.dispatch.contract.events import Event, GridReport
from ablate.dispatch.contract.queue import OpenStore
from ablate.dispatch.contract.signals import StopFlag
from ablate.errors import UsageError
from ablate.study.records import EpochRecord
from ablate.study.values.resources import UNSAID, Resources
from ablate.study.values.run import Run

Judge = Callable[[Run, Sequence[EpochRecord]], str | None]
More = Callable[[], Sequence[Run] | None]


@dataclass(frozen=True)
class GridRequest:
    """All that an executor needs to know.

    `fit` names the trainer as `package.module:function`; its module is imported in worker processes only, and may
    offer `describe(run, context) -> (environment, fingerprint)`, called before each run. `home` is `ABLATE_HOME`.
    `workers` and `threads` are None for the executor's own choice; `device` is `auto`, `cpu`, `cuda`, `cuda:1` and so
    on. `options` becomes `Context.options`. `limit` bounds the runs claimed. `ttl` is a lease's time to live, `poll`
    the time between two looks at runs leased elsewhere, `grace` the time that a trainer has to checkpoint after a
    signal, `run_timeout` the longest that one attempt may take (worker processes only): all in seconds. `total` is
    the number of runs, for the display. `environment` (code, packages) is recorded with each attempt, beside what the
    worker finds; its `device` key, from either, is the name that the store keeps. `database` is the store's URL, and
    `runs` are what the study wants: for executors whose workers are elsewhere, which open the store themselves and are followed by what it says. `code` is
    the digest of all their code as the asker sees it, without which such workers train nothing of scripts. With `spool`
    those reach it through a shared folder, and this process answers them. `barred` are runs that cannot start as things
    stand, such as without their first weights: `open_store` passes them over, and so must those workers. `judge` is asked after each
    recorded epoch, in the slot's thread: a text is the reason to end the run as `pruned`. It checkpoints first, and its
    epochs stay. `more` is for a study that grows while it is worked on: where workers are elsewhere it is called at each
    look, queues what is due, and returns all runs of the study by then, or None once no more will come. (On this host
    `on_event` is early enough: a slot asks for its next run only after it has told how the last one ended.) `resources` is what
    one run takes, by which a host has fewer or more slots.
    """

    request_key: int
    open_store: OpenStore
    fit: str
    home: Path
    total: int = 0
    workers: int | None = None
    threads: int | None = None
    device: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    fail_fast: bool = False
    ttl: float = 60.0
    poll: float = 1.0
    grace: float = 30.0
    run_timeout: float | None = None
    on_event: Callable[[Event], None] = lambda event: None
    stop: StopFlag = field(default_factory=StopFlag)
    database: str = ""
    spool: bool = False
    barred: Collection[str] = ()
    runs: Sequence[Run] = ()
    code: str | None = None
    judge: Judge | None = None
    more: More | None = None
    resources: Resources = UNSAID

    def __post_init__(self) -> None:
        for name in ("workers", "threads", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name} must be at least 1, not {value}")
        module, _, function = self.fit.partition(":")
        if not module or not function:
            raise UsageError(f"a trainer is named package.module:function, not {self.fit!r}")


class Executor(Protocol):
    def check(self, device: str, workers: int | None, threads: int | None, database: str) -> None:
        """Raise UsageError for what cannot work, before anything is written."""
        ...

    def run(self, request: GridRequest) -> GridReport:
        """Work on the study until nothing is left to claim, a limit is reached or a stop is asked for."""
        ...


def run_folder(home: Path, run_id: str) -> Path:
    """Where a run keeps its checkpoints and the logs of its attempts: the same folder for all of them."""
    return home / "runs" / run_id[:2] / run_id


def attempt_log(home: Path, run_id: str, attempt: int) -> Path:
    """What the trainer printed in that attempt."""
    return run_folder(home, run_id) / f"attempt-{attempt}.log"
