"""The frozen values that the store hands out, beside those of `ablate.study.records`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

from ablate.study.values.run import Run

TTL = 60.0
"""Seconds that a lease lasts without a heartbeat."""
KINDS = ("error", "diverged", "bad_data", "oom")
"""Why a run failed."""


@dataclass(frozen=True)
class Clock:
    """Where the store's times come from; every field may be left out.

    `now` (POSIX seconds) replaces the database's clock, `monotonic` (seconds) the clock of this host's leases, which
    neither a set wall clock nor a suspended laptop moves. With `now` alone, it serves for both. Only tests set these.
    """

    now: Callable[[], float] | None = None
    monotonic: Callable[[], float] | None = None


@dataclass(frozen=True)
class Claim:
    """A run that a worker holds. `(run.run_id, attempt)` is the fencing token that every later write carries.

    `attempt` counts the executions of this run from 1. `needed_by_child`: another run of the database starts from this
    one's weights.
    """

    run: Run
    attempt: int
    worker: str
    request_key: int
    ttl: float
    needed_by_child: bool = False


@dataclass(frozen=True)
class RunState:
    """Where a run stands. `attempts` counts all of them; `kind` is `error`, `diverged`, `bad_data`, `oom` or `lost`.

    `code` is the code that the done attempt ran, as `environment["code"]` recorded it. As `RunResult`: a done run of other code
    than the one looked with is `stale`, `why_stale` names what differs, and not `code_known` is what nobody can tell here,
    `verified` is other code that is known to give the same numbers.
    """

    run_id: str
    state: str
    attempts: int = 0
    error: str | None = None
    kind: str | None = None
    code: str | None = None
    stale: bool = False
    why_stale: str = ""
    code_known: bool = True
    verified: str = ""


@dataclass(frozen=True)
class StoredStudy:
    """A study as it was last run: `source` is its file's text, `last_run` POSIX seconds by the database's clock.

    `sets` is the variant, `text` the digest of the design; empty where it is unknown, in a migrated database.
    """

    key: int
    name: str
    profile: str | None
    source: str
    file: str
    call_options: Mapping[str, Any]
    last_run: float
    sets: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class StoredRequest:
    """What one call asked of a study: `created` is POSIX seconds by the database's clock, `folder` absolute, `code` the
    digest of the scripts as the asker saw them. It is `open` as long as it waits for a run.

    A migrated one has no text, folder or code, and `call_options["migrated"]`.
    """

    key: int
    study_key: int
    name: str
    profile: str | None
    sets: tuple[str, ...]
    text: str
    source: str
    file: str
    folder: str
    call_options: Mapping[str, Any]
    code: str | None
    created: float
    open: bool

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.call_options["seeds"])


@dataclass(frozen=True)
class Asker:
    """A design that asked for a run; `present` where the run belongs to what the study is now."""

    study: str
    profile: str | None
    sets: tuple[str, ...]
    text: str
    present: bool


@dataclass(frozen=True)
class Looks:
    """How often seeds were added to a design after it had results. `migrated`: what was before is not counted."""

    count: int
    migrated: bool = False


@dataclass(frozen=True)
class StudyLink:
    """What one study calls a run. `arm` is empty for a run that the study needs only as a parent."""

    study: str
    profile: str | None
    position: int
    arm: str
    levels: Mapping[str, str]
    aliases: tuple[str, ...] = ()
    is_parent: bool = False
    sets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counts:
    """The runs of a request by state, parents included.

    Queued runs are three kinds: `queued` can be claimed now, `waiting` once its parent is done, `blocked` never as
    things stand (the parent failed, was lost, cancelled or pruned, or is not there; or the run is barred on this machine).
    `retried` are queued or running again at another's request: this one does not wait for them.
    """

    queued: int = 0
    waiting: int = 0
    blocked: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    lost: int = 0
    cancelled: int = 0
    pruned: int = 0
    retried: int = 0

    @property
    def total(self) -> int:
        return sum(astuple(self))

    @property
    def open(self) -> int:
        """Runs that a worker of this request may still see: to claim, to wait for, or running somewhere."""
        return self.queued + self.waiting + self.running


@dataclass(frozen=True)
class Timing:
    """What one finished attempt took: `seconds` of wall time for `epochs`.

    `shape` is `recipe.shape_of` its recipe; None for a trainer that is not ours.
    """

    run_id: str
    shape: tuple[Any, ...] | None
    epochs: int
    seconds: float

    @property
    def seconds_per_epoch(self) -> float:
        return self.seconds / self.epochs


@dataclass(frozen=True)
class Event:
    """One line of the store's history: something that moved a run or a study by itself or by hand."""

    at: float
    kind: str
    detail: str
    study: str | None = None
    run_id: str | None = None
    attempt: int | None = None


@dataclass(frozen=True)
class Info:
    """What a database is. `url` shows no password; `size` is in bytes; `journal_mode` is None for PostgreSQL."""

    url: str
    backend: str
    server_version: str
    revision: str
    size: int
    journal_mode: str | None
    rows: Mapping[str, int] = field(default_factory=dict)
    states: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Upgrade:
    """What `upgrade` did. `before` equals `after` where there was nothing to do; `backup` is the copy made first."""

    before: str
    after: str
    backup: str | None = None


@dataclass(frozen=True)
class Restored:
    """What `restore` did: the `revision` and number of `runs` of the database now, under which name the one before is kept,
    and the logs that were moved aside as they belonged to neither."""

    revision: str
    runs: int
    kept: str | None = None
    moved: tuple[str, ...] = ()


@dataclass(frozen=True)
class Imported:
    """What an import did, or would do. Runs by what became of them: `new` here; `added` to (attempts of a run that had
    no result); the `same`; `kept` as they are here, by id; `clashes`, done in both with different results and left as
    they are here, in words. Studies are new, or kept as they are here.
    """

    new: int
    added: int
    same: int
    kept: tuple[str, ...] = ()
    clashes: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()
    kept_studies: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredTrial:
    """What one tuning asked for as its `number`th (from 0), and how that ended: `complete`, `pruned`, `failed`, or `running`.

    `tuning` is the digest of what the tuning is. `seen` counts the trials that had ended when this one was asked for,
    `told` is its own place among those that have, so that an asker can be built again as it was. `epochs` and
    `seconds` are what its runs had cost when it ended. `distributions` and `attributes` are JSON-ready.
    """

    tuning: str
    number: int
    study: str
    profile: str | None
    arm: str
    params: Mapping[str, Any]
    distributions: Mapping[str, Any]
    run_ids: tuple[str, ...]
    seen: int = 0
    state: str = "running"
    told: int | None = None
    value: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    error: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
