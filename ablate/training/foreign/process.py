"""A command in the hands of its keeper: start it, read what it prints, ask it to end, learn how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.errors import NotFound, RunFailure

KEEPER = Path(__file__).with_name("keeper.py")
_PIECE = 1 << 16
_AFTERWARDS = 16 << 20
"""Bytes that are still read of pipes which somebody beyond our reach holds open after the end."""


@dataclass(frozen=True)
class Ending:
    """How a command ended: its exit status, or the signal that killed it. `left` counts the processes it left behind."""

    status: int
    signal: int
    left: int

    @property
    def well(self) -> bool:
        return self.status == 0 and self.signal == 0

    def said(self) -> str:
        """`exited with status 3`, `was killed by signal 9 (SIGKILL), perhaps out of memory`."""
        if not self.signal:
            return f"exited with status {self.status}"
        with contextlib.suppress(ValueError):
            name = signal.Signals(self.signal).name
            hint = ", perhaps out of memory" if self.signal == signal.SIGKILL else ""
            return f"was killed by signal {self.signal} ({name}){hint}"
        return f"was killed by signal {self.signal}"


class Command:
    """A running command. Leaving the `with` block ends it and all that it started."""

    def __init__(self, words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._words = words
        ours, theirs = socket.socketpair()
        try:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(KEEPER), str(theirs.fileno()), *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                env=dict(environment),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            ours.close()
            raise RunFailure(f"the command cannot be started: {error}") from error
        finally:
            theirs.close()
        self._control = ours
        self._heard = b""
        self.ending: Ending | None = None
        assert self._keeper.stdout is not None
        assert self._keeper.stderr is not None
        self._streams = {self._keeper.stdout.fileno(): True, self._keeper.stderr.fileno(): False}
        self._selector = selectors.DefaultSelector()
        for descriptor in (*self._streams, ours.fileno()):
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *error: object) -> None:
        self._control.close()  # the keeper ends everything once nobody listens
        for stream in (self._keeper.stdout, self._keeper.stderr):
            if stream is not None:
                stream.close()
        self._keeper.wait()
        self._selector.close()

    def read(self, seconds: float) -> Iterator[tuple[bytes, bool]]:
        """What was printed since, in pieces, each with whether it came by stdout; waits so long for the first of it. What came by both
        comes by stdout first: a program that fails says why on stderr, and says it last.

        `ending` is set once the command has ended and all that it printed has been read. Raises NotFound where there is no such
        program, RunFailure where it could not be started or its keeper was killed.
        """
        ready = {key.fd for key, _ in self._selector.select(seconds)}
        for descriptor, stdout in self._streams.items():
            if descriptor in ready and (data := self._take(descriptor)):
                yield data, stdout
        if self._control.fileno() in ready and self._listen():
            yield from self._rest()
            self.ending = self._read_ending()

    def ask_to_end(self) -> None:
        """SIGTERM to the command's process group."""
        self._say(b"T")

    def end(self) -> None:
        """SIGKILL to all that the command started."""
        self._say(b"K")

    def _say(self, word: bytes) -> None:
        with contextlib.suppress(OSError):
            self._control.send(word)

    def _take(self, descriptor: int) -> bytes:
        try:
            data = os.read(descriptor, _PIECE)
        except BlockingIOError:
            return b""
        if not data:
            self._selector.unregister(descriptor)
        return data

    def _listen(self) -> bool:
        """Whether the keeper has said its last word."""
        try:
            data = self._control.recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        self._heard += data
        return not data or b"\n" in self._heard

    def _rest(self) -> Iterator[tuple[bytes, bool]]:
        """What the pipes still hold. Everything that could write is dead, or beyond our reach."""
        for descriptor, stdout in self._streams.items():
            read = 0
            while descriptor in self._selector.get_map() and read < _AFTERWARDS and (data := self._take(descriptor)):
                read += len(data)
                yield data, stdout

    def _read_ending(self) -> Ending:
        if not self._heard.endswith(b"\n"):
            raise RunFailure("the process that watches over the command was killed, and the command with it")
        said: dict[str, Any] = json.loads(self._heard)
        if "error" in said:
            raise NotFound(
                f"the command cannot be started: {self._words[0]!r}: {said['error']}; is it on the PATH, and is the study's "
                "environment active?"
            )
        status = int(said["status"])
        killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        return Ending(0 if killed else os.WEXITSTATUS(status), killed, int(said["left"]))
