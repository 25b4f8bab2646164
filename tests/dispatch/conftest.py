from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# for the toys: worker processes get this process's path
sys.path.insert(0, str(Path(__file__).parents[1] / "tuning"))
sys.path.insert(0, str(Path(__file__).parent))

from toy_store import ToyStore

from ablate.dispatch.contract.events import Event
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.contract.slots import Slot
from ablate.study.values.run import Run


class Seen(list[Event]):
    """The events of a grid. `then` maps an event's type to what to do when one arrives, in the thread that tells it."""

    def __init__(self) -> None:
        super().__init__()
        self.then: dict[type, Callable[[Any], None]] = {}

    def __call__(self, event: Event) -> None:
        self.append(event)
        self.then.get(type(event), lambda event: None)(event)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self if isinstance(event, kind)]


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def toy_store(tmp_path: Path) -> Iterator[Callable[..., ToyStore]]:
    """`toy_store(*runs)`: a results database with these runs queued."""
    made: list[ToyStore] = []

    def make(*runs: Run, **given: Any) -> ToyStore:
        made.append(ToyStore(tmp_path / f"toys{len(made)}.db", *runs, **given))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def request_for(tmp_path: Path, seen: Seen) -> Callable[..., GridRequest]:
    def build(store: ToyStore | None, **changes: Any) -> GridRequest:
        given: dict[str, Any] = {
            "request_key": 1,
            "open_store": None if store is None else store.open,
            "fit": "toy_fits:fit",
            "home": tmp_path / "home",
            "device": "cpu",
            "on_event": seen,
            "poll": 0.01,
        }
        return GridRequest(**{**given, **changes})

    return build


@pytest.fixture
def slots() -> Callable[[int], tuple[Slot, ...]]:
    return lambda count: tuple(Slot(number, "cpu", "cpu", 1, {"OMP_NUM_THREADS": "1"}) for number in range(count))
