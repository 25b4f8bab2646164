"""A results database of toy runs, in a file of its own. A test may watch its calls, refuse them, and let time pass."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.errors import StoreError
from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.store.values import Claim, Clock
from ablate.study.records import RunResult
from ablate.study.values.run import Run
from ablate.study.values.study import Arm, Study

ELSEWHERE = WorkerInfo("elsewhere", "another-host", "another-boot", 1)
"""A worker that only the clock can end."""


def make_run(number: int, act: str = "ok", *, parent: str | None = None, **recipe: Any) -> Run:
    name = f"{number:02x}" * 32
    return Run(name, name[::-1], number, {"act": act, **recipe}, None, parent)


def study_of(runs: tuple[Run, ...]) -> Study:
    arms = tuple(Arm(f"arm{run.seed}", {"x": str(run.seed)}, run.arm_id, run.recipe) for run in runs)
    return Study(
        name="toy", file="toy.yaml", about="", cite={}, profile=None, factors=(), design="full", seeds=(0,),
        baseline={}, arms=arms, excluded=(), arms_before=len(arms), tables={}, runs=runs, source="study: toy\n",
    )  # fmt: skip


@dataclass(frozen=True)
class Recorded:
    """What the database has of a run. `ends` are the states of its attempts."""

    result: RunResult
    kind: str | None

    @property
    def state(self) -> str:
        return self.result.state

    @property
    def ends(self) -> list[str]:
        return [attempt.state for attempt in self.result.attempts]

    @property
    def error(self) -> str:
        """Why its newest attempt ended."""
        return self.result.attempts[-1].error or ""


class ToyStore:
    """`busy` names methods that raise StoreError, each as often as it is listed; `on_call` sees each call first, with the id of
    its run. The clock of the database is `ahead` seconds ahead. `barred` are runs that cannot start here."""

    def __init__(self, file: Path, *runs: Run, barred: Collection[Run] = ()) -> None:
        self.runs = runs
        self.ahead = 0.0
        self.busy: list[str] = []
        self.calls: list[tuple[str, str]] = []
        self.on_call: Callable[[str, str], None] = lambda name, run_id: None
        self._url, self._barred = f"sqlite:///{file}", [run.run_id for run in barred]
        file.write_bytes(_empty())
        self.unwatched = self._open()
        self.key = self.unwatched.save_study(study_of(runs), call_options={})

    def open(self) -> Watched:
        return Watched(self, self._open())

    def close(self) -> None:
        self.unwatched.close()

    def states(self) -> dict[int, str]:
        found = self.unwatched.states([run.run_id for run in self.runs])
        return {run.seed: found[run.run_id].state for run in self.runs}

    def of(self, seed: int) -> Recorded:
        (run_id,) = (run.run_id for run in self.runs if run.seed == seed)
        kind = self.unwatched.states([run_id])[run_id].kind
        return Recorded(self.unwatched.results([run_id])[run_id], kind)

    def steal(self, run_id: str) -> Claim:
        """Another worker has the run now, in a newer attempt."""
        self.unwatched.cancel([run_id])
        self.unwatched.requeue([run_id], "stolen", self.key)
        return self.take(run_id)

    def take(self, run_id: str, worker: WorkerInfo = ELSEWHERE) -> Claim:
        """Another worker claims this run, the first that is queued."""
        claim = self.unwatched.claim(self.key, worker)
        assert claim is not None
        assert claim.run.run_id == run_id
        return claim

    def told(self, name: str, run_id: str) -> None:
        self.calls.append((name, run_id))
        self.on_call(name, run_id)
        if name in self.busy:
            self.busy.remove(name)
            raise StoreError(f"the database is locked ({name})")

    def _open(self) -> Store:
        clock = Clock(lambda: time.time() + self.ahead, lambda: time.monotonic() + self.ahead)
        return Store.open(self._url, clock=clock, barred=self._barred)


class Watched:
    """The store as a worker has it: each call is told first."""

    def __init__(self, toy: ToyStore, store: Store) -> None:
        self._toy, self._store = toy, store

    def close(self) -> None:
        self._store.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._store, name)

        def call(*args: Any) -> Any:
            self._toy.told(name, args[0].run.run_id if isinstance(args[0], Claim) else "")
            return method(*args)

        return call


@functools.cache
def _empty() -> bytes:
    """A database without a study: made once, as its tables take a while."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "empty.db"
        Store.open(f"sqlite:///{file}").close()
        return file.read_bytes()
