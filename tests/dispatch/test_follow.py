"""Following a grid: what the store says becomes events, and how it ends without workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from elsewhere import Grid
from toy_store import make_run, study_of

from ablate.dispatch.contract import events
from ablate.dispatch.elsewhere.follow import Crew, follow
from ablate.errors import AblateError, LeaseLost, RunFailure, StoreError
from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.study.records import EpochRecord, Outcome
from ablate.study.values.run import Run

METRICS = {"top1": 0.5, "loss": 1.5}


class Script:
    """A fleet whose workers do what the test says, one step at each look; then they are gone."""

    def __init__(self, *steps: Callable[[], None], crew: Crew | None = None) -> None:
        self.steps, self.crew = list(steps), crew
        self.calls: list[str] = []

    def look(self) -> Crew:
        if self.crew is not None:
            return self.crew
        if not self.steps:
            return Crew(0)
        self.steps.pop(0)()
        return Crew(1)

    def dismiss(self) -> None:
        self.calls.append("dismiss")

    def stop(self) -> None:
        self.calls.append("stop")
        self.steps = []

    def end(self) -> None:
        self.calls.append("end")

    def why(self) -> AblateError:
        return RunFailure("No workers left, but runs remain.")


class Hand:
    """A worker that the test moves."""

    def __init__(self, grid: Grid) -> None:
        self.store, self.key = grid.open(), grid.key

    def claim(self) -> None:
        self.held = self.store.claim(self.key, WorkerInfo.here())

    def epoch(self, number: int) -> Callable[[], None]:
        return lambda: self.store.record_epoch(self.held, [EpochRecord(number, "val", METRICS)])

    def finish(self) -> None:
        self.store.finish(self.held, Outcome(METRICS), 2.0)

    def fail(self) -> None:
        self.store.fail(self.held, "line one\nValueError: no", "error")

    def release(self) -> None:
        self.store.release(self.held, "checkpointed on signal 15")

    def lose(self) -> None:
        self.store.lose(self.held, "it died")


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    return Grid(tmp_path, "ok", "ok")


def told(seen: list[events.Event]) -> list[str]:
    """The events in short."""
    found = []
    for event in seen:
        if isinstance(event, events.RunStarted):
            found.append(f"start {event.run.seed} #{event.attempt} @{event.slot}")
        elif isinstance(event, events.RunEnded):
            found.append(f"{event.state} {int(event.run_id[:2], 16)} #{event.attempt} @{event.slot}")
    return found


def test_what_workers_do_becomes_events(grid: Grid, seen) -> None:
    one, two = Hand(grid), Hand(grid)
    fleet = Script(one.claim, two.claim, one.epoch(1), one.finish, two.fail)
    report = follow(grid.request(seen, poll=0.0), fleet)
    assert told(seen) == ["start 0 #1 @0", "start 1 #1 @1", "done 0 #1 @0", "failed 1 #1 @1"]
    assert (report.done, report.failed, report.lost, report.exit_code) == (1, 1, 0, 4)
    done, failed = seen.of(events.RunEnded)
    assert (dict(done.metrics), done.error) == (METRICS, None)
    assert (failed.error, failed.kind) == ("line one\nValueError: no", "error")
    assert fleet.calls == ["dismiss", "end"]
    assert seen[-1] == events.GridEnded(report)


def test_epochs_are_progress_where_the_recipe_says_how_many(grid: Grid, seen) -> None:
    for run in grid.runs:
        run.recipe.json["epochs"] = 4
    hand = Hand(grid)
    follow(grid.request(seen, poll=0.0), Script(hand.claim, hand.epoch(1), hand.epoch(2), hand.finish))
    progress = [event.progress for event in seen.of(events.RunProgress)]
    assert [(item.epoch, item.epochs, item.loss, item.top1) for item in progress] == [
        (1, 4, 1.5, 0.5),
        (2, 4, 1.5, 0.5),
    ]


def test_a_run_that_was_given_back_or_lost_starts_again(grid: Grid, seen) -> None:
    hand = Hand(grid)
    fleet = Script(hand.claim, hand.release, hand.claim, hand.lose, hand.claim, hand.finish, hand.claim, hand.finish)
    report = follow(grid.request(seen, poll=0.0), fleet)
    assert told(seen)[:6] == ["start 0 #1 @0", "released 0 #1 @0", "start 0 #2 @0", "lost 0 #2 @0", "start 0 #3 @0", "done 0 #3 @0"]  # fmt: skip
    assert (report.done, report.lost, report.released) == (2, 0, 0)


def test_a_run_that_ends_between_two_looks_is_told_all_the_same(grid: Grid, seen) -> None:
    hand = Hand(grid)

    def all_at_once() -> None:
        for _ in grid.runs:
            hand.claim()
            hand.finish()

    assert follow(grid.request(seen, poll=0.0), Script(all_at_once)).done == 2
    assert told(seen) == ["done 0 #1 @0", "done 1 #1 @0"]


def test_runs_that_had_ended_before_are_not_told(grid: Grid, seen) -> None:
    hand = Hand(grid)
    hand.claim()
    hand.fail()
    report = follow(grid.request(seen, poll=0.0), Script(hand.claim, hand.finish))
    assert told(seen) == ["start 1 #1 @0", "done 1 #1 @0"]
    assert (report.failed, report.done, report.exit_code) == (0, 1, 0)


def test_without_a_worker_the_engine_says_why(grid: Grid, seen) -> None:
    report = follow(grid.request(seen, poll=0.0), Script())
    assert [str(error) for error in report.errors] == ["No workers left, but runs remain."]
    assert report.exit_code == 4


def test_what_is_hopeless_ends_at_once(grid: Grid, seen) -> None:
    fleet = Script(crew=Crew(2, hopeless=RunFailure("never")))
    assert [str(error) for error in follow(grid.request(seen), fleet).errors] == ["never"]
    assert fleet.calls == ["end"]


def test_a_stop_is_passed_on_once_and_waited_for(grid: Grid, seen) -> None:
    hand = Hand(grid)
    request = grid.request(seen, poll=0.0)
    fleet = Script(hand.claim, lambda: request.stop.request(2), lambda: None, lambda: None)
    report = follow(request, fleet)
    assert fleet.calls == ["stop", "end"]
    assert [event.signal for event in seen.of(events.Stopping)] == [2]
    assert (report.interrupted, report.exit_code) == (2, 130)


def test_what_a_fleet_waits_for_is_said_once(grid: Grid, seen) -> None:
    request = grid.request(seen, poll=0.0)
    fleet = Script(crew=Crew(1, "1 Slurm job pending (Priority)", news=(events.WorkerEnded("1", "gone"),)))
    seen.then[events.WorkerEnded] = lambda event: request.stop.request() if len(seen) > 5 else None
    follow(request, Stopped(fleet))
    assert [event.reason for event in seen.of(events.Waiting)] == ["1 Slurm job pending (Priority)"]


class Stopped(Script):
    """As the fleet inside it, until it is told to stop."""

    def __init__(self, inside: Script) -> None:
        super().__init__()
        self.inside = inside

    def look(self) -> Crew:
        return self.inside.look() if "stop" not in self.calls else Crew(0)


def test_a_database_that_stays_silent_ends_the_following_not_the_workers(grid: Grid, seen, monkeypatch) -> None:
    fleet = Script(crew=Crew(1))

    def silent(self: Store, key: int) -> None:
        raise StoreError("locked")

    monkeypatch.setattr(Store, "waiting", silent)
    report = follow(grid.request(seen, poll=0.0), fleet)
    assert [str(error) for error in report.errors] == [
        "locked\nThe workers go on without this command; `ablate status` shows how far."
    ]
    assert fleet.calls == []
    assert report.exit_code == 6


# A study that grows ---------------------------------------------------------------------------------------------------


class Source:
    """Runs that come one by one, each once the one before has ended; `GridRequest.more`."""

    def __init__(self, grid: Grid, *acts: str) -> None:
        self.grid = grid
        self.later = [make_run(len(grid.runs) + number, act) for number, act in enumerate(acts)]
        self.runs = grid.runs

    def __call__(self) -> tuple[Run, ...] | None:
        if not self.later and "queued" not in self.grid.states() and "running" not in self.grid.states():
            return None
        if all(state == "done" for state in self.grid.states()):
            self.runs = self.grid.runs = (*self.runs, self.later.pop(0))
            with self.grid.open() as store:
                store.save_study(study_of(self.runs), call_options={}, join=True)
        return self.runs


def test_a_study_that_grows_is_followed_to_its_last_run(tmp_path: Path, seen) -> None:
    grid = Grid(tmp_path, "ok")
    hand = Hand(grid)
    rounds = [step for _ in range(3) for step in (hand.claim, hand.finish, lambda: None)]
    report = follow(grid.request(seen, poll=0.0, more=Source(grid, "ok", "ok")), Script(*rounds))
    assert told(seen) == [line for number in range(3) for line in (f"start {number} #1 @0", f"done {number} #1 @0")]
    assert (report.done, report.errors) == (3, ())


def test_where_all_workers_left_before_the_study_grew_others_may_come(tmp_path: Path, seen) -> None:
    """No error: whoever asked for the grid sees that it is not over, and starts another round."""
    grid = Grid(tmp_path, "ok")
    hand = Hand(grid)
    source = Source(grid, "ok")
    report = follow(grid.request(seen, poll=0.0, more=lambda: source.runs), Script(hand.claim, hand.finish))
    assert (report.done, report.errors) == (1, ())


@pytest.mark.parametrize("late", [False, True], ids=["at its epoch", "when it has ended"])
def test_a_judge_ends_a_run_whose_worker_is_elsewhere(grid: Grid, seen, late: bool) -> None:
    asked: list[tuple[int, int, dict[str, float]]] = []

    def judge(run: Run, records: list[EpochRecord]) -> str | None:
        (record,) = records
        asked.append((run.seed, record.epoch, dict(record.metrics)))
        if late:
            one.finish()
        return "worse than the others" if record.epoch == 2 or late else None

    one, two = Hand(grid), Hand(grid)
    more = () if late else (one.epoch(2),)
    fleet = Script(one.claim, one.epoch(1), *more, two.claim, two.finish)
    report = follow(grid.request(seen, poll=0.0, judge=judge), fleet)
    if late:
        assert (grid.states(), report.done, report.pruned) == (["done", "done"], 2, 0)
        return
    assert asked == [(0, 1, METRICS), (0, 2, METRICS)]
    assert (grid.states(), report.done, report.pruned, report.exit_code) == (["pruned", "done"], 1, 1, 0)
    (ended,) = [event for event in seen.of(events.RunEnded) if event.state == "pruned"]
    assert ended.error == "worse than the others"
    assert sorted(grid.results()[0].epochs) == [1, 2]
    with pytest.raises(LeaseLost, match=r"attempt 1 of run .* is pruned"):
        one.epoch(3)()
