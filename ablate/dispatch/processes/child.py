"""The worker process: imports the trainer once, then serves runs one after the other. It never sees the store.

Two processes stand in for one. The first, the *guard*, only waits: it ends the whole process group when the
supervisor is gone (its end of the life pipe closes, whatever killed it) and passes on how the second one ended. The
second trains. So neither a hanging trainer nor the programs it started outlive a supervisor that got kill -9.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import os
import platform
import queue
import resource
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from ablate.dispatch.contract.failures import classify
from ablate.dispatch.processes import wire
from ablate.errors import AblateError, Interrupted
from ablate.study.records import Context, EpochRecord, Progress
from ablate.study.values.run import Run

PROGRESS_EVERY = 0.2
"""Seconds between two progress messages of a run."""

_PR_SET_PDEATHSIG = 1


def main(control: int, life: int) -> NoReturn:
    """Entry point. `control` is a socket, `life` the read end of a pipe whose other end only the supervisor holds."""
    guard = os.getpid()
    trainer = os.fork()
    if trainer:
        os.close(control)  # held open here, it would hide the trainer's end from the supervisor
        _guard(trainer, life)
    os.close(life)
    _die_with(guard)
    faulthandler.enable()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    worker = Worker(wire.Channel(socket.socket(fileno=control)))
    signal.signal(signal.SIGINT, lambda number, frame: None)  # not SIG_IGN: programs that a trainer starts inherit that
    for number in (signal.SIGTERM, signal.SIGUSR2):  # Slurm sends its signals to every process of a job
        signal.signal(number, lambda number, frame: worker.ask_to_stop(number))
    worker.serve()
    _flush()
    os._exit(0)  # no waiting for threads and exit hooks of other people's libraries


def _guard(trainer: int, life: int) -> NoReturn:
    """Wait for the trainer's end or the supervisor's, whichever comes first."""
    # Signals to the group are the trainer's to answer; the guard stays, to pass on how that ended.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # it has nothing to say, and holds nobody's pipe open
        os.dup2(nothing, stream)
    watched = select.poll()
    watched.register(life, select.POLLIN)
    with contextlib.suppress(OSError, AttributeError):  # not Linux: looked after once a second
        watched.register(os.pidfd_open(trainer), select.POLLIN)
    while True:
        ready = watched.poll(1000)
        ended, status = os.waitpid(trainer, os.WNOHANG)
        if ended:
            os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
        if any(descriptor == life for descriptor, _ in ready):
            os.killpg(0, signal.SIGKILL)  # 0 is our own group: this process goes, too


def _die_with(parent: int) -> None:
    """Ask Linux for SIGKILL when the guard dies, and leave if it did so before we asked."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    with contextlib.suppress(OSError, ValueError):  # a crash dump of a training process can fill a disk
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Worker:
    """Serves one supervisor. The main thread trains; a thread listens, so that a stop arrives during a step."""

    def __init__(self, channel: wire.Channel) -> None:
        self.stop = 0
        self._channel = channel
        self._inbox: queue.SimpleQueue[wire.Message] = queue.SimpleQueue()
        self._recorded: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._until: float | None = None
        self._fit: Callable[[Run, Context], Any] | None = None
        self._describe: Callable[[Run, Context], Any] | None = None
        self._last_progress = 0.0

    def ask_to_stop(self, number: int) -> None:
        self.stop = self.stop or int(number)

    def serve(self) -> None:
        threading.Thread(target=self._listen, daemon=True, name="supervisor").start()
        while True:
            message = self._inbox.get()
            if message["is"] == "load":
                self._load(message["fit"])
            elif message["is"] == "run":
                self._run(message)
            else:
                return

    def _listen(self) -> None:
        """Take messages until the supervisor is gone or has let the lease run out: then the run may be another's."""
        while True:
            until = self._until
            patience = None if until is None else max(0.0, until - time.monotonic())
            if not select.select([self._channel], [], [], patience)[0]:
                if self._until is not None and time.monotonic() >= self._until:
                    _leave("the lease expired without news from the supervisor; leaving the run to others")
                continue
            for message in self._channel.receive(block=True):
                self._take(message)
            if self._channel.closed:
                _leave("the supervisor is gone; leaving")

    def _take(self, message: wire.Message) -> None:
        kind = message["is"]
        if kind == "lease":
            if self._until is not None:
                self._until = message["until"]
        elif kind == "stop":
            self.ask_to_stop(message["signal"])
        elif kind == "recorded":
            self._recorded.put(True)
        else:
            if kind == "run":
                self.stop = 0  # an earlier SIGTERM was for an earlier run; a stop for this one comes after it
                self._until = message["until"]
            self._inbox.put(message)

    def _load(self, name: str) -> None:
        module_name, _, function = name.partition(":")
        try:
            module = importlib.import_module(module_name)
            self._fit = getattr(module, function)
            self._describe = getattr(module, "describe", None)
        except BaseException as error:
            traceback.print_exc()
            _flush()
            self._channel.send("broken", failure=asdict(classify(error)))
            return
        self._channel.send("ready")

    def _run(self, message: wire.Message) -> None:
        run = Run(**message["run"])
        run_dir = Path(message["run_dir"])
        home = Path.cwd()
        started = time.monotonic()
        answer: dict[str, Any]
        try:
            context = self._context(message, run_dir)
            self._send_environment(run, context)
            assert self._fit is not None
            outcome = wire.pack_outcome(self._fit(run, context))
            wire.encode(outcome)
            answer = {"kind": "done", "outcome": outcome, "seconds": time.monotonic() - started}
        except Interrupted as stopped:
            answer = {"kind": "interrupted", "signal": stopped.signal_number}
        except BaseException as error:  # a trainer may call sys.exit
            # One of ours says all: its traceback would hide what a script printed last.
            if not isinstance(error, AblateError):
                traceback.print_exc()
            failure = asdict(classify(error, run_dir))
            answer = {"kind": "failed", "failure": failure, "seconds": time.monotonic() - started}
        self._until = None
        with contextlib.suppress(OSError):
            os.chdir(home)
        _flush()
        self._channel.send(**answer)

    def _context(self, message: wire.Message, run_dir: Path) -> Context:
        return Context(
            run_dir=run_dir,
            device=message["device"],
            threads=message["threads"],
            on_epoch=self._on_epoch,
            on_progress=self._on_progress,
            should_stop=lambda: self.stop,
            options=message["options"],
            parent_dir=Path(message["parent_dir"]) if message["parent_dir"] else None,
        )

    def _send_environment(self, run: Run, context: Context) -> None:
        environment, fingerprint = describe(self._describe, run, context)
        self._channel.send("environment", environment=environment, fingerprint=fingerprint)

    def _on_epoch(self, records: Sequence[EpochRecord]) -> None:
        """Returns once the store has the epoch: a checkpoint written after it never runs ahead of the records."""
        self._channel.send("epoch", records=wire.pack_records(records))
        self._recorded.get()

    def _on_progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_EVERY:
            self._last_progress = now
            self._channel.send("progress", progress=asdict(progress))


def describe(
    hook: Callable[[Run, Context], Any] | None, run: Run, context: Context
) -> tuple[dict[str, Any], str | None]:
    """An attempt's environment (this process's own, then what the trainer's `describe` adds) and its fingerprint."""
    environment: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "pid": os.getpid(),
        "threads": context.threads,
    }
    if hook is None:
        return environment, None
    added, fingerprint = hook(run, context)
    if not isinstance(added, Mapping):
        raise TypeError(
            f"describe returns (environment, fingerprint), a mapping and a text, not {type(added).__name__}"
        )
    return {**environment, **added}, None if fingerprint is None else str(fingerprint)


def _leave(why: str) -> NoReturn:
    """End this process and all that it started, at once: the trainer may be deep in a step."""
    with contextlib.suppress(OSError):
        os.write(2, f"ablate: {why}\n".encode())
    os.killpg(0, signal.SIGKILL)  # this process, too; its guard is of the group
    os._exit(1)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
