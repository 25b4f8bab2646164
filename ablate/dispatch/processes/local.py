"""The `local` executor: persistent worker processes on this host, one for each slot.

This process supervises: one thread a slot claims, heartbeats and records; the slot's child imports the trainer once and
trains one run after the other. A child that dies is replaced, and its run goes back to the queue as `lost`.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ablate.dispatch.contract import events
from ablate.dispatch.contract.executor import GridRequest, attempt_log, run_folder
from ablate.dispatch.contract.failures import Failure
from ablate.dispatch.contract.slots import Slot, plan_slots
from ablate.dispatch.processes import wire
from ablate.dispatch.processes.child_handle import Child
from ablate.dispatch.worker.attempt_log import AttemptLog
from ablate.dispatch.worker.grid_state import Board
from ablate.dispatch.worker.lease import Lease
from ablate.dispatch.worker.loop import Ending, Runner, execute_grid, options_of, work
from ablate.errors import RunFailure
from ablate.study.records import EpochRecord

HURRY = 3.0
"""Seconds that slots have to give leases back after the second signal."""

STARTS = 3
"""So many times in a row a worker may be killed while it starts, as by a system that is short of memory."""

_NEVER = float("inf")


class LocalExecutor:
    """See the module. `slots` replaces the planned ones in tests."""

    def __init__(self, slots: Sequence[Slot] | None = None) -> None:
        self._slots = slots

    def check(self, device: str, workers: int | None, threads: int | None, database: str) -> None:
        plan_slots(device, workers, threads)

    def run(self, request: GridRequest) -> events.GridReport:
        slots = self._slots or plan_slots(request.device, request.workers, request.threads, needs=request.resources)
        return execute_grid(request, lambda board, most: _serve(board, slots[: max(1, most)]))


def _serve(board: Board, slots: Sequence[Slot]) -> None:
    threads = [
        threading.Thread(
            target=work, args=(board, slot, ChildRunner(board, slot)), daemon=True, name=f"slot {slot.number}"
        )
        for slot in slots
    ]
    for thread in threads:
        thread.start()
    told, hurried = False, _NEVER
    for thread in threads:
        while thread.is_alive() and time.monotonic() < hurried:
            thread.join(0.2)  # short, as a signal handler that ran meanwhile can't end a join
            if board.stop.signal and not told:
                told = True
                board.emit(events.Stopping(board.stop.signal))
            if board.stop.hard and hurried == _NEVER:
                hurried = time.monotonic() + HURRY


class ChildRunner(Runner):
    """Executes a slot's runs in a child process; lives in the slot's thread."""

    def __init__(self, board: Board, slot: Slot) -> None:
        self._board = board
        self._slot = slot
        self._child: Child | None = None

    @property
    def ready(self) -> bool:
        return self._child is not None

    def prepare(self) -> bool:
        self._child = self._start()
        return self.ready

    def run(self, lease: Lease, folder: Path) -> Ending:
        assert self._child is not None
        log = AttemptLog(attempt_log(self._board.request.home, lease.claim.run.run_id, lease.claim.attempt))
        attempt = Attempt(self._board, self._slot, self._child, lease, folder, log)
        try:
            ending = attempt.follow()
        finally:
            log.write(self._child.output())
            log.close()
        if attempt.worn_out is not None:
            self.discard(attempt.worn_out)
        return ending

    def discard(self, reason: str) -> None:
        if self._child is None:
            return
        self._child.kill()
        self._child = None
        if not self._board.stop.signal and self._board.gone is None:
            self._board.emit(events.WorkerReplaced(self._slot.number, reason))

    def close(self) -> None:
        if self._child is not None:
            self._child.close(patience=0.0 if self._board.stop.hard else 2.0)
            self._child = None

    def _start(self) -> Child | None:
        """A child that has imported the trainer, or None when told to stop meanwhile. One that is killed is replaced."""
        for start in range(1, STARTS + 1):
            child = Child(self._slot.environment)
            try:
                if self._loads(child):
                    self._board.emit(events.WorkerStarted(self._slot.number, time.monotonic() - child.started))
                    return child
            except BaseException:
                child.kill()
                raise
            ended = child.reap()
            if ended is not None and (start == STARTS or not child.killed):
                child.output()
                last_words = child.recent.decode(errors="replace").strip()
                child.kill()
                raise RunFailure(self._cannot_load(f"{ended}\n{last_words}".strip()))
            child.kill()
            if ended is None:
                return None
            self._board.emit(events.WorkerReplaced(self._slot.number, f"{ended}, while it started"))
        raise AssertionError("unreachable")

    def _loads(self, child: Child) -> bool:
        """Whether the child has imported the trainer; False where it has ended, or where the grid was told to stop."""
        child.send("load", fit=self._board.request.fit)
        while not self._board.stop.signal:
            child.wait(60.0, self._board.stop.bell(told=False))
            child.output()
            ended = child.reap()
            try:
                for message in child.receive():
                    if message["is"] == "ready":
                        return True
                    with wire.reading(message):
                        raise RunFailure(self._cannot_load(wire.unpack_failure(message["failure"]).error))
            except wire.Garbled as error:
                raise RunFailure(self._cannot_load(f"it sent {error}")) from error
            if ended is not None:
                return False
        return False

    def _cannot_load(self, why: str) -> str:
        return f"the trainer {self._board.request.fit} can't be loaded, so no run was started by this worker: {why}"


class Attempt:
    """One run in a child, from the message that starts it to the one that ends it, or to the child's end.

    `worn_out` says why the child must not be used again.
    """

    def __init__(self, board: Board, slot: Slot, child: Child, lease: Lease, folder: Path, log: AttemptLog) -> None:
        self.worn_out: str | None = None
        self._board = board
        self._request = board.request
        self._slot = slot
        self._child = child
        self._lease = lease
        self._folder = folder
        self._log = log
        self._run = lease.claim.run
        self._told = False
        self._pruned = ""
        self._started = time.monotonic()
        self._patience = _NEVER
        limit = self._request.run_timeout
        self._limit = _NEVER if limit is None else self._started + limit

    def follow(self) -> Ending:
        """Until the run ends, one way or the other. Raises LeaseLost."""
        parent = self._run.parent
        self._child.send(
            "run",
            run=asdict(self._run),
            attempt=self._lease.claim.attempt,
            run_dir=str(self._folder),
            parent_dir=str(run_folder(self._request.home, parent)) if parent else None,
            device=self._slot.device,
            threads=self._slot.threads,
            options=options_of(self._request, self._lease.claim),
            until=self._lease.deadline,
        )
        while True:
            ending = self._step()
            if ending is not None:
                return ending

    def _step(self) -> Ending | None:
        first = min(self._lease.next_beat, self._patience, self._limit)
        self._child.wait(first - time.monotonic(), self._board.stop.bell(self._told))
        self._log.write(self._child.output())
        ended = self._child.reap()
        try:
            for message in self._child.receive():
                ending = self._take(message)
                if ending is not None:
                    return ending
        except wire.Garbled as error:
            ended = f"a worker sent {error}"
        if ended is not None:
            self.worn_out = ended
            return self._over("lost", ended)
        if self._lease.beat():
            self._child.send("lease", until=self._lease.deadline)
        return self._told_to_end()

    def _take(self, message: wire.Message) -> Ending | None:
        with wire.reading(message):
            content = self._content(message)
        if isinstance(content, Ending):
            return content
        if message["is"] == "epoch":
            if not self._pruned:  # a script prints on until it is stopped: what counts ends at the verdict
                self._lease.record(content)
                self._judge(content)  # before the child goes on: it sees the stop at its next step
            self._child.send("recorded")
            self._board.emit(events.EpochDone(self._slot.number, self._run.run_id, content))
        elif message["is"] == "progress":
            self._board.emit(events.RunProgress(self._slot.number, content))
        elif message["is"] == "environment":
            environment, fingerprint = content
            device = str(environment.get("device") or self._slot.label)
            self._lease.set_environment(environment, fingerprint, device)
        return None

    def _content(self, message: wire.Message) -> Any:
        """What a message says, as values that can be used without a doubt; an `Ending` where it is the last one."""
        kind = message["is"]
        if kind == "epoch":
            return wire.unpack_records(message["records"])
        if kind == "progress":
            return wire.unpack_progress(message["progress"])
        if kind == "environment":
            fingerprint = message["fingerprint"]
            environment = {**self._request.environment, **message["environment"]}
            return environment, None if fingerprint is None else str(fingerprint)
        if kind == "done":
            return Ending("done", float(message["seconds"]), outcome=wire.unpack_outcome(message["outcome"]))
        if kind == "interrupted":
            if self._pruned:
                return self._over("pruned", self._pruned)
            return self._over("released", f"checkpointed on signal {int(message['signal'])}")
        if kind == "failed":
            failure = wire.unpack_failure(message["failure"])
            if failure.fresh:
                self.worn_out = f"a fresh process after: {failure.error.splitlines()[-1]}"
            return Ending("failed", float(message["seconds"]), failure=failure)
        raise wire.Garbled(f"unknown message kind: {kind[:20]!r}")

    def _judge(self, records: Sequence[EpochRecord]) -> None:
        """Let the child checkpoint and leave where the judge says so."""
        if self._request.judge is None:
            return
        self._pruned = self._request.judge(self._run, records) or ""
        if self._pruned:
            self._patience = min(self._patience, time.monotonic() + self._request.grace)
            self._child.send("stop", signal=int(signal.SIGTERM))

    def _told_to_end(self) -> Ending | None:
        """A signal, a grace period that is over, or a run that takes too long."""
        now = time.monotonic()
        stop = self._board.stop
        if self._board.gone is not None:
            raise self._board.gone
        if stop.hard:
            self.worn_out = "stopped at once"
            return self._over("released", "stopped by a second signal")
        if stop.signal and not self._told:
            self._told = True
            self._patience = min(self._patience, now + self._request.grace)
            self._child.send("stop", signal=stop.signal)
        if now >= self._patience:
            self.worn_out = f"did not stop within {self._request.grace:g} s"
            if self._pruned:
                return self._over("pruned", self._pruned)
            return self._over(
                "released", f"{self.worn_out} of signal {stop.signal}; starts again from its last checkpoint"
            )
        if now >= self._limit:
            self.worn_out = f"a run did not end within {self._request.run_timeout:g} s"
            return Ending("failed", now - self._started, failure=Failure("error", f"{self.worn_out} (its time limit)"))
        return None

    def _over(self, state: str, reason: str) -> Ending:
        return Ending(state, time.monotonic() - self._started, reason=reason)
