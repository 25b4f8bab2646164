"""A worker that some engine, or a person, started on this host: the `local` executor's loop until nothing is left.

It opens the store itself and claims runs there, so it may begin at once and be killed at any moment.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from ablate.dispatch.contract import events
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.contract.queue import Queue
from ablate.dispatch.contract.room import usable_cores
from ablate.dispatch.contract.signals import SIGNALS, StopFlag
from ablate.dispatch.contract.slots import plan_slots
from ablate.dispatch.elsewhere import gridfile
from ablate.dispatch.elsewhere.queues import Relay, opener
from ablate.dispatch.processes.local import LocalExecutor
from ablate.errors import AblateError, LeaseLost
from ablate.store.host import WorkerInfo
from ablate.store.values import Claim, Counts

WORKER_SIGNALS = (*SIGNALS, signal.SIGUSR2)
"""SIGUSR2 is how engines announce the end of a time limit or a preemption."""

_ENGINE_VARIABLES = {
    "slurm_job": "SLURM_JOB_ID",
    "slurm_array_job": "SLURM_ARRAY_JOB_ID",
    "slurm_array_task": "SLURM_ARRAY_TASK_ID",
    "slurm_restarts": "SLURM_RESTART_COUNT",
}


class EngineStop(StopFlag):
    """A preemption sends several signals in a row: the first asks, none of the others means haste. `seen` keeps all."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def request(self, signal_number: int = signal.SIGTERM) -> None:
        self.seen.add(int(signal_number))
        if not self.signal:
            super().request(signal_number)


def serve(path: Path, name: str, stop: StopFlag, *, limit: int | None = None, cores: int | None = None,
          database: str | None = None, granted: bool = False) -> int:  # fmt: skip
    """Work on the grid of a grid file under this worker's `name`, and return the exit code to leave with.

    `limit` bounds the runs claimed here, `cores` those that this worker may use, `database` is used instead of ABLATE_DB. With
    `granted` a scheduler has made this place for one run at least.
    How it left is written beside the grid file. Raises NotFound and UsageError for a file that cannot be used.
    """
    document = gridfile.read(path)
    gridfile.forget_ending(path, name)
    if database is not None:
        os.environ["ABLATE_DB"] = database
    try:
        fields = gridfile.request_from(path, document)
        opened = opener(fields["database"], document["barred"])

        def open_store() -> Queue:
            store = Growing(opened(), gridfile.Promise(path))
            return UntilFailure(store, document["failed_before"]) if fields["fail_fast"] else store

        report = work_here(
            GridRequest(open_store=open_store, limit=limit, stop=stop, **fields), cores=cores, granted=granted
        )
        code = exit_code(report)
    except AblateError as error:
        gridfile.write_ending(path, name, error.exit_code, error)
        raise
    gridfile.write_ending(path, name, code, report)
    return code


def work_here(request: GridRequest, *, cores: int | None = None, granted: bool = False) -> events.GridReport:
    """Serve this host's slots until nothing is left to claim; every ending of a run is told on stderr."""
    cores = min(usable_cores(), cores or _granted())
    slots = plan_slots(
        request.device, request.workers, request.threads, cores=cores, needs=request.resources, granted=granted
    )
    request = replace(request, environment={**_engine(), **request.environment}, on_event=tell)
    return LocalExecutor(slots).run(request)


def exit_code(report: events.GridReport) -> int:
    """The report's, and 75 where all went well but a lease was lost: another worker holds that run now."""
    return report.exit_code or (LeaseLost.exit_code if report.fenced else 0)


def tell(event: events.Event) -> None:
    """One line for each thing that a log should have."""
    line = _line(event)
    if line:
        print(f"ablate worker: {line}", file=sys.stderr, flush=True)


def _line(event: events.Event) -> str:
    if isinstance(event, events.WorkerStarted):
        return f"slot {event.slot} is ready after {event.seconds:.1f} s"
    if isinstance(event, events.RunStarted):
        return f"run {event.run.run_id[:12]}, attempt {event.attempt}, in slot {event.slot}"
    if isinstance(event, events.RunEnded):
        why = f": {event.error.strip().splitlines()[-1]}" if event.error and event.error.strip() else ""
        return f"run {event.run_id[:12]} {event.state} after {event.seconds:.1f} s{why}"
    if isinstance(event, events.Waiting | events.WorkerReplaced):
        return event.reason
    if isinstance(event, events.Stopping):
        return f"signal {event.signal}: live runs checkpoint and are given back"
    if isinstance(event, events.GridEnded):
        report = event.report
        said = [f"{report.done} done, {report.failed} failed, {report.lost} lost, {report.released} given back"]
        return "; ".join(["leaving", *said, *(str(error) for error in report.errors)])
    return ""


def _granted() -> int:
    """The cores that Slurm granted this job on this host: not every cluster pins processes to theirs."""
    granted = os.environ.get("SLURM_CPUS_ON_NODE", "")
    return int(granted) if granted.isdigit() and int(granted) > 0 else usable_cores()


def _engine() -> dict[str, str]:
    return {name: os.environ[variable] for name, variable in _ENGINE_VARIABLES.items() if variable in os.environ}


class UntilFailure(Relay):
    """A queue that has nothing more to claim once a run of the study has failed, whichever worker had it."""

    def __init__(self, store: Queue, failed_before: int) -> None:
        super().__init__(store)
        self._failed_before = failed_before

    def claim(self, request_key: int, worker: WorkerInfo, ttl: float) -> Claim | None:
        return None if self._failed(request_key) else super().claim(request_key, worker, ttl)

    def waiting(self, request_key: int) -> Counts:
        return Counts() if self._failed(request_key) else super().waiting(request_key)

    def _failed(self, request_key: int) -> bool:
        return super().waiting(request_key).failed > self._failed_before


class Growing(Relay):
    """A queue that is not over as long as more runs are promised: it says that one is running."""

    def __init__(self, store: Queue, promise: gridfile.Promise) -> None:
        super().__init__(store)
        self._promise = promise

    def waiting(self, request_key: int) -> Counts:
        counts = super().waiting(request_key)
        if counts.queued or counts.running or not self._promise.holds():
            return counts
        return replace(counts, running=1)
