"""The supervisor's side of one worker process: start, talk, listen to its output, notice its end, end it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from multiprocessing.connection import wait
from typing import Any

from ablate.dispatch.processes.wire import Channel, Message

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ablate.dispatch.processes.child import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)
_KEPT_BACK = ("ABLATE_DB",)
"""Not for trainers: the database's URL may hold a password, and a worker process never opens it."""

_SEND_WITHIN = struct.pack("ll", 10, 0)
"""Seconds and microseconds that a worker may leave a message lying before it counts as hanging."""
_RECENT = 4096


class Child:
    """A worker process with its programs, as one process group in a session of its own.

    It is started with its environment in place, so that thread counts and visible GPUs hold from its first import.
    Its end is seen by its process id, not by the end of a pipe, as programs that it started may hold a pipe open.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        life_theirs, self._life = os.pipe()
        output_ours, output_theirs = os.pipe()
        path = [entry or os.getcwd() for entry in sys.path]
        # -P: else a json.py in the folder would be imported by _BOOT, before our path is in place
        command = [sys.executable, "-P", "-c", _BOOT, json.dumps(path), str(theirs.fileno()), str(life_theirs)]
        inherited = {name: value for name, value in os.environ.items() if name not in _KEPT_BACK}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output_theirs,
                stderr=subprocess.STDOUT,
                env={**inherited, **environment},
                pass_fds=(theirs.fileno(), life_theirs),
                start_new_session=True,
            )
        except OSError:
            ours.close()
            os.close(self._life)
            os.close(output_ours)
            raise
        finally:
            theirs.close()
            os.close(life_theirs)
            os.close(output_theirs)
        self.started = time.monotonic()
        self.recent = b""
        self._output: int | None = output_ours
        os.set_blocking(output_ours, False)
        # A Python timeout would slow receiving too.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_WITHIN)
        self._channel = Channel(ours)
        self._watch = _pidfd(self._process.pid)
        self._ended: int | None = None

    @property
    def pid(self) -> int:
        """Of the guard, which is the process group's id too."""
        return self._process.pid

    @property
    def killed(self) -> bool:
        """Whether it has ended by a signal and not of its own accord."""
        return self._ended is not None and (self._ended < 0 or self._ended > 128)

    def send(self, kind: str, **content: object) -> None:
        """A worker that is gone gets nothing, one that takes nothing in is ended; `reap` tells both."""
        try:
            self._channel.send(kind, **content)
        except OSError:
            self._kill_group()

    def wait(self, seconds: float, bell: int | None = None) -> None:
        """Sleep until the worker says something, prints something or ends, or the bell rings."""
        watched: list[Any] = [] if self._channel.closed else [self._channel]
        watched += [item for item in (self._output, self._watch, bell) if item is not None]
        wait(watched, max(0.0, seconds if self._watch is not None else min(seconds, 0.5)))

    def receive(self) -> list[Message]:
        return [] if self._channel.closed else self._channel.receive()

    def output(self) -> bytes:
        """What it has printed since, as far as a pipe holds it; `recent` keeps the last few thousand bytes."""
        chunks = []
        while self._output is not None:
            try:
                data = os.read(self._output, 1 << 16)
            except BlockingIOError:
                break
            if not data:
                os.close(self._output)
                self._output = None
                break
            chunks.append(data)
            if len(chunks) > 16:  # a flood: heartbeats come first
                break
        text = b"".join(chunks)
        self.recent = (self.recent + text)[-_RECENT:]
        return text

    def reap(self) -> str | None:
        """How it ended, or None while it lives. What is left of its process group ends with it."""
        if self._ended is None and self._exited():
            self._kill_group()
            self._ended = self._process.wait()
        return None if self._ended is None else exit_reason(self._ended)

    def kill(self) -> None:
        """End the worker and all that it started, now."""
        if self._ended is None:
            self._kill_group()
            self._ended = self._process.wait()
        self._close()

    def close(self, patience: float = 2.0) -> None:
        """Let an idle worker leave, and see to it that it does."""
        if self._ended is None:
            self.send("quit")
            if self._watch is not None:
                wait([self._watch], patience)
        self.kill()

    def _exited(self) -> bool:
        """Without reaping: the group's id must stay taken until the group is killed."""
        if self._watch is not None:
            return bool(wait([self._watch], 0))
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _close(self) -> None:
        self._channel.close()
        for descriptor in (self._life, self._watch, self._output):
            if descriptor is not None:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self._life, self._watch, self._output = -1, None, None


def exit_reason(status: int) -> str:
    """A sentence for an exit status, be it our guard's 128 + signal, or -signal where the guard itself was killed."""
    number = -status if status < 0 else status - 128
    if number > 0:
        try:
            name = signal.Signals(number).name
        except ValueError:
            return f"worker exited with status {status}"
        hint = ", perhaps out of memory" if number == signal.SIGKILL else ""
        return f"worker killed by signal {number} ({name}){hint}"
    return f"worker exited with status {status}"


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):  # not Linux, or an old one
        return None
