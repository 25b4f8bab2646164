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
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ablate.dispatch import events, gridfile
from ablate.dispatch.executor import GridRequest
from ablate.dispatch.follow import Crew, follow, nobody_left
from ablate.dispatch.remote import WORKER_SIGNALS, EngineStop, serve
from ablate.dispatch.shares import answering, refuse_sqlite, shares, work_for
from ablate.dispatch.signals import listening
from ablate.dispatch.site import Settings
from ablate.errors import AblateError, RunFailure, UsageError

DEFAULTS: Mapping[str, Any] = {"time": 240, "cpus_per_task": 1, "signal_delay": 90, "max_requeues": 100}
COMMAND_PATIENCE = 60.0
"""Seconds that a command of Slurm may take: a controller that is away makes them wait."""
SILENCE = 600.0
"""Seconds that squeue may fail before its silence ends the following."""
LOOKS = 5.0
"""The controller is asked once in so many `GridRequest.poll`s."""

_OVER = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"}
)  # fmt: skip
_HOPELESS = frozenset(
    {
        "AccountNotAllowed",
        "AssocTimeLimit",
        "BadConstraints",
        "DependencyNeverSatisfied",
        "InvalidAccount",
        "InvalidQOS",
        "JobHeldAdmin",
        "JobHeldUser",
        "PartitionNodeLimit",
        "PartitionTimeLimit",
        "QOSNotAllowed",
        "QOSTimeLimit",
    }
)
"""Reasons for which a job waits until somebody changes it; also those that start with `launch failed`."""
_LAST_LINES = 8


class SlurmExecutor:
    """See the module. `settings` are those of `site.SLURM`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = {**DEFAULTS, **settings}
        self._submitit = _submitit()

    def check(self, device: str, workers: int | None, threads: int | None, database: str) -> None:
        for command in ("sbatch", "squeue", "scancel", "srun"):
            if shutil.which(command) is None:
                raise UsageError(
                    f"--executor slurm: there is no {command} on this host; use a login node of the cluster, or --executor local."
                )
        if gridfile.is_sqlite(database):
            refuse_sqlite(self._nodes(), "Slurm's nodes")

    def run(self, request: GridRequest) -> events.GridReport:
        most, failed = work_for(request)
        if not most:
            return follow(request, _Nobody())
        count = min(request.workers or 1, most, request.limit or most)
        grid = gridfile.write(request, failed_before=failed)
        with answering(request, grid):
            jobs = self._submit(grid, shares(request.limit, count), request.database)
            report = follow(request, SlurmFleet(grid, jobs, request.poll * LOOKS))
        if report.exit_code == 0:
            shutil.rmtree(grid.parent, ignore_errors=True)
        return report

    def _nodes(self) -> set[str]:
        """The hosts where jobs may run; empty where the controller does not say (sbatch will say why)."""
        words = ["sinfo", "--noheader", "--Node", "--format=%n"]
        if "partition" in self._settings:
            words.append(f"--partition={self._settings['partition']}")
        return set(_command(words)[1].split())

    def _submit(self, grid: Path, limits: Sequence[int | None], database: str) -> dict[str, str]:
        """Job ids by worker name. Raises UsageError with what sbatch said."""
        executor = self._submitit.SlurmExecutor(
            folder=grid.parent / "jobs", max_num_timeout=self._settings["max_requeues"]
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
        """What submitit is told, from our settings."""
        given = self._settings
        cores = given["cpus_per_task"]
        extra = {"requeue": True, **given.get("extra", {})}
        if "reservation" in given:
            extra["reservation"] = given["reservation"]
        direct = ("partition", "account", "qos", "gres", "gpus_per_node", "mem", "constraint", "nodelist", "exclude", "setup")  # fmt: skip
        return {
            **{name: given[name] for name in direct if name in given},
            "job_name": "ablate",
            "time": given["time"],
            "cpus_per_task": cores,
            "srun_args": [f"--cpus-per-task={cores}"],  # since Slurm 22.05, srun no longer takes over the job's
            "signal_delay_s": given["signal_delay"],
            "wckey": None,
            "additional_parameters": extra,
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
                code = serve(path, self.name, stop, limit=self.limit)
            except AblateError as error:
                print(f"error: {error}", flush=True)
                raise SystemExit(error.exit_code) from None
        if signal.SIGUSR2 in stop.seen and code > 128 and self.limit is None:
            gridfile.forget_ending(path, self.name)
            signal.raise_signal(signal.SIGUSR2)  # submitit's turn: it keeps this object, requeues the job and leaves
        if code:
            raise SystemExit(code)

    def checkpoint(self) -> Any:
        """What the requeued job calls: the same again. The run has its own checkpoint, and the store knows the rest."""
        return _submitit().helpers.DelayedSubmission(self)


class SlurmFleet:
    """The jobs of one grid, by worker name, as squeue sees them at most every `every` seconds."""

    def __init__(self, grid: Path, jobs: Mapping[str, str], every: float) -> None:
        self._grid, self._jobs, self._every = grid, dict(jobs), every
        self._next = 0.0
        self._crew = Crew(len(jobs))
        self._heard = time.monotonic()
        self._silent: set[str] = set()
        self._told: set[str] = set()
        self._states: dict[str, tuple[str, str]] = {}

    def look(self) -> Crew:
        now = time.monotonic()
        if now < self._next:
            return Crew(self._crew.alive, self._crew.waiting)
        code, out, err = _command(["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r", f"--jobs={self._ids()}"])  # fmt: skip
        self._next = time.monotonic() + self._every
        if code and "Invalid job id" not in err:
            if now - self._heard > SILENCE:
                said = f"squeue has not answered for {SILENCE / 60:.0f} minutes: {err.strip()}"
                return Crew(0, hopeless=RunFailure(f"{said}\nJobs may go on; `ablate status` shows what they do."))
            return Crew(self._crew.alive, f"squeue does not answer: {err.strip()}")
        self._heard = now
        self._states = dict(_parsed(line) for line in out.splitlines() if line.count("|") >= 2)
        self._crew = self._count()
        return self._crew

    def dismiss(self) -> None:
        _command(["scancel", "--quiet", "--state=PENDING", *self._roots()])
        self._next = 0.0

    def stop(self) -> None:
        """SIGTERM to workers: a plain scancel would have SIGKILL follow, sooner than a large checkpoint is written."""
        self.dismiss()
        _command(["scancel", "--quiet", "--signal=TERM", *self._roots()])

    def end(self) -> None:
        if any(self._alive(job) for job in self._jobs.values()):
            _command(["scancel", "--quiet", *self._roots()])

    def why(self) -> AblateError:
        endings = {name: gridfile.ending(self._grid, name) for name in self._jobs}
        for ended in endings.values():
            if ended is not None and ended.error is not None:
                return ended.error
        silent = [name for name, ended in endings.items() if ended is None]
        if silent:
            ended_so = f"{len(silent)} of {len(self._jobs)} jobs ended without a word; {self._fate(silent[0])}."
            return nobody_left(f"{ended_so} {self._log(self._jobs[silent[0]])}")
        return nobody_left(f"Logs: {self._grid.parent / 'jobs'}")

    def _count(self) -> Crew:
        alive = [name for name, job in self._jobs.items() if self._alive(job)]
        gone = [name for name in self._jobs if name not in alive]
        said = {name for name in gone if gridfile.ending(self._grid, name) is not None}
        silent = {name for name in gone if name not in said}
        sure = silent & self._silent  # seen twice: a shared folder may lag behind squeue
        news = tuple(
            events.WorkerEnded(name, f"{self._fate(name)}; its log: {self._stderr(self._jobs[name])}")
            for name in sorted(sure - self._told)
        )
        self._told |= sure
        self._silent = silent
        return Crew(len(alive) + len(silent - sure), self._waiting(), news, self._hopeless(alive))

    def _fate(self, name: str) -> str:
        job = self._jobs[name]
        return f"job {job} is {self._states.get(job, ('GONE', ''))[0]}"

    def _alive(self, job: str) -> bool:
        return job in self._states and self._states[job][0] not in _OVER

    def _waiting(self) -> str:
        """What pending jobs wait for, as long as none runs and Slurm has said it."""
        mine = [self._states[job] for job in self._jobs.values() if self._alive(job)]
        if not mine or any(state != "PENDING" for state, _ in mine) or mine[0][1] == "None":
            return ""
        return f"{len(mine)} Slurm job{'' if len(mine) == 1 else 's'} pending ({mine[0][1]})"

    def _hopeless(self, alive: Sequence[str]) -> AblateError | None:
        """Where no job will ever start: the first one's reason."""
        reasons = [self._states[self._jobs[name]][1] for name in alive]
        stuck = [reason for reason in reasons if reason in _HOPELESS or reason.startswith("launch failed")]
        if not reasons or len(stuck) < len(reasons):
            return None
        return UsageError(
            f"Slurm will never start the jobs: {stuck[0]}. They are cancelled; `scontrol show partition` says what is "
            f"allowed, --slurm KEY=VALUE or the site file what is asked for (time is {_clock(DEFAULTS['time'])} unless told)."
        )

    def _roots(self) -> list[str]:
        return sorted({job.partition("_")[0] for job in self._jobs.values()})

    def _ids(self) -> str:
        return ",".join(self._roots())

    def _stderr(self, job: str) -> Path:
        return self._grid.parent / "jobs" / f"{job}_0_log.err"

    def _log(self, job: str) -> str:
        """The end of a job's log, and where it is."""
        try:
            lines = self._stderr(job).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return (
                f"It left no log at {self._stderr(job)}: is ABLATE_HOME a folder that all nodes share, and may you "
                "write there?"
            )
        told = "\n  ".join(line for line in lines[-_LAST_LINES:] if line.strip())
        return f"The end of {self._stderr(job)}:\n  {told}" if told else f"Its log {self._stderr(job)} is empty."


class _Nobody:
    """The fleet of a grid with nothing to do."""

    def look(self) -> Crew:
        return Crew(0)

    def dismiss(self) -> None: ...

    def stop(self) -> None: ...

    def end(self) -> None: ...

    def why(self) -> AblateError:
        return nobody_left("None was started.")


def _submitit() -> Any:
    try:
        return importlib.import_module("submitit")
    except ImportError:
        raise UsageError("--executor slurm needs submitit: pip install 'ablate[slurm]'") from None


def _clock(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02d}:00"


def _refusal(said: str) -> str:
    """What sbatch wrote, without the rest of what submitit tells."""
    lines = [line.strip() for line in said.strip().splitlines()]
    told = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in lines if line.startswith("sbatch: ")]
    return "; ".join(dict.fromkeys(told)) or lines[-1]


def _parsed(line: str) -> tuple[str, tuple[str, str]]:
    job, state, reason = line.split("|", 2)
    return job.strip(), (state.strip(), reason.strip().strip("()"))


def _command(words: Sequence[str]) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of a command of Slurm; one that does not come back has failed."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, "", str(error)
    return done.returncode, done.stdout, done.stderr


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
