"""What the tests of executors with workers elsewhere share: a small study in a database, and a request for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toy_store import make_run, study_of

from ablate.dispatch.contract.events import GridReport
from ablate.dispatch.contract.executor import Executor, GridRequest
from ablate.dispatch.contract.signals import StopFlag
from ablate.store.store import Store
from ablate.store.values import StoredTrial
from ablate.study.loader import load
from ablate.study.records import RunResult
from ablate.study.tuning.tuning import load_tuning
from ablate.tuning.loop import tune
from ablate.tuning.recipes import tuning_key
from ablate.tuning.session import Session

HERE = Path(__file__).parent
TUNING = HERE.parent / "tuning"
PYTHONPATH = os.pathsep.join([str(HERE.parents[1]), str(HERE), str(TUNING)])
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

    def __init__(self, folder: Path, *acts: str, url: str | None = None) -> None:
        self.runs = tuple(make_run(number, act) for number, act in enumerate(acts))
        self.url = url or f"sqlite:///{folder / 'results.db'}"
        self.home = folder / "home"
        with self.open() as store:
            self.key = store.save_study(study_of(self.runs), call_options={})

    def open(self) -> Store:
        return Store.open(self.url)

    def request(self, on_event: Callable[[Any], None] = lambda event: None, **changes: Any) -> GridRequest:
        given: dict[str, Any] = {
            "request_key": self.key,
            "open_store": self.open,
            "fit": "toy_fits:fit",
            "home": self.home,
            "device": "cpu",
            "threads": 1,
            "poll": 0.1,
            "on_event": on_event,
            "stop": StopFlag(),
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


def numbers(study: Path, database: Path) -> dict[str, object]:
    with Store.open(f"sqlite:///{database}", read_only=True) as store:
        found = store.results([run.run_id for run in load(study).runs])
    same = ("top1", "top5", "loss", "train_loss")
    assert all(result.state == "done" for result in found.values())
    return {run_id: {name: result.metrics.get(name) for name in same} for run_id, result in found.items()}


TUNED = """
study: toy
recipe:
  data: {name: digits, split: {train: 0.6, val: 0.2, test: 0.2}}
  model: {arch: two-layer-fc}
  epochs: 4
factors: {smoothing: {path: loss.label_smoothing, levels: {plain: 0.0, smooth: 0.1}}}
seeds: 1
baseline: {smoothing: plain}
"""
TUNE = """
study: toy.yaml
arms: [plain]
space: {optimizer.lr: {float: [1e-4, 1.0], log: true}}
metric: val_top1
sampler: {name: tpe, seed: 3}
budget: {trials: 12}
"""


def tuned(
    executor: Executor, folder: Path, workers: int = 1, **changes: Any
) -> tuple[list[StoredTrial], list[RunResult]]:
    """Twelve trials of the toy of tests/tuning, and their runs in the order of the trials."""
    folder.mkdir()
    (folder / "toy.yaml").write_text(TUNED)
    (folder / "tune.yaml").write_text(TUNE)
    tuning = load_tuning(folder / "tune.yaml")
    url = f"sqlite:///{folder / 'results.db'}"
    request = GridRequest(
        0, lambda: Store.open(url), "toy_tuning:fit", folder / "home", workers=workers, device="cpu", threads=1, poll=0.05,
        database=url, **changes,
    )  # fmt: skip
    alarm = threading.Timer(PATIENCE, request.stop.request)
    alarm.start()
    try:
        with Store.open(url) as store:
            assert tune(Session(tuning, store), request, executor, workers).exit_code == 0
            trials = [trial for found in store.trials([tuning_key(tuning, arm) for arm in tuning.arms]).values() for trial in found]  # fmt: skip
            return trials, list(store.results([trial.run_ids[0] for trial in trials]).values())
    finally:
        alarm.cancel()


def asked(trials: list[StoredTrial]) -> list[tuple[int, dict[str, Any], str, float | None]]:
    return [(trial.number, dict(trial.params), trial.state, trial.value) for trial in trials]
