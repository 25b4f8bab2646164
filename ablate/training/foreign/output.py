"""Numbers out of what a command prints: JSON lines on stdout, and patterns on the lines of both streams."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Iterable
from typing import Any

from ablate.study.metrics import SPLITS
from ablate.study.trainer import COUNTERS, number_group
from ablate.training.foreign.measured import Measured

LAST_LINES = 20
LONGEST_SHOWN = 300
LARGEST_EPOCH = 2**31 - 1

_NOT_FINITE = re.compile(r"(?<![\w.])[-+]?(?:nan|inf|infinity)(?![\w.])", re.IGNORECASE)


class Output:
    """Reads the lines of one run. `last` keeps the newest, for messages."""

    def __init__(self, measured: Measured) -> None:
        self._measured = measured
        patterns = {name: re.compile(pattern) for name, pattern in measured.declared.items() if pattern is not None}
        self._patterns = {name: (pattern, number_group(pattern) or 0) for name, pattern in patterns.items()}
        self._matches = dict.fromkeys(patterns, 0)
        self.last: deque[str] = deque(maxlen=LAST_LINES)

    def take(self, line: str, *, stdout: bool) -> None:
        """A line of stdout or of stderr."""
        self.last.append(line if len(line) <= LONGEST_SHOWN else line[: LONGEST_SHOWN - 3] + "...")
        if stdout and line.lstrip().startswith("{"):
            self._json(line)
        for name, (pattern, group) in self._patterns.items():
            self._match(name, pattern, group, line)

    def _json(self, line: str) -> None:
        """A JSON line; what starts with a brace and is none is ordinary output."""
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(told, dict):
            return
        split = told.get("split")
        split = split if split in SPLITS else None
        numbers = {name: value for name, item in told.items() if (value := _number(item)) is not None}
        counts = [count for name in COUNTERS if (count := _count(numbers.pop(name, None))) is not None]
        known = {name: value for name, value in numbers.items() if self._measured.knows(name, split)}
        if any(name in told for name in COUNTERS) and not counts:
            return  # it belongs to an epoch, and nobody can say to which
        self._measured.take(known, counts[0] if counts else None, split)

    def _match(self, name: str, pattern: re.Pattern[str], group: int, line: str) -> None:
        """The n-th match is epoch n, unless the pattern has a group named epoch or step; the last one is final."""
        found = pattern.search(line)
        value = _float(found[group]) if found else None
        if value is None:
            found, value = _not_finite(pattern, group, line)
        if found is None or value is None:
            return
        self._matches[name] += 1
        named = found.groupdict()
        counts = [count for key in COUNTERS if (count := _count(_float(named.get(key)))) is not None]
        self._measured.take({name: value}, counts[0] if counts else self._matches[name])


def _not_finite(pattern: re.Pattern[str], group: int, line: str) -> tuple[re.Match[str] | None, float | None]:
    """`val loss nan` under `val loss ([0-9.]+)`: the number is missing because it is none. Read as if digits stood there."""
    words = list(_NOT_FINITE.finditer(line))
    if not words:
        return None, None
    digits = _NOT_FINITE.sub(lambda word: "0" * len(word.group()), line)
    found = pattern.search(digits)
    inside = next((word for word in words if found and word.start() <= found.start(group) < word.end()), None)
    return (None, None) if inside is None else (found, float(inside.group()))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _float(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _count(value: float | None) -> int | None:
    """A whole number from 0 that can count epochs."""
    if value is None or not 0 <= value <= LARGEST_EPOCH or value != int(value):
        return None
    return int(value)


def quoted(lines: Iterable[str]) -> str:
    """The last lines for a message."""
    return "\n".join(f"  {line}" for line in lines) or "  (it printed nothing)"
