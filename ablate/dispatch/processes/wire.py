"""How a supervisor and its worker process talk: one JSON document a line, over a socket pair.

JSON and not pickle, because the worker runs other people's code and its answers must stay data. The messages:

    to the worker:    load {fit}   run {run, attempt, run_dir, parent_dir, device, threads, options, until}
                      recorded     lease {until}   stop {signal}   quit
    from the worker:  ready   broken {failure}   environment {environment, fingerprint, device}   epoch {records}
                      progress {progress}   done {outcome, seconds}   failed {failure, seconds}   interrupted {signal}

`until` is a time of the monotonic clock, which all processes of a host share.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ablate.dispatch.contract.failures import Failure
from ablate.store.values import KINDS
from ablate.study.records import Artifact, Confusion, EpochRecord, Outcome, Progress

Message = dict[str, Any]


class Garbled(ValueError):
    """What a worker sent is no message of ours."""


class Channel:
    """One end of the socket pair. Sending is safe from several threads, receiving belongs to one."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._buffer = bytearray()
        self._sending = threading.Lock()
        self.closed = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, kind: str, **content: object) -> None:
        """Raises TypeError for what is not JSON, OSError when the other end is gone."""
        line = encode({"is": kind, **content})
        with self._sending:
            self._socket.sendall(line)

    def receive(self, block: bool = False) -> list[Message]:
        """Whole messages that have arrived, all of them; `closed` turns true at the end of the stream.

        Raises Garbled for a line that is no message: trainers are other people's code and may write anywhere.
        """
        while not self.closed:
            try:
                # a flag and not a non-blocking socket, since sending must wait
                data = self._socket.recv(1 << 18, 0 if block else socket.MSG_DONTWAIT)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # reset: the other end died with messages unread, which is an end like any other
                data = b""
            self.closed = not data
            self._buffer += data
            if block:
                break
        whole, newline, rest = bytes(self._buffer).rpartition(b"\n")
        if not newline:
            return []
        self._buffer = bytearray(rest)
        return [_message(line) for line in whole.split(b"\n")]

    def close(self) -> None:
        self._socket.close()


def _message(line: bytes) -> Message:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict) or not isinstance(message.get("is"), str):
        raise Garbled(f"no message: {line[:60]!r}")
    return message


@contextlib.contextmanager
def reading(message: Message) -> Iterator[None]:
    """Garbled for a message whose content is not what its kind says, in place of whatever it makes Python raise."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Garbled(f"a message {message['is'][:20]!r} that cannot be read: {error!r}"[:200]) from error


def encode(document: object) -> bytes:
    """One line of JSON. Raises TypeError for what is not JSON; NaN and infinities pass, as a diverged loss has them."""
    return json.dumps(document, separators=(",", ":"), default=_plain).encode() + b"\n"


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value: {value!r}"[:200])


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Metrics as plain floats: a trainer may report numpy or torch scalars."""
    return {str(name): float(value) for name, value in metrics.items()}


def pack_records(records: Sequence[EpochRecord]) -> list[list[Any]]:
    return [[record.epoch, record.split, numbers(record.metrics)] for record in records]


def unpack_records(packed: Sequence[Sequence[Any]]) -> tuple[EpochRecord, ...]:
    return tuple(EpochRecord(int(epoch), str(split), numbers(metrics)) for epoch, split, metrics in packed)


def pack_outcome(outcome: Outcome) -> dict[str, Any]:
    """Raises TypeError for what is no Outcome, so that a trainer's author sees it as the run's error."""
    if not isinstance(outcome, Outcome):
        raise TypeError(f"a trainer returns an Outcome, not {type(outcome).__name__}")
    return {
        "metrics": numbers(outcome.metrics),
        "reported_split": outcome.reported_split,
        "selected_epoch": outcome.selected_epoch,
        "confusions": [
            [c.split, c.at, list(c.classes), [[int(count) for count in row] for row in c.counts]]
            for c in outcome.confusions
        ],
        "artifacts": [asdict(artifact) for artifact in outcome.artifacts],
        "details": outcome.details,
    }


def unpack_outcome(packed: Mapping[str, Any]) -> Outcome:
    selected = packed["selected_epoch"]
    return Outcome(
        metrics=numbers(packed["metrics"]),
        reported_split=str(packed["reported_split"]),
        selected_epoch=None if selected is None else int(selected),
        confusions=tuple(
            Confusion(str(split), str(at), tuple(map(str, classes)), tuple(tuple(map(int, row)) for row in counts))
            for split, at, classes, counts in packed["confusions"]
        ),
        artifacts=tuple(
            Artifact(str(one["kind"]), str(one["path"]), int(one["size"]), str(one["sha256"]))
            for one in packed["artifacts"]
        ),
        details=dict(packed["details"]),
    )


def unpack_progress(packed: Mapping[str, Any]) -> Progress:
    def number(name: str) -> float | None:
        return None if packed[name] is None else float(packed[name])

    epoch, epochs, step, steps = (int(packed[name]) for name in ("epoch", "epochs", "step", "steps"))
    return Progress(str(packed["run_id"]), epoch, epochs, step, steps, number("loss"), number("top1"))


def unpack_failure(packed: Mapping[str, Any]) -> Failure:
    kind = str(packed["kind"])
    if kind not in (*KINDS, "no_space"):
        raise ValueError(f"unknown kind of failure: {kind[:20]}")
    return Failure(kind, str(packed["error"]), bool(packed["missing"]), bool(packed["fresh"]))
