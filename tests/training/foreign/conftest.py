"""Scripts and functions of other people, as small as they get, and short ways to run them. No torch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ablate.study.records import Context, EpochRecord, Outcome, Progress
from ablate.study.values.run import Run
from ablate.training.foreign import command, python


@dataclass
class Told:
    """What a run told while it was running. `stop` is what `should_stop` answers; `then` is called with each hand-over."""

    records: list[EpochRecord] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    stop: int = 0
    then: Callable[[Told], None] = lambda told: None

    def epochs(self, name: str) -> list[tuple[int, str, float]]:
        return [(r.epoch, r.split, r.metrics[name]) for r in self.records if name in r.metrics]

    def stop_at_once(self) -> None:
        """Ask the run to end as soon as it has told anything."""
        self.then = lambda told: setattr(told, "stop", 15)

    def take(self, records: Any) -> None:
        self.records += records
        self.then(self)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def context(tmp_path: Path, told: Told) -> Context:
    folder, run_dir = tmp_path / "study", tmp_path / "run s; 'x'"
    folder.mkdir()
    run_dir.mkdir()
    return Context(
        run_dir=run_dir,
        threads=2,
        on_epoch=told.take,
        on_progress=told.progress.append,
        should_stop=lambda: told.stop,
        options={"study_dir": str(folder)},
    )


@pytest.fixture
def own_folder(context: Context) -> Callable[[], Path]:
    """What `{run_dir}` was: the one folder within the run's."""

    def find() -> Path:
        (folder,) = context.run_dir.glob("code-*")
        return folder

    return find


@pytest.fixture
def script(context: Context, tmp_path: Path) -> Callable[..., Outcome]:
    """script(source, *words, metrics=..., recipe=..., seed=..., trainer=...): run the source as train.py in the study's folder."""

    def run(
        source: str,
        *words: str,
        metrics: Any = None,
        recipe: Any = None,
        seed: int = 0,
        trainer: Any = None,
        **more: Any,
    ) -> Outcome:
        (tmp_path / "study" / "train.py").write_text(source)
        given = {
            "command": [sys.executable, "train.py", *words],
            "version": 1,
            "metrics": metrics or {},
            **(trainer or {}),
        }
        return command.follow(Run("a" * 64, "b" * 64, seed, recipe or {}, given), context, **more)

    return run


@pytest.fixture
def function(context: Context, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Outcome]:
    """function(source, metrics=..., recipe=..., seed=..., name=..., trainer=...): call `train` of the source."""
    module = "own_" + "".join(c if c.isalnum() else "_" for c in request.node.name)

    def run(
        source: str, metrics: Any = None, recipe: Any = None, seed: int = 0, name: str = "train", trainer: Any = None
    ) -> Outcome:
        (tmp_path / "study" / f"{module}.py").write_text(source)
        given = {"python": f"{module}:{name}", "version": 1, "metrics": metrics or {}, **(trainer or {})}
        return python.fit(Run("a" * 64, "b" * 64, seed, recipe or {}, given), context)

    yield run
    sys.modules.pop(module, None)
