"""Processes that claim runs, started together: what `claimer.py` does in each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ablate

SCRIPT = Path(__file__).with_name("claimer.py")
Process = subprocess.Popen[str]


@contextmanager
def processes(count: int, *arguments: str) -> Iterator[list[Process]]:
    """`count` claimers that have imported all they need and wait for the start."""
    root = str(Path(ablate.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(SCRIPT), *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started: list[Process] = [subprocess.Popen(command, env=environment, **pipes) for _ in range(count)]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def go(process: Process, times: int = 1) -> None:
    assert process.stdin is not None
    process.stdin.write("\n" * times)
    process.stdin.flush()


def outcome(started: list[Process]) -> list[list[list[object]]]:
    """Start all at once and collect what each printed; every one must have ended well, and said on stderr at most that it
    waited for another, as it does on a busy machine."""
    for process in started:
        go(process)
    ended = [process.communicate() for process in started]
    said = [[line for line in err.splitlines() if not line.startswith("waiting for ")] for _, err in ended]
    assert [(process.returncode, err) for process, err in zip(started, said, strict=True)] == [(0, [])] * len(ended)
    return [[json.loads(line) for line in out.splitlines()] for out, _ in ended]
