"""The `command` executor: each worker is a process that a command line of the user's starts, here or by ssh on another host.

The command must end when its worker does. It gets SIGTERM where the worker is to checkpoint and leave; what does not pass that on, as
ssh without a terminal, leaves its worker to the lease: nothing is lost, the run is taken up elsewhere once the lease runs out.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from ablate.dispatch.contract import events
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.declare import Options
from ablate.dispatch.elsewhere import gridfile
from ablate.dispatch.elsewhere.follow import Crew, Fleet, nobody_left
from ablate.dispatch.elsewhere.reach import follow_grid, said_error, shares, work_for
from ablate.dispatch.engines.command import ENGINE
from ablate.errors import AblateError, UsageError


class CommandExecutor:
    """See the module. `options` are those of `engines/command.py`."""

    def __init__(self, options: Options) -> None:
        start = ENGINE.complete(options)["start"]
        try:
            self._words = shlex.split(start)
        except ValueError as error:
            raise UsageError(f"--command start={start}: {error}.") from None

    def check(self, device: str, workers: int | None, threads: int | None, database: str) -> None:
        program = self._words[0]
        if "{" not in program and shutil.which(program) is None:
            raise UsageError(f"--executor command: there is no {program} on this host, which start begins with.")

    def run(self, request: GridRequest) -> events.GridReport:
        most, failed = work_for(request)
        count = max(1, min(request.workers or 1, most, request.limit or most))

        def start(grid: Path, request: GridRequest) -> ProcessFleet:
            commands = [self._command(grid, number, limit) for number, limit in enumerate(shares(request.limit, count))]
            return ProcessFleet(grid, commands, request.database)

        return follow_grid(request, failed, start)

    def _command(self, grid: Path, number: int, limit: int | None) -> list[str]:
        worker = [sys.executable, "-m", "ablate", "worker", "--grid", str(grid), "--name", str(number)]
        worker += [] if limit is None else ["--limit", str(limit)]
        words: list[str] = []
        for word in self._words:
            inside = word.replace("{number}", str(number))
            words += worker if word == "{worker}" else [inside.replace("{worker}", shlex.join(worker))]
        return words


class ProcessFleet(Fleet):
    """The commands of one grid. Each leads a group of its own, so that a Ctrl-C at the terminal reaches it through us alone."""

    def __init__(self, grid: Path, commands: list[list[str]], database: str) -> None:
        self._grid = grid
        self._told: set[int] = set()
        self._processes: list[subprocess.Popen[bytes]] = []
        environment = {**os.environ, "ABLATE_DB": database}
        try:
            for number, words in enumerate(commands):
                self._processes.append(self._start(number, words, environment))
        except OSError as error:
            self.end()
            raise UsageError(f"--executor command: {shlex.join(words)} cannot be started: {error.strerror}.") from None

    def look(self) -> Crew:
        gone = [number for number, process in enumerate(self._processes) if process.poll() is not None]
        silent = [number for number in gone if gridfile.ending(self._grid, str(number)) is None]
        news = [events.WorkerEnded(str(number), self._fate(number)) for number in silent if number not in self._told]
        self._told.update(silent)
        return Crew(len(self._processes) - len(gone), news=tuple(news))

    def stop(self) -> None:
        self._signal(signal.SIGTERM)

    def end(self) -> None:
        self._signal(signal.SIGKILL)
        for process in self._processes:
            process.wait()

    def why(self) -> AblateError:
        fates = "; ".join(self._fate(number) for number in sorted(self._told))
        error = said_error(self._grid, map(str, range(len(self._processes))))
        return error or nobody_left(fates or f"Logs: {self._log(0).parent}")

    def _start(self, number: int, words: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with self._log(number).open("wb") as log:
            return subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, process_group=0
            )

    def _signal(self, number: int) -> None:
        for process in self._processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)

    def _fate(self, number: int) -> str:
        return f"worker {number}'s command exited with status {self._processes[number].returncode}; its log: {self._log(number)}"

    def _log(self, number: int) -> Path:
        return self._grid.parent / "jobs" / f"{number}.log"
