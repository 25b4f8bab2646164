"""The jobs of one grid, as `squeue` sees them: who still works, who died, and what the log of the dead says.

The controller is asked, never the accounts: `sacct` is not everywhere.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ablate.dispatch.contract import events
from ablate.dispatch.elsewhere import gridfile
from ablate.dispatch.elsewhere.follow import Crew, Fleet, nobody_left
from ablate.dispatch.elsewhere.reach import said_error
from ablate.errors import AblateError, RunFailure, UsageError

COMMAND_PATIENCE = 60.0
"""Seconds that a command of Slurm may take: a controller that is away makes them wait."""
SILENCE = 600.0
"""Seconds that squeue may fail before its silence ends the following."""
_OVER = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"}
)  # fmt: skip
_HOPELESS = frozenset(
    {"AccountNotAllowed", "AssocTimeLimit", "BadConstraints", "DependencyNeverSatisfied", "InvalidAccount", "InvalidQOS",
     "JobHeldAdmin", "JobHeldUser", "PartitionNodeLimit", "PartitionTimeLimit", "QOSNotAllowed", "QOSTimeLimit"}
)  # fmt: skip
"""Reasons for which a job waits until somebody changes it; also those that start with `launch failed`."""
_LAST_LINES = 8


class SlurmFleet(Fleet):
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
        code, out, err = command(["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r", f"--jobs={self._ids()}"])  # fmt: skip
        self._next = time.monotonic() + self._every
        if code and "Invalid job id" not in err:
            if now - self._heard > SILENCE:
                said = f"squeue has not answered for {SILENCE / 60:.0f} minutes: {err.strip()}"
                return Crew(
                    0, hopeless=RunFailure(f"{said}\nJobs may still run; `ablate status` shows their progress.")
                )
            return Crew(self._crew.alive, f"squeue does not answer: {err.strip()}")
        self._heard = now
        self._states = dict(_parsed(line) for line in out.splitlines() if line.count("|") >= 2)
        self._crew = self._count()
        return self._crew

    def dismiss(self) -> None:
        command(["scancel", "--quiet", "--state=PENDING", *self._roots()])
        self._next = 0.0

    def stop(self) -> None:
        """SIGTERM to workers: a plain scancel would have SIGKILL follow, sooner than a large checkpoint is written."""
        self.dismiss()
        command(["scancel", "--quiet", "--signal=TERM", *self._roots()])

    def end(self) -> None:
        if any(self._alive(job) for job in self._jobs.values()):
            command(["scancel", "--quiet", *self._roots()])

    def why(self) -> AblateError:
        if error := said_error(self._grid, self._jobs):
            return error
        silent = [name for name in self._jobs if gridfile.ending(self._grid, name) is None]
        if silent:
            ended_so = f"{len(silent)} of {len(self._jobs)} jobs ended without reporting; {self._fate(silent[0])}."
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
            f"allowed, --slurm KEY=VALUE or the site file what is asked for (time is 4:00:00 unless told)."
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


def _parsed(line: str) -> tuple[str, tuple[str, str]]:
    job, state, reason = line.split("|", 2)
    return job.strip(), (state.strip(), reason.strip().strip("()"))


def command(words: Sequence[str]) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of a command of Slurm; one that does not come back has failed."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, "", str(error)
    return done.returncode, done.stdout, done.stderr
