"""The `inline` executor: runs train in this process and this thread, one after the other. For debugging, and for tests.

A thread keeps the lease alive while the trainer works. What the trainer prints goes where this process prints; a
crash of the trainer is a crash of this process, and its run comes back when the lease runs out.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ablate.dispatch.contract import events
from ablate.dispatch.contract.executor import GridRequest, attempt_log, run_folder
from ablate.dispatch.contract.failures import classify
from ablate.dispatch.contract.slots import Slot, plan_slots
from ablate.dispatch.processes import wire
from ablate.dispatch.processes.child import describe
from ablate.dispatch.worker.grid_state import Board
from ablate.dispatch.worker.lease import Lease
from ablate.dispatch.worker.loop import Ending, Runner, execute_grid, options_of, work
from ablate.errors import AblateError, DatabaseGone, Interrupted, LeaseLost, RunFailure
from ablate.study.records import Context, EpochRecord, Fit, Outcome


class InlineExecutor:
    def check(self, device: str, workers: int | None, threads: int | None, database: str) -> None:
        plan_slots(device, 1, threads)

    def run(self, request: GridRequest) -> events.GridReport:
        slot = plan_slots(request.device, 1, request.threads, needs=request.resources)[0]
        return execute_grid(request, lambda board, most: work(board, slot, InlineRunner(board, slot)))


class InlineRunner(Runner):
    """Executes runs in the thread that calls it."""

    def __init__(self, board: Board, slot: Slot) -> None:
        self._board = board
        self._slot = slot
        self._fit: Fit | None = None
        self._describe: Callable[..., Any] | None = None
        self._pruned = ""

    @property
    def ready(self) -> bool:
        return self._fit is not None

    def prepare(self) -> bool:
        started = time.monotonic()
        module_name, _, function = self._board.request.fit.partition(":")
        try:
            module = importlib.import_module(module_name)
            self._fit = getattr(module, function)
        except Exception as error:
            raise RunFailure(
                f"the trainer {self._board.request.fit} can't be loaded, so no run was started: {classify(error).error}"
            ) from error
        self._describe = getattr(module, "describe", None)
        self._board.emit(events.WorkerStarted(self._slot.number, time.monotonic() - started))
        return True

    def run(self, lease: Lease, folder: Path) -> Ending:
        started = time.monotonic()
        self._pruned = ""
        with Heart(self._board, lease) as heart:
            try:
                outcome = self._train(lease, folder, heart)
                return Ending("done", time.monotonic() - started, outcome=outcome)
            except (DatabaseGone, LeaseLost):
                raise
            except Interrupted as stopped:
                if self._pruned:
                    return Ending("pruned", time.monotonic() - started, reason=self._pruned)
                reason = f"checkpointed on signal {stopped.signal_number}"
            except KeyboardInterrupt:
                self._board.stop.request()
                reason = "stopped at once"
            except BaseException as error:  # a trainer may call sys.exit
                failure = classify(error, folder)
                self._keep(lease, failure.error if isinstance(error, AblateError) else traceback.format_exc())
                return Ending("failed", time.monotonic() - started, failure=failure)
        return Ending("released", time.monotonic() - started, reason=reason)

    def discard(self, reason: str) -> None:
        """Nothing runs on: a lost lease has unwound the trainer."""

    def close(self) -> None: ...

    def _train(self, lease: Lease, folder: Path, heart: Heart) -> Outcome:
        run, parent = lease.claim.run, lease.claim.run.parent
        context = Context(
            run_dir=folder,
            device=self._slot.device,
            threads=self._slot.threads,
            on_epoch=lambda records: self._on_epoch(lease, records),
            on_progress=lambda progress: self._board.emit(events.RunProgress(self._slot.number, progress)),
            should_stop=lambda: heart.should_stop() or (int(signal.SIGTERM) if self._pruned else 0),
            options=options_of(self._board.request, lease.claim),
            parent_dir=run_folder(self._board.request.home, parent) if parent else None,
        )
        environment, fingerprint = describe(self._describe, run, context)
        environment = {**self._board.request.environment, **environment}
        lease.set_environment(environment, fingerprint, str(environment.get("device") or self._slot.label))
        assert self._fit is not None
        self._board.stop.raises = True
        try:
            outcome = self._fit(run, context)
        finally:
            self._board.stop.raises = False
        return wire.unpack_outcome(json.loads(wire.encode(wire.pack_outcome(outcome))))

    def _on_epoch(self, lease: Lease, records: Sequence[EpochRecord]) -> None:
        if self._pruned:  # a script goes on printing until it is stopped: what counts ends at the verdict
            return
        plain = wire.unpack_records(wire.pack_records(records))
        lease.record(plain)
        self._board.emit(events.EpochDone(self._slot.number, lease.claim.run.run_id, plain))
        judge = self._board.request.judge
        if judge is not None:
            self._pruned = judge(lease.claim.run, plain) or ""

    def _keep(self, lease: Lease, text: str) -> None:
        """In the attempt's log, as what was printed went to the terminal. An error of ours says all: it has a script's last lines."""
        path = attempt_log(self._board.request.home, lease.claim.run.run_id, lease.claim.attempt)
        with contextlib.suppress(OSError), path.open("a", encoding="utf-8", errors="backslashreplace") as log:
            print(text.rstrip("\n"), file=log)


class Heart:
    """A thread with a store of its own that renews a lease while the trainer is busy."""

    def __init__(self, board: Board, lease: Lease) -> None:
        self._board = board
        self._lease = lease
        self._over = threading.Event()
        self._lost: LeaseLost | DatabaseGone | None = None
        self._thread = threading.Thread(target=self._beat, daemon=True, name="heartbeat")

    def __enter__(self) -> Heart:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join(1.0)  # it may be waiting for a busy store; it writes nothing but heartbeats

    def should_stop(self) -> int:
        """As `Context.should_stop`. Raises LeaseLost in the trainer's thread once the run is another worker's, and DatabaseGone
        once nothing can be recorded any more."""
        if self._lost is not None:
            raise self._lost
        return self._board.stop.signal

    def _beat(self) -> None:
        try:
            with contextlib.closing(self._board.request.open_store()) as store:
                pulse = self._lease.on(store)
                while not self._over.wait(max(0.0, pulse.next_beat - time.monotonic())):
                    if pulse.beat():
                        self._lease.deadline = pulse.deadline
        except (DatabaseGone, LeaseLost) as lost:
            self._lost = lost
        except AblateError as error:  # without a heartbeat the lease is as good as lost
            self._lost = LeaseLost(f"no more heartbeats: {error}")
