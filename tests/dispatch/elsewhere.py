"""What the tests of executors with workers elsewhere share: a small study in a database, and a request for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memory_store import make_run

from ablate.dispatch.events import GridReport
from ablate.dispatch.executor import Executor, GridRequest, this_process
from ablate.dispatch.signals import StopFlag
from ablate.store.store import Store
from ablate.study.loader import load
from ablate.study.records import RunResult
from ablate.study.study import Arm, Study

HERE = Path(__file__).parent
PYTHONPATH = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
"""For workers: ours, and the toys."""


PATIENCE = 90.0
"""Seconds after which a grid is stopped, so that a test that went wrong ends."""


def run(executor: Executor, request: GridRequest) -> GridReport:
    """What the executor makes of the request."""
    alarm = threading.Timer(PATIENCE, request.stop.request)
    alarm.start()
    try:
        return executor.run(request)
    finally:
        alarm.cancel()


class Grid:
    """A study of one run an act, in a database of its own."""

    def __init__(self, folder: Path, *acts: str) -> None:
        self.runs = tuple(make_run(number, act) for number, act in enumerate(acts))
        self.url = f"sqlite:///{folder / 'results.db'}"
        self.home = folder / "home"
        with self.open() as store:
            self.key = store.save_study(study_of(self.runs), settings={})

    def open(self) -> Store:
        return Store.open(self.url)

    def request(self, on_event: Callable[[Any], None] = lambda event: None, **changes: Any) -> GridRequest:
        given: dict[str, Any] = {
            "study_key": self.key,
            "open_store": self.open,
            "fit": "toy_fits:fit",
            "home": self.home,
            "device": "cpu",
            "threads": 1,
            "poll": 0.1,
            "on_event": on_event,
            "stop": StopFlag(),
            "worker_info": this_process,
            "database": self.url,
            "runs": self.runs,
        }
        return GridRequest(**{**given, **changes})

    def results(self) -> list[RunResult]:
        with self.open() as store:
            return list(store.results([run.run_id for run in self.runs]).values())

    def states(self) -> list[str]:
        return [result.state for result in self.results()]

    def attempts(self) -> list[list[str]]:
        return [[attempt.state for attempt in result.attempts] for result in self.results()]


def study_of(runs: tuple[Any, ...]) -> Study:
    arms = tuple(Arm(f"arm{run.seed}", {"x": str(run.seed)}, run.arm_id, run.recipe) for run in runs)
    return Study(
        name="toy", file="toy.yaml", about="", cite={}, profile=None, factors=(), design="full", seeds=(0,),
        baseline={}, arms=arms, excluded=(), arms_before=len(arms), tables={}, runs=runs, source="study: toy\n",
    )  # fmt: skip


def numbers(study: Path, database: Path) -> dict[str, object]:
    with Store.open(f"sqlite:///{database}", read_only=True) as store:
        found = store.results([run.run_id for run in load(study).runs])
    same = ("top1", "top5", "loss", "train_loss")
    assert all(result.state == "done" for result in found.values())
    return {run_id: {name: result.metrics.get(name) for name in same} for run_id, result in found.items()}
