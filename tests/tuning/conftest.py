from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the toys: worker processes get this process's path

from toy_tuning import stored

from ablate.dispatch.contract.executor import Executor, GridRequest
from ablate.dispatch.processes.inline import InlineExecutor
from ablate.store.store import Store
from ablate.store.values import StoredTrial
from ablate.study.tuning.tuning import load_tuning
from ablate.study.values.trials import Tuning
from ablate.tuning.loop import tune
from ablate.tuning.session import Session

STUDY = """
study: toy
recipe:
  data: {name: digits, split: {train: 0.6, val: 0.2, test: 0.2}}
  model: {arch: two-layer-fc}
  epochs: 4
factors:
  smoothing: {path: loss.label_smoothing, levels: {plain: 0.0, smooth: 0.1}}
  rate: {path: optimizer.lr, levels: {low: 0.01, high: 0.1}}
seeds: 2
baseline: {smoothing: plain, rate: low}
profiles: {short: {recipe: {epochs: 2}}}
"""

FILE: dict[str, str] = {
    "study": "toy.yaml",
    "arms": "[plain/low]",
    "space": "{optimizer.lr: {float: [1e-4, 1.0], log: true}, loss.label_smoothing: {float: [0.0, 0.3]}}",
    "metric": "val_top1",
    "sampler": "{name: random, seed: 7}",
    "budget": "{trials: 6}",
}


@pytest.fixture
def both(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs twice: on SQLite and on PostgreSQL."""
    monkeypatch.setenv("ABLATE_DB", url)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A tuning file with changes; None takes a key out."""

    def build(**changes: str | None) -> Path:
        (tmp_path / "toy.yaml").write_text(STUDY)
        path = tmp_path / "tune.yaml"
        lines = {**FILE, **changes}
        path.write_text("".join(f"{key}: {value}\n" for key, value in lines.items() if value is not None))
        return path

    return build


@pytest.fixture
def toy(write: Callable[..., Path]) -> Callable[..., Tuning]:
    return lambda **changes: load_tuning(write(**changes))


@pytest.fixture
def request_of(tmp_path: Path) -> Callable[..., GridRequest]:
    def build(**changes: Any) -> GridRequest:
        url = os.environ["ABLATE_DB"]
        given: dict[str, Any] = {
            "request_key": 0, "open_store": lambda: Store.open(url), "fit": "toy_tuning:fit", "home": tmp_path / "home",
            "device": "cpu", "poll": 0.01,
        }  # fmt: skip
        return GridRequest(**{**given, **changes})

    return build


@pytest.fixture
def run(request_of: Callable[..., GridRequest]) -> Callable[..., list[StoredTrial]]:
    """Tune to the end in this process, and give the trials back, arm after arm."""

    def work(tuning: Tuning, executor: Executor | None = None, workers: int = 1, **changes: Any) -> list[StoredTrial]:
        with Store.open(os.environ["ABLATE_DB"]) as store:
            session = Session(tuning, store)
            tune(session, request_of(workers=workers, **changes), executor or InlineExecutor(), workers)
            return stored(tuning, store)

    return work
