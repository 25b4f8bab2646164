"""`shell: bash`: a command as one line for bash. Every value that is filled in is quoted, so bash takes none of it for syntax."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from ablate.study.assign.command_words import Flag, Hole, Word, doubled, fill_part, is_of_the_run, parse_parts
from ablate.study.assign.foreign_recipe import Text

BASH = ("bash", "-euo", "pipefail", "-c")
"""What runs a line."""
REST = '"$@"'
"""Where a line has words that are added to it; else they come last."""


def parse_line(text: str) -> Word:
    """The parts of a line. Raises ValueError for a stray brace, and for a placeholder where quoting its value would not hold."""
    parts = parse_parts(text)
    state = _Quotes()
    for index, part in enumerate(parts):
        if isinstance(part, str):
            state.read(part)
            continue
        shown = f"{{{part.name}}}"
        if state.inside:
            raise ValueError(f"{shown} stands {state.inside}, but each value is quoted already; {state.advice(shown)}")
        if isinstance(part, Flag) and not _alone(parts, index):
            raise ValueError(f"{{{part.name}?...}} is a whole word; put a blank before and after it")
        state.read("x")
    return parts


def fill_line(line: Word, texts: Mapping[str, Text], values: Mapping[str, object], own: Sequence[str] = ()) -> str:
    """The line with all that the recipe knows, quoted; what is of the run stays as it is."""
    filled = []
    for index, part in enumerate(line):
        if isinstance(part, Flag):
            word = part.on if values.get(part.name) else part.off
            filled.append(doubled(shlex.quote(word)) if word else "")
            continue
        text = texts.get(part.name) if isinstance(part, Hole) and not is_of_the_run(part.name, texts, own) else None
        if isinstance(text, tuple) and _alone(line, index):
            filled.append(doubled(shlex.join(text)))
        else:
            filled.append(fill_part(part, texts, own, shlex.quote))
    return "".join(filled)


def words_of_line(line: str, added: Sequence[str] = ()) -> list[str]:
    """The words that run a line, with what is added to it."""
    if not added:
        return [*BASH, line]
    return [*BASH, line if REST in line else f"{line.rstrip()} {REST}", BASH[0], *added]


def _alone(parts: Word, index: int) -> bool:
    before = parts[index - 1] if index else " "
    after = parts[index + 1] if index + 1 < len(parts) else " "
    return isinstance(before, str) and before[-1:].isspace() and isinstance(after, str) and after[:1].isspace()


class _Quotes:
    """Where in a line one is: `inside` says within what, and is empty where a quoted value is a word of its own."""

    def __init__(self) -> None:
        self._open = ""
        self._escaped = self._comment = self._document = False
        self._before = " "

    @property
    def inside(self) -> str:
        if self._escaped:
            return "behind a backslash"
        if self._comment:
            return "in a comment"
        if self._document:
            return "behind the start of a here-document"
        return {"": "", "`": "in backticks"}.get(self._open, "in quotes")

    def advice(self, shown: str) -> str:
        """What to write in place of it."""
        if self._open == "`":
            return "write $(...) in place of the backticks"
        if self._document:
            return "pass it by `env`, or by an argument of the script"
        return f"write {shown} without them, as in dir/{shown}/x or 'a b'{shown}"

    def read(self, text: str) -> None:
        for place, sign in enumerate(text):
            self._take(sign, text[place + 1 : place + 3])
            self._before = sign

    def _take(self, sign: str, after: str) -> None:
        if self._comment:
            self._comment = sign != "\n"
        elif self._escaped:
            self._escaped = False
        elif sign == "\\" and self._open != "'":
            self._escaped = True
        elif self._open:
            if sign == self._open[-1]:
                self._open = ""
        elif sign in "'\"`":
            self._open = "$'" if sign == "'" and self._before == "$" else sign
        elif sign == "#" and self._before.isspace():
            self._comment = True
        elif sign == "<" and after[:1] == "<" and after[1:2] != "<" and self._before != "<":
            self._document = True
