"""The last lines of a script that failed: its own, without what a launcher says of it afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHOWN = 20

_TRACEBACK = "Traceback (most recent call last)"
_TORCHRUN = re.compile(r"(\w+\.)*ChildFailedError\b")
_ACCELERATE = re.compile(r"(\w+\.)*CalledProcessError\b")
"""What the two launchers end with after their script: their own traceback, and a report."""
_TORCH = re.compile(r"(\[rank\d+\]:)?\[?[DIWE]\d{4} .*(torch/distributed/|ProcessGroup)")
_AFTERWARDS = re.compile(
    r"g?make(\[\d+\])?: (\*\*\* \[|Leaving directory)|Set the environment variable HYDRA_FULL_ERROR=1|srun: error: .*Exited with"
)
"""Lines that say no more than that something failed."""


def own_lines(printed: Iterable[str]) -> list[str]:
    """The lines up to the last that says what went wrong; all of them where only a launcher said anything."""
    lines = list(printed)
    kept = _before_report(lines)
    while kept and (_says_nothing(kept[-1]) or _AFTERWARDS.match(kept[-1].strip()) or _TORCH.match(kept[-1])):
        kept.pop()
    return kept or lines


def last_line(lines: Iterable[str]) -> str:
    """The last line with a letter or a digit in it; empty where there is none."""
    return next((line.strip() for line in reversed(own_lines(lines)) if not _says_nothing(line)), "")


def _before_report(lines: list[str]) -> list[str]:
    """What came before a launcher's traceback."""
    for index, line in enumerate(lines):
        begun = max((before for before in range(index) if _TRACEBACK in lines[before]), default=index)
        if _TORCHRUN.match(line.strip()) or (
            _ACCELERATE.match(line.strip()) and any("accelerate" in frame for frame in lines[begun:index])
        ):
            return lines[:begun]
    return lines[:]


def _says_nothing(line: str) -> bool:
    return not any(letter.isalnum() for letter in line)
