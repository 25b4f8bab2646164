"""Databases and studies to test with. Tests that ask for `url` or `store` run on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parent))  # for claimers.py

from ablate.store.host import WorkerInfo
from ablate.store.schema import metadata
from ablate.store.store import Store
from ablate.store.values import Claim, Clock
from ablate.study.recipes.digest import arm_id, run_id
from ablate.study.values.run import Run
from ablate.study.values.study import Arm, Study


def _run(name: str = "a", seed: int = 0, parent: str | None = None, **recipe: object) -> Run:
    settings = {"model": {"arch": name}, "data": {"image_size": 32}, "batch_size": 8, "epochs": 2, "precision": "fp32"}
    settings |= recipe
    arm = arm_id(settings)
    return Run(run_id(arm, seed), arm, seed, settings, None, parent)


def _study(
    runs: list[Run] | int = 1, name: str = "s", profile: str | None = None, parents: tuple[Run, ...] = ()
) -> Study:
    if isinstance(runs, int):
        runs = [_run(seed=seed) for seed in range(runs)]
    arms = {run.arm_id: Arm(f"arm{run.arm_id[:6]}", {"f": "x"}, run.arm_id, run.recipe) for run in runs}
    return Study(
        name=name, file=f"{name}.yaml", about="", cite={}, profile=profile, factors=(), design="full", seeds=(0,),
        baseline={}, arms=tuple(arms.values()), excluded=(), arms_before=len(arms), tables={}, runs=tuple(runs),
        parents=parents, source=f"study: {name}\n",
    )  # fmt: skip


def _remote(name: str = "far") -> WorkerInfo:
    """A worker of another machine: only the clock of the database says whether its lease holds."""
    return WorkerInfo(name, "elsewhere", "another boot", 7, 1)


_KEYS = {"run": "runs", "arm": "arms", "study": "studies", "request": "requests"}
"""The columns that hold keys of other tables."""


class FakeTime:
    """The database's clock and this host's monotonic one, moved by hand."""

    def __init__(self) -> None:
        self.now, self.monotonic = 1_000_000.0, 50.0

    def pass_(self, seconds: float) -> None:
        self.now += seconds
        self.monotonic += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: self.monotonic)


# Test modules cannot import each other or this file (import mode importlib), so helpers come as fixtures.


@pytest.fixture
def make_run() -> Callable[..., Run]:
    return _run


@pytest.fixture
def make_study() -> Callable[..., Study]:
    return _study


@pytest.fixture
def remote() -> Callable[..., WorkerInfo]:
    return _remote


@pytest.fixture
def fake() -> FakeTime:
    return FakeTime()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.db"


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without runs, made once: copying it is ten times as fast as making one."""
    path = tmp_path_factory.mktemp("empty") / "results.db"
    Store.open(str(path)).close()
    return path


@pytest.fixture
def store(url: str, fake: FakeTime, empty: Path, tmp_path: Path) -> Iterator[Store]:
    if url.startswith("sqlite"):
        shutil.copy(empty, tmp_path / "results.db")
    with Store.open(url, clock=fake.clock, timeout=5) as opened:
        yield opened


@pytest.fixture
def take(store: Store) -> Callable[..., Claim]:
    """Save a study of one run and claim it."""

    def take(worker: WorkerInfo | None = None, run: Run | None = None) -> Claim:
        key = store.save_study(_study([run or _run()]), call_options={})
        claim = store.claim(key, worker or _remote())
        assert claim is not None
        return claim

    return take


@pytest.fixture
def dump() -> Callable[[Store], dict[str, list[tuple[object, ...]]]]:
    """Every row of every table, sorted, with the keys that one database gives replaced by what they stand for.

    The order of rows that have such a key is kept: it is the order in which they came.
    """

    def rows(store: Store) -> dict[str, list[tuple[object, ...]]]:
        def look(tx: Any) -> dict[str, list[tuple[object, ...]]]:
            names: dict[str, dict[int, object]] = {}
            for table, columns in (
                ("arms", ("arm_id",)),
                ("studies", ("name", "profile", "variant")),
                ("runs", ("run_id",)),
            ):
                found = tx.execute(sa.select(metadata.tables[table]))
                names[table] = {row.id: tuple(getattr(row, name) for name in columns) for row in found}
            asked = tx.execute(sa.select(metadata.tables["requests"]).order_by(sa.text("id")))
            names["requests"] = {
                row.id: (names["studies"][row.study], row.created, row.settings, place)
                for place, row in enumerate(asked)
            }
            tables: dict[str, list[tuple[object, ...]]] = {}
            for name, table in metadata.tables.items():
                meaning = {name: names[table] for name, table in _KEYS.items()}
                read = [row._mapping for row in tx.execute(sa.select(table).order_by(*table.primary_key.columns))]
                tables[name] = [
                    tuple(
                        (key, meaning[key][value] if key in meaning and isinstance(value, int) else value)
                        for key, value in row.items()
                        if key != "id"
                    )
                    for row in read
                ]
                if "id" not in table.c:
                    tables[name].sort(key=repr)
            return tables

        return store._db.read(look)

    return rows
