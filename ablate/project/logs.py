"""The logs of a run's attempts: read, or followed until the run has ended."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path

from ablate.dispatch.contract.executor import attempt_log
from ablate.errors import NotFound
from ablate.study.recipes.places import home
from ablate.study.records import AttemptResult, RunResult

UNDER_WAY = ("queued", "running")
_PIECE = 1 << 20


def read_log(result: RunResult, attempt: int | None = None) -> Iterator[str]:
    """The log of an attempt, the newest by itself, in pieces. Raises NotFound where there is none, or none on this machine."""
    path = _path(result, attempt)
    if not path.is_file():
        raise NotFound(_not_here(path, _attempt(result, attempt)), code="no-log")
    return _Reader(path).new(last=True)


def follow(
    look: Callable[[], RunResult], attempt: int | None, pause: Callable[[], object], say: Callable[[str], object]
) -> Iterator[str]:
    """The log of an attempt and what is added to it, until the attempt, or without a number the run, has ended.

    `look` gives the run as it is, `pause` waits before the next look, `say` tells people what is waited for and which attempt
    comes. Raises NotFound as `read_log`, once the attempt has ended.
    """
    reader: _Reader | None = None
    shown = 0
    while True:
        result = look()
        if not result.attempts and attempt is None and result.state in UNDER_WAY:
            if not shown:
                say("waiting for the run to start")
            shown = -1
            pause()
            continue
        current = _attempt(result, attempt)
        if reader is None or current.number != shown:
            if reader is not None:
                yield from reader.new(last=True)
                say(f"attempt {current.number}")
            reader, shown = _Reader(_path(result, current.number)), current.number
        yield from reader.new()
        if current.state != "running" and (attempt is not None or result.state not in UNDER_WAY):
            pause()  # the end of a long log is written as its attempt ends
            yield from reader.new(last=True)
            if not reader.path.is_file():
                raise NotFound(_not_here(reader.path, current), code="no-log")
            return
        pause()


def _attempt(result: RunResult, number: int | None) -> AttemptResult:
    """That attempt, or the newest. Raises NotFound."""
    known = [one.number for one in result.attempts]
    if not known:
        raise NotFound(
            f"run {result.run.run_id[:12]} is {result.state} and was never started, so it has no log.", code="no-log"
        )
    found = next((one for one in result.attempts if one.number == (number or known[-1])), None)
    if found is None:
        raise NotFound(
            f"run {result.run.run_id[:12]} has no attempt {number}; its attempts are {', '.join(map(str, known))}.",
            code="no-log",
        )
    return found


def _path(result: RunResult, number: int | None) -> Path:
    return attempt_log(home(), result.run.run_id, _attempt(result, number).number)


def _not_here(path: Path, attempt: AttemptResult) -> str:
    where = attempt.environment.get("host") or attempt.worker
    return f"the log of attempt {attempt.number} is not on this machine, as {path}; the attempt ran on {where}."


class _Reader:
    """What is added to a file, as text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def new(self, *, last: bool = False) -> Iterator[str]:
        """What was written since the last look; `last` says that no more will come."""
        try:
            with self.path.open("rb") as stream:
                stream.seek(self._offset)
                while data := stream.read(_PIECE):
                    self._offset += len(data)
                    yield self._decoder.decode(data)
        except FileNotFoundError:
            pass
        if last and (rest := self._decoder.decode(b"", final=True)):
            yield rest
