"""The last lines of a script that failed: its own, without what a launcher says of it afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHOWN = 20

_TRACEBACK = "Traceback (most recent call last)"
_LAUNCHER = re.compile(r"(\w+\.)*(ChildFailedError|CalledProcessError)\b")
"""What torchrun and `accelerate launch` end with after their script: their own traceback, and a report."""
_ELASTIC = re.compile(r"\[?[DIWE]\d{4} .*torch/distributed/")
_AFTERWARDS = re.compile(r"g?make(\[\d+\])?: |Set the environment variable HYDRA_FULL_ERROR=1|srun: error: ")
"""Lines that say no more than that something failed."""


def own_lines(printed: Iterable[str]) -> list[str]:
    """The lines up to the last that says what went wrong; all of them where only a launcher said anything."""
    lines = list(printed)
    kept = _before_report(lines)
    while kept and (_says_nothing(kept[-1]) or _AFTERWARDS.match(kept[-1].strip()) or _ELASTIC.match(kept[-1])):
        kept.pop()
    return kept or lines


def last_line(lines: Iterable[str]) -> str:
    """The last line with a letter or a digit in it; empty where there is none."""
    return next((line.strip() for line in reversed(own_lines(lines)) if not _says_nothing(line)), "")


def _before_report(lines: list[str]) -> list[str]:
    """What came before a launcher's traceback."""
    named = next((index for index, line in enumerate(lines) if _LAUNCHER.match(line.strip())), None)
    if named is None:
        return lines[:]
    begun = max((index for index in range(named) if _TRACEBACK in lines[index]), default=named)
    return lines[:begun]


def _says_nothing(line: str) -> bool:
    return not any(letter.isalnum() for letter in line)
