"""What a worker sends is other people's data: whatever comes over the wire ends a run at most, never a grid."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from toy_store import ToyStore, make_run

from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.contract.failures import Failure
from ablate.dispatch.contract.slots import Slot
from ablate.dispatch.processes import wire
from ablate.dispatch.processes.local import Attempt, LocalExecutor
from ablate.dispatch.worker.attempt_log import AttemptLog
from ablate.dispatch.worker.grid_state import Board
from ablate.dispatch.worker.lease import Lease
from ablate.dispatch.worker.loop import Ending
from ablate.store.codec import to_json
from ablate.study.records import Artifact, Confusion, EpochRecord, Outcome, Progress

OUTCOME = Outcome(
    {"top1": 0.5}, "test", 3, (Confusion("test", "last", ("a", "b"), ((1, 0), (0, 1))),),
    (Artifact("weights", "model-last.pt", 3, "0" * 64),), {"a": 1},
)  # fmt: skip
SAMPLES: dict[str, dict[str, Any]] = {
    "epoch": {"records": wire.pack_records([EpochRecord(1, "val", {"top1": 0.5})])},
    "progress": {"progress": Progress("ab", 1, 2, 3, 4, 0.5, 0.5).__dict__},
    "environment": {"environment": {"python": "3"}, "fingerprint": "cpu"},
    "done": {"outcome": wire.pack_outcome(OUTCOME), "seconds": 1.0},
    "failed": {"failure": Failure("error", "boom").__dict__, "seconds": 1.0},
    "interrupted": {"signal": 15},
}
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MODEST = settings(max_examples=150, derandomize=True, database=None)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


@st.composite
def changed(draw: st.DrawFn) -> dict[str, Any]:
    """A message of ours of which one value is another, or gone."""
    kind = draw(st.sampled_from([*SAMPLES]))
    message: dict[str, Any] = json.loads(wire.encode({"is": kind, **SAMPLES[kind]}))
    path = draw(st.sampled_from([place for place in places(message) if place and place != ("is",)]))
    parent: Any = message
    for key in path[:-1]:
        parent = parent[key]
    if draw(st.booleans()):
        parent[path[-1]] = draw(ANY)
    else:
        del parent[path[-1]]
    return message


Take = Callable[[dict[str, Any]], "Ending | None"]


class Silent:
    def send(self, kind: str, **content: Any) -> None: ...


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Take]:
    """Reads a message as an attempt without a child does, whose run is in a database."""
    toys = ToyStore(tmp_path_factory.mktemp("toys") / "toys.db", make_run(1))
    request = GridRequest(toys.key, toys.open, "toy_fits:fit", Path("home"))
    claim, queue = toys.take(make_run(1).run_id), toys.open()

    def take(message: dict[str, Any]) -> Ending | None:
        lease = Lease(queue, claim, 60.0, request.stop, print)
        log = AttemptLog(Path("/no/such/log"))
        one = Attempt(Board(request), Slot(0, "cpu", "cpu", 1), Silent(), lease, Path("x"), log)  # type: ignore[arg-type]
        ending = one._take(message)
        if ending is not None and ending.outcome is not None:
            to_json(ending.outcome.details)
        return ending

    yield take
    queue.close()
    toys.close()


def test_the_samples_are_messages(take: Take) -> None:
    for kind, content in SAMPLES.items():
        ending = take(json.loads(wire.encode({"is": kind, **content})))
        assert (ending is not None) == (kind in ("done", "failed", "interrupted"))
    done = take(json.loads(wire.encode({"is": "done", **SAMPLES["done"]})))
    assert done is not None
    assert done.outcome == OUTCOME


@MODEST
@given(changed())
@example({"is": "epoch", "records": [[float("inf"), "val", {}]]})
@example({"is": "failed", "failure": {"kind": "worse", "error": "", "missing": False, "fresh": False}, "seconds": 1})
@example({"is": "failed", "failure": {"kind": "error", "error": "", "missing": False, "fresh": True}, "seconds": 1})
@example({"is": "progress", "progress": None})
@example({"is": "hello"})
def test_a_changed_message_is_understood_or_refused(take: Take, message: dict[str, Any]) -> None:
    try:
        take(message)
    except wire.Garbled as error:
        assert len(str(error)) <= 200


@MODEST
@given(st.binary(max_size=60))
@example(b"[" * 100_000)
@example(b'{"is": 3}')
@example(b"\xff\xfe")
def test_any_bytes_are_messages_or_refused(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(5)
        channel = wire.Channel(ours)
        theirs.sendall(data[:50_000] + b"\n")
        try:
            messages = channel.receive()
        except wire.Garbled as error:
            assert str(error).startswith("no message: ")
        else:
            assert all(isinstance(message["is"], str) for message in messages)


@pytest.mark.slow
@pytest.mark.parametrize("act", ["garbles", "garbles_once"])
def test_a_worker_that_sends_rubbish_costs_its_run_an_attempt_and_not_the_grid(
    request_for, toy_store, slots, act
) -> None:
    store = toy_store(make_run(1, act), make_run(2))
    report = LocalExecutor(slots(1)).run(request_for(store))
    assert report.errors == ()
    assert store.of(2).state == "done"
    if act == "garbles":
        assert store.of(1).ends == ["lost", "lost", "lost"]
        assert store.of(1).error == "a worker sent no message: b'rubbish'"
    else:
        assert store.of(1).ends == ["lost", "done"]
