"""The worker's loop: claim, run, record, until nothing is left to claim. The same for every executor.

How a run is executed is a `Runner`'s business: in this process, or in one of its own. What all slots of a grid share
is the `Board`: who may still claim, and how the runs ended.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from ablate.dispatch.contract import events
from ablate.dispatch.contract.executor import GridRequest, run_folder
from ablate.dispatch.contract.failures import Failure, explain
from ablate.dispatch.contract.queue import Queue
from ablate.dispatch.contract.slots import Slot
from ablate.dispatch.worker.grid_state import Board
from ablate.dispatch.worker.lease import Lease
from ablate.errors import AblateError, DatabaseGone, LeaseLost, NoSpaceOrPermission, RunFailure, StoreError
from ablate.store.host import WorkerInfo
from ablate.store.values import Claim
from ablate.study.records import Outcome

STORE_PATIENCE = 5
"""So many times in a row the store may fail to answer a claim; each time it has waited for its own time-out before."""

FRUITLESS = 3

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Ending:
    """How an attempt ended: `state` as in `events.RunEnded`. Done has an outcome, failed a failure, others a reason."""

    state: str
    seconds: float = 0.0
    outcome: Outcome | None = None
    failure: Failure | None = None
    reason: str = ""


class Runner(Protocol):
    """One slot's way to execute runs."""

    @property
    def ready(self) -> bool:
        """Whether a run can start now. What has to be started first is started before a run is claimed."""
        ...

    def prepare(self) -> bool:
        """Become ready. False when told to stop meanwhile. Raises RunFailure if the trainer can't be loaded."""
        ...

    def run(self, lease: Lease, folder: Path) -> Ending:
        """Execute the leased run. Raises LeaseLost, after which `discard` is called."""
        ...

    def discard(self, reason: str) -> None:
        """Whatever still executes has no owner: end it."""
        ...

    def close(self) -> None: ...


def work(board: Board, slot: Slot, runner: Runner) -> None:
    """Serve one slot to the end. Never raises: what stops this slot for good stops the grid and is in its report."""
    try:
        with contextlib.closing(board.request.open_store()) as store:
            SlotWorker(board, slot, runner, store).work()
    except AblateError as error:
        board.halt(error)
    except Exception as error:
        board.halt(AblateError(f"a worker's supervisor crashed, a bug in ablate: {explain(error)}"))
    finally:
        runner.close()


class SlotWorker:
    """The loop of one slot; lives in one thread with a store of its own."""

    def __init__(self, board: Board, slot: Slot, runner: Runner, store: Queue) -> None:
        self._board = board
        self._request = board.request
        self._slot = slot
        self._runner = runner
        self._store = store
        self._worker = WorkerInfo.here(device=slot.label)
        self._waiting_for = ""

    def work(self) -> None:
        while (leased := self._next()) is not None:
            claim, since = leased
            self._waiting_for = ""
            self._one(Lease(self._store, claim, self._request.ttl, self._board.stop, self._tell, since=since))

    def _next(self) -> tuple[Claim, float] | None:
        """The next claim and the time before it was asked for; None when this slot's work is over."""
        fruitless = 0
        while self._board.open():
            if self._runner.ready:
                since = time.monotonic()
                claim = self._ask(lambda: self._board.claim(self._claim))
                if claim is not None:
                    return claim, since
            waiting = self._ask(lambda: self._store.waiting(self._request.request_key))
            if waiting.queued == 0 and waiting.running == 0:
                return None
            if not self._runner.ready and (waiting.queued or self._slot.number == 0):
                self._runner.prepare()  # one slot gets ready even so: only a claim ends the leases of the dead
                continue
            fruitless = 0 if waiting.running else fruitless + 1
            if fruitless > FRUITLESS:
                raise RunFailure(
                    f"{_runs(waiting.queued)} queued, but none can start and none is running; "
                    "`ablate status` shows what is missing"
                )
            self._tell("for runs of other workers or slots to end")
            self._board.sleep(self._request.poll)
        return None

    def _claim(self) -> Claim | None:
        return self._store.claim(self._request.request_key, self._worker, self._request.ttl)

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        """An answer from a store that may be busy. Raises its StoreError when it stays so."""
        for trial in range(STORE_PATIENCE):
            try:
                return question()
            except DatabaseGone:
                raise
            except StoreError as error:
                if trial == STORE_PATIENCE - 1 or self._board.stop.signal:
                    raise
                self._tell(f"the results database does not answer, trying again: {error}")
                self._board.stop.wait(self._request.poll)
        raise AssertionError("unreachable")

    def _one(self, lease: Lease) -> None:
        run, attempt = lease.claim.run, lease.claim.attempt
        started = time.monotonic()
        self._board.emit(events.RunStarted(run, self._slot.number, attempt))
        ending = None
        try:
            ending = self._execute(lease)
            self._settle(lease, ending)
        except DatabaseGone as gone:
            self._board.halt(gone)
            self._runner.discard(str(gone))
            ending = _unrecorded(ending, gone)
        except LeaseLost as lost:
            self._runner.discard(str(lost))
            ending = Ending("fenced", reason=str(lost))
        except BaseException:
            self._runner.discard("the supervisor broke")
            with contextlib.suppress(AblateError):
                lease.release("the supervisor broke")
            raise
        self._board.ended(run.run_id, ending.state, ending.failure)
        self._board.emit(
            events.RunEnded(
                self._slot.number,
                run.run_id,
                attempt,
                ending.state,
                ending.seconds or time.monotonic() - started,
                ending.outcome.metrics if ending.outcome else {},
                ending.failure.error if ending.failure else ending.reason or None,
                ending.failure.kind if ending.failure and ending.state == "failed" else None,
            )
        )

    def _execute(self, lease: Lease) -> Ending:
        folder = run_folder(self._request.home, lease.claim.run.run_id)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return Ending("released", failure=Failure("no_space", f"can't make the run's folder {folder}: {error}"))
        ending = self._runner.run(lease, folder)
        if ending.failure is not None and ending.failure.kind == "no_space":
            return Ending("released", ending.seconds, failure=ending.failure)
        return ending

    def _settle(self, lease: Lease, ending: Ending) -> None:
        """Tell the store. Raises LeaseLost: then the ending counts for nothing."""
        if ending.outcome is not None:
            lease.finish(ending.outcome, ending.seconds)
        elif ending.state == "released" and ending.failure is not None:
            self._board.halt(
                NoSpaceOrPermission(f"{ending.failure.error}\nFree some space or grant access, then start again.")
            )
            lease.release("no space or no permission")
        elif ending.failure is not None:
            lease.fail(ending.failure.error, ending.failure.kind)
        elif ending.state == "lost":
            lease.lose(ending.reason)
        elif ending.state == "pruned":
            lease.prune(ending.reason)
        else:
            lease.release(ending.reason)

    def _tell(self, reason: str) -> None:
        """Say what this slot waits for, once."""
        if reason != self._waiting_for:
            self._waiting_for = reason
            self._board.emit(events.Waiting(self._slot.number, reason))


def _unrecorded(ending: Ending | None, gone: DatabaseGone) -> Ending:
    """How a run ended that nothing can be recorded of: cut off, or with all of its numbers."""
    if ending is None or ending.outcome is None:
        return Ending("unrecorded", reason=f"cut off: {gone}")
    figures = ", ".join(f"{name} {value:g}" for name, value in ending.outcome.metrics.items())
    return Ending("unrecorded", ending.seconds, reason=f"finished training ({figures}), but not recorded: {gone}")


def options_of(request: GridRequest, claim: Claim) -> dict[str, object]:
    """`Context.options`: the request's, whether another run starts from this one's weights, and, for a script that may go on from a
    checkpoint, which attempt this is."""
    needed = claim.needed_by_child or bool(request.options.get("needed_by_child"))
    attempt = {"attempt": claim.attempt} if "resume" in request.options else {}
    return {**request.options, "needed_by_child": needed, **attempt}


def _runs(count: int) -> str:
    return "1 run is" if count == 1 else f"{count} runs are"


def execute_grid(request: GridRequest, serve: Callable[[Board, int], None]) -> events.GridReport:
    """The frame of an executor on this host. `serve` gets the board and how many slots can be of use at most.

    Nothing is started for a study with nothing to do.
    """
    board = Board(request)
    blocked = 0
    try:
        with contextlib.closing(request.open_store()) as store:
            waiting = store.waiting(request.request_key)
            if waiting.queued or waiting.running:
                serve(board, waiting.open)
                if not request.stop.signal:  # in a hurry nobody waits for a busy database
                    waiting = store.waiting(request.request_key)
            blocked = waiting.blocked
    except StoreError as error:
        board.halt(error)
    report = board.report(blocked).explained(request.home)
    board.emit(events.GridEnded(report))
    return report
