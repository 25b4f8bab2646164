"""Make stdin, stdout and stderr safe to use: open, able to encode any text, and unaffected by a reader that leaves.

A shell may have closed one; a terminal may not support UTF-8; a reader may leave (`| head`), which changes neither what a
command does nor its exit code.
"""

from __future__ import annotations

import codecs
import io
import os
import select
import sys
from typing import Any, TextIO

PLAIN = str.maketrans(
    {"✓": "v", "✗": "x", "▸": ">", "·": ".", "×": "x", "±": "+/-", "−": "-", "–": "-", "—": "-", "…": "...", "Δ": "d",
     "≠": "!=", "≤": "<=", "≥": ">=", "†": "+", "α": "alpha", "ε": "epsilon", "→": "->", "─": "-", "━": "-", "│": "|",
     "└": "`", "▁": "_", "▂": ".", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "#", "█": "@", "“": '"', "”": '"', "‘": "'", "’": "'"}
)  # fmt: skip
"""ASCII replacements for our own marks."""

_HANDLER = "ablate.plain"


def prepare() -> None:
    """Call once, before anything is opened: a file opened with the number of a closed stream would receive its output."""
    closed = [number for number in range(3) if not _is_open(number)]
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free
    codecs.register_error(_HANDLER, _plain)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    if sys.stdout in (None, sys.__stdout__):
        sys.stdout = _over_pipe(1, sys.stdout)
    if sys.stderr in (None, sys.__stderr__):
        sys.stderr = _over_pipe(2, sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)
    if 1 in closed:
        print("warning: stdout is closed, so nothing is printed there.", file=sys.stderr)


def reader_is_gone() -> bool:
    """Whether the reader of stdout has gone: for commands that would otherwise print forever."""
    if not isinstance(getattr(getattr(sys.stdout, "buffer", None), "raw", None), _Pipe):
        return False
    watched = select.poll()
    watched.register(1, 0)  # errors are always reported
    return bool(watched.poll(0))


def writes(text: str) -> bool:
    """Whether stdout can encode the text as it is."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


class _Pipe(io.FileIO):
    """A descriptor that silently drops output that is no longer read."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            return memoryview(data).nbytes


def _over_pipe(number: int, before: TextIO | None) -> TextIO:
    raw = _Pipe(number, "w", closefd=False)
    encoding = "utf-8" if before is None else before.encoding
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, line_buffering=raw.isatty() or number == 2)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _plain(error: UnicodeError) -> tuple[str, int]:
    """An error handler for `encode`: our own marks in ASCII, anything else as its escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return text.translate(PLAIN).encode("ascii", "backslashreplace").decode(), error.end
