"""Workers that reach the results database through a shared folder and a coordinator."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from toy_store import make_run

from ablate.dispatch.elsewhere.spool import Coordinator, SpoolQueue
from ablate.dispatch.executors import get_executor
from ablate.errors import LeaseLost, NoSpaceOrPermission, StoreError, UsageError
from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.study.records import Confusion, EpochRecord, Outcome
from ablate.study.values.study import Arm, Study

OUTCOME = Outcome({"top1": 0.5}, "val", None, (Confusion("val", "last", ("a", "b"), ((1, 0), (0, 2))),))


def study_of(*acts: str) -> Study:
    runs = tuple(make_run(number, act) for number, act in enumerate(acts))
    arms = tuple(Arm(f"arm{run.seed}", {"x": str(run.seed)}, run.arm_id, run.recipe) for run in runs)
    return Study(
        name="toy", file="toy.yaml", about="", cite={}, profile=None, factors=(), design="full", seeds=(0,),
        baseline={}, arms=arms, excluded=(), arms_before=len(arms), tables={}, runs=runs, source="study: toy\n",
    )  # fmt: skip


class Scene:
    """A store with a study, a folder, and a coordinator that answers while a worker waits."""

    def __init__(self, tmp_path: Path, *acts: str) -> None:
        self.store = Store.open(f"sqlite:///{tmp_path / 'results.db'}")
        self.study = study_of(*acts)
        self.key = self.store.save_study(self.study, call_options={})
        self.folder = tmp_path / "shared"
        self.coordinator = Coordinator(self.folder, self.store)
        self.seconds = 0.0
        self.away = False

    def wait(self, seconds: float) -> None:
        self.seconds += seconds
        if not self.away:
            self.coordinator.serve_once()

    def queue(self) -> SpoolQueue:
        return SpoolQueue(self.folder, wait=self.wait, clock=lambda: self.seconds)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    made: list[Scene] = []

    def make(*acts: str) -> Scene:
        made.append(Scene(tmp_path, *acts))
        made[0].coordinator.__enter__()
        return made[0]

    yield make
    for found in made:
        found.store.close()


def test_what_a_worker_says_is_in_the_store(scene: Callable[..., Scene]) -> None:
    at = scene("ok", "ok")
    queue = at.queue()
    claim = queue.claim(at.key, WorkerInfo.here(), 60.0)
    assert claim is not None
    assert (claim.run, claim.attempt) == (at.study.runs[0], 1)
    assert queue.waiting(at.key).queued == 1
    queue.set_environment(claim, {"host": "far"}, "print", "cpu")
    queue.record_epoch(claim, [EpochRecord(1, "train", {"loss": 2.0}), EpochRecord(1, "val", {"loss": float("nan")})])
    queue.heartbeat(claim, 60.0)
    queue.finish(claim, OUTCOME, 1.5)
    result = at.store.results([claim.run.run_id])[claim.run.run_id]
    assert (result.state, result.metrics["top1"], result.seconds) == ("done", 0.5, 1.5)
    assert result.epochs[1]["train_loss"] == 2.0
    assert result.confusions == OUTCOME.confusions
    assert result.attempts[0].environment == {"host": "far"}


def test_other_endings(scene: Callable[..., Scene]) -> None:
    at = scene("ok", "ok", "ok")
    queue = at.queue()
    claims = [queue.claim(at.key, WorkerInfo.here(), 60.0) for _ in range(3)]
    assert queue.claim(at.key, WorkerInfo.here(), 60.0) is None
    queue.fail(claims[0], "broke", "error")
    queue.lose(claims[1], "gone")
    queue.release(claims[2], "stopped")
    states = at.store.states([run.run_id for run in at.study.runs])
    assert [states[run.run_id].state for run in at.study.runs] == ["failed", "queued", "queued"]


def test_a_late_worker_is_told(scene: Callable[..., Scene]) -> None:
    at = scene("ok")
    queue = at.queue()
    claim = queue.claim(at.key, WorkerInfo.here(), 60.0)
    at.store.cancel([claim.run.run_id])
    with pytest.raises(LeaseLost, match="can no longer write its results"):
        queue.record_epoch(claim, [EpochRecord(1, "val", {"top1": 0.5})])


def test_a_coordinator_that_is_away_is_a_store_that_is_away(scene: Callable[..., Scene]) -> None:
    at = scene("ok")
    queue = at.queue()
    at.away = True
    with pytest.raises(StoreError, match=r"no answer through .* for 30 s: is the `ablate grid run` that coordinates"):
        queue.claim(at.key, WorkerInfo.here(), 60.0)
    assert at.seconds >= 30.0
    at.away = False
    assert queue.claim(at.key, WorkerInfo.here(), 60.0).attempt == 1  # the one given up on was never executed


def test_a_new_coordinator_goes_on_where_the_old_one_ended(scene: Callable[..., Scene]) -> None:
    at = scene("ok", "ok")
    queue = at.queue()
    claim = queue.claim(at.key, WorkerInfo.here(), 60.0)
    at.coordinator.__exit__(None, None, None)
    with Coordinator(at.folder, at.store) as second:
        assert second.serve_once() == 0  # what was answered is not answered again
        at.coordinator = second
        queue.finish(claim, OUTCOME, 1.0)
    assert at.store.waiting(at.key).done == 1


def test_an_answer_that_got_lost_is_asked_for_again(scene: Callable[..., Scene]) -> None:
    at = scene("ok")
    queue = at.queue()
    claim = queue.claim(at.key, WorkerInfo.here(), 60.0)
    at.store.finish(claim, OUTCOME, 1.0)  # the coordinator told the store and ended before it answered
    queue.finish(claim, OUTCOME, 1.0)
    assert at.store.waiting(at.key).done == 1


def test_half_a_line_is_passed_over(scene: Callable[..., Scene]) -> None:
    at = scene("ok")
    queue = at.queue()
    (box,) = (at.folder / "boxes").iterdir()
    (box / "asked.jsonl").write_bytes(b'{"n": 1, "do": "cla')
    assert queue.claim(at.key, WorkerInfo.here(), 60.0).attempt == 1


@pytest.mark.parametrize("line", ["[1]", "7", '{"n": "1"}', '{"do": "claim"}', '{"n": 5}', '{"n": 5, "do": "drop"}'])
def test_other_peoples_lines_break_nothing(scene: Callable[..., Scene], line: str) -> None:
    at = scene("ok")
    box = at.folder / "boxes" / "stranger"
    box.mkdir()
    (box / "asked.jsonl").write_text(line + "\n")
    at.coordinator.serve_once()
    assert at.queue().claim(at.key, WorkerInfo.here(), 60.0).attempt == 1


def test_a_closed_mailbox_is_taken_away(scene: Callable[..., Scene]) -> None:
    at = scene("ok")
    queue = at.queue()
    queue.waiting(at.key)
    queue.close()
    at.coordinator.serve_once()
    assert not list((at.folder / "boxes").iterdir())


def test_one_coordinator_at_a_time(scene: Callable[..., Scene]) -> None:
    at = scene("ok")
    with pytest.raises(UsageError, match=r"is already served by process \d+ on "):
        Coordinator(at.folder, at.store).__enter__()


def test_a_dead_coordinators_place_is_free(scene: Callable[..., Scene]) -> None:
    at = scene("ok")
    mine = at.folder / "coordinator.json"
    mine.write_text(json.dumps(json.loads(mine.read_text()) | {"started": 1}))
    with Coordinator(at.folder, at.store):
        assert mine.exists()
    assert not mine.exists()


def test_an_unreadable_place_is_never_taken(scene: Callable[..., Scene]) -> None:
    at = scene("ok")
    (at.folder / "coordinator.json").write_text("?")
    with pytest.raises(UsageError, match=r"an unknown process.*remove .*coordinator.json"):
        Coordinator(at.folder, at.store).__enter__()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NoSpaceOrPermission, match=r"can't write to .*file"):
        SpoolQueue(tmp_path / "file")


@pytest.mark.slow
def test_a_grid_through_a_folder(scene: Callable[..., Scene], request_for: Callable[..., Any]) -> None:
    at = scene("ok", "raise", "kill_once", "ok")
    over = threading.Event()
    thread = threading.Thread(target=at.coordinator.serve, args=(over.wait, 0.01))
    thread.start()
    try:
        request = request_for(
            None,
            open_store=lambda: SpoolQueue(at.folder, poll=0.02),
            request_key=at.key,
            workers=2,
        )
        report = get_executor("local").run(request)
    finally:
        over.set()
        thread.join()
    assert (report.done, report.failed, report.errors) == (3, 1, ())
    results = at.store.results([run.run_id for run in at.study.runs])
    assert [result.state for result in results.values()] == ["done", "failed", "done", "done"]
    assert [attempt.state for attempt in results[at.study.runs[2].run_id].attempts] == ["lost", "done"]
    assert not list((at.folder / "boxes").iterdir())
