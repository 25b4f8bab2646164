"""The `slurm` executor: an array of jobs, each a worker, submitted through submitit.

Slurm only starts workers. At a time limit or a preemption it sends SIGUSR2: the worker checkpoints its run, gives it
back and has its own job requeued, which later claims whatever is left then. Whether jobs are still there is asked of
`squeue`, never of `sacct` (not every cluster keeps accounts, and submitit then waits for ever); whether a run is done, of
the store.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablate.dispatch.clusters.slurm_jobs import SlurmFleet, command
from ablate.dispatch.contract import events
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.contract.signals import listening
from ablate.dispatch.declare import Options
from ablate.dispatch.elsewhere import gridfile
from ablate.dispatch.elsewhere.follow import Fleet, follow
from ablate.dispatch.elsewhere.host_worker import WORKER_SIGNALS, EngineStop, serve
from ablate.dispatch.elsewhere.reach import follow_grid, refuse_sqlite, shares, work_for
from ablate.dispatch.engines.slurm import ENGINE
from ablate.errors import AblateError, UsageError

LOOKS = 5.0
"""The controller is asked once in so many `GridRequest.poll`s."""


class SlurmExecutor:
    """See the module. `options` are those of `engines/slurm.py`."""

    def __init__(self, options: Options) -> None:
        self._options = ENGINE.complete(options)
        self._submitit = _submitit()

    def check(self, device: str, workers: int | None, threads: int | None, database: str) -> None:
        for program in ENGINE.programs:
            if shutil.which(program) is None:
                raise UsageError(
                    f"--executor slurm: there is no {program} on this host; use a login node of the cluster, or --executor local."
                )
        if gridfile.is_sqlite(database):
            refuse_sqlite(self._nodes(), "Slurm's nodes")

    def run(self, request: GridRequest) -> events.GridReport:
        most, failed = work_for(request)
        if not most:
            return follow(replace(request, more=None), Fleet())
        count = min(request.workers or 1, most, request.limit or most)

        def start(grid: Path, request: GridRequest) -> SlurmFleet:
            jobs = self._submit(grid, shares(request.limit, count), request.database)
            return SlurmFleet(grid, jobs, request.poll * LOOKS)

        return follow_grid(request, failed, start)

    def _nodes(self) -> set[str]:
        """The hosts where jobs may run; empty where the controller does not say (sbatch will say why)."""
        words = ["sinfo", "--noheader", "--Node", "--format=%n"]
        if "partition" in self._options:
            words.append(f"--partition={self._options['partition']}")
        return set(command(words)[1].split())

    def _submit(self, grid: Path, limits: Sequence[int | None], database: str) -> dict[str, str]:
        """Job ids by worker name. Raises UsageError with what sbatch said."""
        executor = self._submitit.SlurmExecutor(
            folder=grid.parent / "jobs", max_num_timeout=self._options["max_requeues"]
        )
        executor.update_parameters(**self._parameters())
        names = [str(number) for number in range(len(limits))]
        try:
            with _exported(ABLATE_DB=database), executor.batch():
                jobs = [
                    executor.submit(SlurmWorker(str(grid), name, limit))
                    for name, limit in zip(names, limits, strict=True)
                ]
        except (self._submitit.core.utils.FailedJobError, subprocess.SubprocessError, OSError, RuntimeError) as error:
            shutil.rmtree(grid.parent, ignore_errors=True)
            raise UsageError(
                f"Slurm refused the jobs: {_refusal(str(error) or type(error).__name__)}\n`sinfo` lists partitions; options "
                "come from --slurm KEY=VALUE and the site file."
            ) from None
        return {name: job.job_id for name, job in zip(names, jobs, strict=True)}

    def _parameters(self) -> dict[str, Any]:
        """What submitit is told, from our options."""
        given = self._options
        cores = given["cpus_per_task"]
        direct = ("partition", "account", "qos", "gres", "gpus_per_node", "mem", "constraint", "nodelist", "exclude", "setup")  # fmt: skip
        return {
            **{name: given[name] for name in direct if name in given},
            "job_name": "ablate",
            "time": given["time"],
            "cpus_per_task": cores,
            "srun_args": [f"--cpus-per-task={cores}"],  # since Slurm 22.05, srun no longer takes over the job's
            "signal_delay_s": given["signal_delay"],
            "wckey": None,
            "additional_parameters": {"requeue": True, **given.get("extra", {})},
        }


class SlurmWorker:
    """What submitit keeps in a file, calls in the job, and calls again after a requeue."""

    def __init__(self, grid: str, name: str, limit: int | None) -> None:
        self.grid, self.name, self.limit = grid, name, limit

    def __call__(self) -> None:
        """Work until nothing is left. Leaves with the worker's exit code, or has the job requeued."""
        path, stop = Path(self.grid), EngineStop()
        with listening(stop, WORKER_SIGNALS):
            try:
                code = serve(path, self.name, stop, limit=self.limit, granted=True)
            except AblateError as error:
                print(f"error: {error}", flush=True)
                raise SystemExit(error.exit_code) from None
        # with a limit nobody knows how much of it is left: such a job is not requeued
        if signal.SIGUSR2 in stop.seen and code > 128 and self.limit is None:
            gridfile.forget_ending(path, self.name)
            signal.raise_signal(signal.SIGUSR2)  # submitit's turn: it keeps this object, requeues the job and leaves
        if code:
            raise SystemExit(code)

    def checkpoint(self) -> Any:
        """What the requeued job calls: the same again. The run has its own checkpoint, and the store knows the rest."""
        return _submitit().helpers.DelayedSubmission(self)


def _submitit() -> Any:
    try:
        return importlib.import_module("submitit")
    except ImportError:
        raise UsageError("--executor slurm needs submitit: pip install 'ablate-studies[slurm]'") from None


def _refusal(said: str) -> str:
    """What sbatch wrote, without the rest of what submitit tells."""
    lines = [line.strip() for line in said.strip().splitlines()]
    told = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in lines if line.startswith("sbatch: ")]
    return "; ".join(dict.fromkeys(told)) or lines[-1]


@contextlib.contextmanager
def _exported(**variables: str) -> Iterator[None]:
    """Variables that jobs inherit: secrets travel in their environment, never in a file or a command line."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update({name: value for name, value in variables.items() if value})
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old
