"""Numbers out of what a command prints: JSON lines on stdout, and patterns on the lines of both streams."""

from __future__ import annotations

from collections import deque

from ablate.errors import RunFailure
from ablate.training.foreign.json_lines import JsonLines
from ablate.training.foreign.last_lines import SHOWN, own_lines
from ablate.training.foreign.measured import Measured
from ablate.training.foreign.number import Unreadable
from ablate.training.foreign.patterns import Found, Line, NoCount, Pattern

KEPT = 200
"""Lines: those of a script, and behind them a launcher's report of each of its processes."""
LONGEST_SHOWN = 300
LONGEST_QUOTED = 120


class Output:
    """Reads the lines of one run. `last` keeps the newest lines, for messages, and `command` is what they begin with."""

    def __init__(self, measured: Measured, command: str = "") -> None:
        self._command = command
        self._measured = measured
        self._json = JsonLines(measured)
        patterns = {name: pattern for name, pattern in measured.declared.items() if pattern is not None}
        self._patterns = {name: Pattern(pattern) for name, pattern in patterns.items()}
        self._matches = dict.fromkeys(patterns, 0)
        self.last: deque[str] = deque(maxlen=KEPT)

    def take(self, raw: str, *, stdout: bool) -> None:
        """A line of stdout or of stderr. Raises RunFailure for a number of the study's that is none, or could mean two things."""
        line = self.keep(raw)
        try:
            if stdout and line.text.lstrip().startswith("{"):
                self._json.take(line.text)
            for name, pattern in self._patterns.items():
                self._match(name, pattern, line)
        except RunFailure as failure:
            self._measured.hand_on()
            said = f"{failure} The line: {_cut(line.text.strip(), LONGEST_QUOTED)}"
            raise RunFailure(f"{self.shown()}\n{said}" if self._command else said) from None

    def keep(self, raw: str) -> Line:
        """Keep a line for messages alone."""
        line = Line(raw)
        self.last.append(_cut(line.text, LONGEST_SHOWN))
        return line

    def shown(self) -> str:
        """The command and its script's own last lines, for messages."""
        lines = "\n".join(f"  {line}" for line in own_lines(self.last)[-SHOWN:]) or "  (it printed nothing)"
        return f"{self._command}\n{lines}"

    def _match(self, name: str, pattern: Pattern, line: Line) -> None:
        """The n-th match is epoch n, unless the pattern has a group named epoch or step; the last one is final."""
        try:
            found = pattern.find(line)
        except Unreadable as why:
            raise RunFailure(
                f"{name}: {why.text!r} cannot be read as a number by the pattern '{pattern.text}'. {why.advice}"
            ) from None
        except NoCount as why:
            raise RunFailure(
                f"{name}: {why} is not a whole number from 0. Make the pattern capture whole epochs or steps, or none, to count its matches."
            ) from None
        if found is None:
            return
        if found.number is None:
            self._measured.not_read(name, f"its pattern '{pattern.text}' matched a line without a number", line.text)
            return
        self._tell(name, found)

    def _tell(self, name: str, found: Found) -> None:
        assert found.number is not None
        if found.number.percent:
            self._measured.check_percent(name)
        self._matches[name] += 1
        counter = found.counter or "match"
        count = self._matches[name] if found.count is None else found.count
        self._measured.take({name: found.number.value}, count, by=counter)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
