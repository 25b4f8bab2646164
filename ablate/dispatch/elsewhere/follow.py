"""Following a grid whose workers are elsewhere: the store says what happens to runs, the engine who still works.

No engine decides whether a run is done. It is asked only whether any worker is left for the rest.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ablate.dispatch.contract import events
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.contract.queue import WatchedQueue
from ablate.errors import AblateError, DatabaseGone, LeaseLost, RunFailure, StoreError
from ablate.store.values import Claim, Counts
from ablate.study.records import AttemptResult, EpochRecord, Progress, RunResult
from ablate.study.values.metrics import SPLITS, MetricName
from ablate.study.values.recipe import epochs_of
from ablate.study.values.run import Run

SLACK = 15.0
"""Seconds beyond `GridRequest.grace` that workers have to leave."""
STORE_PATIENCE = 5


@dataclass(frozen=True)
class Crew:
    """The workers of a grid at one moment.

    `alive` counts those that work or will; `waiting` says for what they wait, if anything; `news` are events to pass
    on; `hopeless` is set where no worker will ever start.
    """

    alive: int
    waiting: str = ""
    news: tuple[events.Event, ...] = ()
    hopeless: AblateError | None = None


class Fleet:
    """The workers that an engine started for one grid. This one has none; an engine's own says all but `dismiss` itself."""

    def look(self) -> Crew:
        return Crew(0)

    def dismiss(self) -> None:
        """Those that have not begun never do. Left out where they find nothing to claim, and leave."""

    def stop(self) -> None:
        """Dismiss, and ask the others to checkpoint, give back and leave."""

    def end(self) -> None:
        """End what is left of them, now."""

    def why(self) -> AblateError:
        """Why none is left although there is work."""
        return nobody_left("None was started.")


def follow(request: GridRequest, fleet: Fleet) -> events.GridReport:
    """Watch until no run or no worker is left, or a stop is asked for; then make sure that no worker stays."""
    started = time.monotonic()
    watcher = Watcher(request)
    errors: list[AblateError] = []
    with contextlib.closing(request.open_store()) as store:
        assert isinstance(store, WatchedQueue)  # a follower opens the database itself
        watcher.start(store)
        try:
            Follower(request, fleet, watcher, store).run()
        except AblateError as error:
            errors.append(error)
        blocked = 0
        if not any(isinstance(error, StoreError) for error in errors):
            with contextlib.suppress(StoreError):
                blocked = watcher.look(store).blocked
    report = watcher.report(blocked, tuple(errors), time.monotonic() - started).explained(request.home)
    request.on_event(events.GridEnded(report))
    return report


class Follower:
    """The loop of `follow`."""

    def __init__(self, request: GridRequest, fleet: Fleet, watcher: Watcher, store: WatchedQueue) -> None:
        self._request, self._fleet, self._watcher, self._store = request, fleet, watcher, store
        self._told = False
        self._more = False
        self._patience = float("inf")
        self._said = ""

    def run(self) -> None:
        while (self._look().open or self._more) and self._crew_works():
            self._request.stop.wait(self._request.poll, self._told)
        if not self._told:
            self._leave()

    def _leave(self) -> None:
        """Workers that find nothing to claim leave by themselves; those that have not begun need not."""
        self._fleet.dismiss()
        until = time.monotonic() + self._request.grace + SLACK
        while self._fleet.look().alive and time.monotonic() < until and not self._request.stop.hard:
            self._request.stop.wait(self._request.poll, self._told)
        self._fleet.end()

    def _crew_works(self) -> bool:
        self._heed_stop()
        crew = self._fleet.look()
        for event in crew.news:
            self._request.on_event(event)
        if crew.waiting and crew.waiting != self._said:
            self._said = crew.waiting
            self._request.on_event(events.Waiting(0, crew.waiting))
        if crew.hopeless is not None:
            self._fleet.end()
            raise crew.hopeless
        if self._told and (self._request.stop.hard or not crew.alive or time.monotonic() > self._patience):
            self._fleet.end()
            return False
        if crew.alive:
            return True
        if self._look().open and not self._may_leave_work():
            raise self._fleet.why()
        return False

    def _heed_stop(self) -> None:
        stop = self._request.stop
        if stop.signal and not self._told:
            self._told = True
            self._patience = time.monotonic() + self._request.grace + SLACK
            self._request.on_event(events.Stopping(stop.signal))
            self._fleet.stop()

    def _may_leave_work(self) -> bool:
        stopped_early = self._request.fail_fast and self._watcher.ended["failed"]
        return self._request.limit is not None or bool(stopped_early)

    def _look(self) -> Counts:
        """The store's counts. Raises StoreError when it stays silent: the workers go on all the same."""
        for trial in range(STORE_PATIENCE):
            try:
                self._more = self._watcher.more(self._store)
                return self._watcher.look(self._store)
            except DatabaseGone:
                self._fleet.end()  # its workers can record nothing either
                raise
            except StoreError as error:
                if trial == STORE_PATIENCE - 1 or self._request.stop.signal:
                    raise StoreError(
                        f"{error}\nThe workers go on without this command; `ablate status` shows how far."
                    ) from None
                self._request.on_event(
                    events.Waiting(0, f"the results database does not answer, trying again: {error}")
                )
                self._request.stop.wait(self._request.poll)
        raise AssertionError("unreachable")


@dataclass
class Seen:
    """What was last seen of a run."""

    state: str
    attempt: int
    slot: int | None = None
    epoch: int = 0
    judged: tuple[int, int] = (0, 0)  # attempt and epoch


@dataclass
class Watcher:
    """Turns what changes in the store into the events that an executor on this host would tell."""

    request: GridRequest
    ended: Counter[str] = field(default_factory=Counter)
    _runs: dict[str, Run] = field(default_factory=dict)
    _seen: dict[str, Seen] = field(default_factory=dict)
    _last: dict[str, str] = field(default_factory=dict)

    def start(self, store: WatchedQueue) -> None:
        self._know(store, self.request.runs)

    def more(self, store: WatchedQueue) -> bool:
        """Have more runs queued where the study grows; whether any may still come. Raises StoreError."""
        runs = self.request.more() if self.request.more is not None else None
        self._know(store, runs or ())
        return runs is not None

    def _know(self, store: WatchedQueue, runs: Sequence[Run]) -> None:
        """How runs stand that are new here: what they come to from now on is told."""
        new = {run.run_id: run for run in runs if run.run_id not in self._runs}
        self._runs |= new
        for run_id, found in store.states(list(new)).items() if new else ():
            self._seen[run_id] = Seen("queued" if found.state == "running" else found.state, found.attempts)

    def look(self, store: WatchedQueue) -> Counts:
        """Tell what happened since the last look; the study's counts. Raises StoreError."""
        states = store.states(list(self._runs))
        changed = [
            run_id
            for run_id, found in states.items()
            if found.state == "running" or (found.state, found.attempts) != self._key(run_id)
        ]
        for run_id, result in store.results(changed).items() if changed else ():
            self._judge(store, run_id, result)
            self._take(run_id, result, states[run_id].kind)
        return store.waiting(self.request.request_key)

    def report(self, blocked: int, errors: tuple[AblateError, ...], seconds: float) -> events.GridReport:
        gone = any(isinstance(error, DatabaseGone) for error in errors)
        running = tuple(run_id for run_id, seen in self._seen.items() if seen.state == "running")
        return events.GridReport.of(
            self._last.values(), blocked=blocked, interrupted=self.request.stop.signal,
            unrecorded=running if gone else (), errors=errors, seconds=seconds,
        )  # fmt: skip

    def _key(self, run_id: str) -> tuple[str, int]:
        seen = self._seen.get(run_id)
        return (seen.state, seen.attempt) if seen else ("", 0)

    def _take(self, run_id: str, result: RunResult, kind: str | None) -> None:
        seen = self._seen.setdefault(run_id, Seen("queued", 0))
        newest = result.attempts[-1] if result.attempts else None
        attempt = newest.number if newest else 0
        if result.state == "running":
            if seen.slot is None or attempt != seen.attempt:
                seen.slot = self._free_slot() if seen.slot is None else seen.slot
                seen.epoch = 0
                self.request.on_event(events.RunStarted(self._runs[run_id], seen.slot, attempt))
            self._progress(run_id, result, seen)
        elif newest is not None and (seen.slot is not None or attempt != seen.attempt):
            self._end(run_id, result, seen, newest, kind)
        seen.state, seen.attempt = result.state, attempt

    def _end(self, run_id: str, result: RunResult, seen: Seen, newest: AttemptResult, kind: str | None) -> None:
        """How the newest attempt ended; an attempt that ended unseen between two looks is told all the same."""
        slot = self._free_slot() if seen.slot is None else seen.slot
        seen.slot = None
        state = newest.state if result.state == "queued" else result.state
        self.ended[state] += 1
        self._last[run_id] = state
        seconds = max(0.0, (newest.ended or newest.started) - newest.started)
        error = result.error if state == "failed" else newest.error
        ended = events.RunEnded(
            slot, run_id, newest.number, state, seconds, result.metrics, error if state != "done" else None,
            kind if state == "failed" else None,
        )  # fmt: skip
        self.request.on_event(ended)

    def _judge(self, store: WatchedQueue, run_id: str, result: RunResult) -> None:
        """End a running run as pruned where the judge says so of an epoch that is new: its worker learns that at its next
        write, and its checkpoints stay."""
        if self.request.judge is None or result.state != "running" or not result.attempts:
            return
        run, newest, seen = self._runs[run_id], result.attempts[-1], self._seen.setdefault(run_id, Seen("queued", 0))
        for epoch in sorted(epoch for epoch in result.epochs if (newest.number, epoch) > seen.judged):
            seen.judged = (newest.number, epoch)
            reason = self.request.judge(run, _records(epoch, result.epochs[epoch]))
            if reason:
                held = Claim(run, newest.number, newest.worker, self.request.request_key, self.request.ttl)
                with contextlib.suppress(LeaseLost):  # it has just ended, or is another worker's by now
                    store.prune(held, reason)
                return

    def _progress(self, run_id: str, result: RunResult, seen: Seen) -> None:
        epoch = max(result.epochs, default=0)
        epochs = epochs_of(self._runs[run_id].recipe, self.request.options.get("epochs"))
        if seen.slot is None or epoch <= seen.epoch or epochs is None:
            return
        seen.epoch = epoch
        newest = result.epochs[epoch]
        loss, top1 = newest.get("train_loss", newest.get("loss")), newest.get("top1")
        self.request.on_event(
            events.RunProgress(seen.slot, Progress(run_id, epoch, epochs, epoch, epochs, loss=loss, top1=top1))
        )

    def _free_slot(self) -> int:
        taken = {seen.slot for seen in self._seen.values()}
        return next(number for number in range(len(taken) + 1) if number not in taken)


def _records(epoch: int, names: Mapping[str, float]) -> list[EpochRecord]:
    """An epoch as its trainer told it, from what the store makes of it (`RunResult.epochs`)."""
    found: dict[str, dict[str, float]] = {split: {} for split in SPLITS}
    for text, value in names.items():
        name = MetricName.parse(text)
        if name.split is not None:
            found[name.split][name.name] = value
    return [EpochRecord(epoch, split, metrics) for split, metrics in found.items() if metrics]


def nobody_left(said: str) -> RunFailure:
    """All workers have left before their time."""
    return RunFailure(f"No workers left, but runs remain. {said}")
