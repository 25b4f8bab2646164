"""One number in a line of text: where it begins, where it ends, what it is.

A number that a pattern's group cuts is read whole; what could mean two things, or goes on as no number does, is none, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

_EXPONENT = r"(?:[eE][-+−]?[0-9]+)?"
_PLAIN = re.compile(rf"[-+−]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+){_EXPONENT}")
_GROUPED = re.compile(
    rf"[-+−]?[1-9][0-9]{{0,2}}(?:(?:,[0-9]{{3}})+\.[0-9]+|(?:,[0-9]{{3}}){{2,}}|(?:_[0-9]{{3}})+(?:\.[0-9]*)?){_EXPONENT}"
)
"""1,234.5 and 1,234,567 and 1_000. A single comma before three digits may as well mark decimals."""
_NOT_FINITE = re.compile(r"[-+−]?(?:nan|inf(?:inity)?)(?!\w)", re.IGNORECASE)

_COLOUR = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])")
_JOINING = "\u00a0\u2007\u2009\u202f"
"""Blanks that stand between thousands."""
_BLANK = rf"(?:(?![{_JOINING}][0-9])[\s\x00-\x1f\x7f])"
_CLOSING = "()\\[\\]{}<>\"'`’”»"
_END = re.compile(rf"\Z|{_BLANK}|%|[()\[\]{{}}<>]|[\"'`’”»](?!\w)|[.,;:](?:\Z|{_BLANK}|[{_CLOSING}])")
_DIGIT_AFTER_MARK = re.compile(r"[,_'’][-+−]?[0-9]")
_JOINED = re.compile(rf"(?:[-+−‐‑‒–—.,\d]|\d[_'’{_JOINING}])\Z")
"""What a number that begins behind it would have been cut from, whoever put it into the pattern."""
_UNNAMED = re.compile(r"(?:[\w^*×±]|\d[:/])\Z")
"""Likewise, where the pattern does not name it."""
_WRAPPED = re.compile(
    r"\s*([\[({]*)([\w.]*(?:tensor|array|float|decimal)[0-9]*\()?\s*([\[({]*)[\"'`]*\s*", re.IGNORECASE
)
_CLOSED = r"(?:%?[.,]?\s*[)\]}])"
_ANY_NUMBER = re.compile(r"(?<![\w.])(?<!\w-)[-+−]?\.?\d")
_REST = re.compile(r"\s*%?[\s)\]}\"'`]*")

COMMA = "A comma is ambiguous: print 0.85, or 1234 without a comma."
BEFORE = r"The group starts in the middle of it: match all of it, as in '(\S+)'."
AFTER = (
    "After a number comes a blank, the end, %, a bracket, a quote, or one of . , ; : before a blank. Put anything else "
    r"that follows it into the pattern, after the group, as in '(\S+)s'."
)
OF = r"As a share, a pattern has both numbers: '(\d+)/(?P<of>\d+)'."
NO_NUMBER = (
    "Start the group where the number starts, and print one plain number there, such as 0.5, -3, 1e-05 or 1,234.5."
)
SEVERAL = "There are several numbers in the brackets: print one, or make the pattern choose."


class Unreadable(ValueError):
    """Something that has digits, and is not one plain number: `text` as written, `advice` what to write."""

    def __init__(self, text: str, advice: str) -> None:
        super().__init__(text, advice)
        self.text, self.advice = text, advice


@dataclass(frozen=True)
class Number:
    """A number as written in a text, `end` behind its last character; `percent` where a % follows."""

    value: float
    end: int
    percent: bool = False


def without_colours(line: str) -> tuple[str, frozenset[int]]:
    """The line as it is seen, and where in it escape sequences stood."""
    if "\x1b" not in line:
        return line, frozenset()
    pieces = _COLOUR.split(line)
    places, length = set(), 0
    for piece in pieces[:-1]:
        length += len(piece)
        places.add(length)
    return "".join(pieces), frozenset(places)


def number_at(
    text: str, start: int, end: int, named: Callable[[int], bool], ends: Collection[int] = frozenset()
) -> Number | None:
    """The number that begins at `start`, in brackets, quotes or `tensor(` perhaps. It may go on behind `end`.

    end     of what the pattern's group took
    named   whether the pattern itself says what stands at a place
    ends    places where a number ends whatever follows: a colour code stood there

    None where the group took nothing that looks like a number. Raises Unreadable.
    """
    at, closing = _unwrap(text, start, end)
    found = _NOT_FINITE.match(text, at) or _grouped(text, at, end, named) or _PLAIN.match(text, at)
    if found is None:
        if _ANY_NUMBER.search(text, start, end):
            raise Unreadable(_word(text, start), NO_NUMBER)
        return None
    before = text[max(0, start - 2) : start]
    if _JOINED.search(before) or (at == start and _UNNAMED.search(before) and not named(start - 1)):
        raise Unreadable(_word(text, start), BEFORE)
    last = found.end()
    if last not in ends and not _END.match(text, last) and not _authors(text, last, end, named):
        raise Unreadable(_word(text, start), _advice(text, last))
    if closing and not re.compile(f"{_CLOSED}{{{closing}}}").match(text, last):
        raise Unreadable(_word(text, start), SEVERAL)
    percent = text[last : last + 2].lstrip()[:1] == "%"
    return Number(_value(found.group()), last, percent)


def number_of(text: str) -> Number | None:
    """The number that a text is, as in JSON's "0.5". None for text that begins with a word. Raises Unreadable."""
    if text[:1].isalpha() and not _NOT_FINITE.match(text) and _unwrap(text, 0, len(text))[0] == 0:
        return None
    found = number_at(text, 0, len(text), lambda place: False)
    if found is not None and not _REST.fullmatch(text, found.end):
        raise Unreadable(text, NO_NUMBER)
    return found


def count_at(text: str, start: int, end: int, named: Callable[[int], bool]) -> float | None:
    """An epoch or step: as `number_at`, but a hyphen may stand before it, and behind it all that cannot be a part of it (`3/10`)."""
    while start < end and not text[start].isalnum():
        start += 1
    found = _grouped(text, start, end, named) or _PLAIN.match(text, start)
    if found is None:
        return None
    last = found.end()
    joined = re.search(r"[\d.,]\Z|(?<!\w)[-+−]\Z", text[:start][-2:])
    goes_on = re.match(r"\w|[.,_'’][0-9]", text[last : last + 2])
    if joined or (goes_on and not _authors(text, last, end, named)):
        raise Unreadable(_word(text, start), _advice(text, last))
    return _value(found.group())


def _unwrap(text: str, start: int, end: int) -> tuple[int, int]:
    """Where the number itself begins, and how many brackets have to close behind it."""
    found = _WRAPPED.match(text, start, end)
    if found is None or found.end() >= end:
        return start, 0
    outer, name, inner = found.groups()
    return found.end(), len(outer) + len(inner) + bool(outer and name)


def _grouped(text: str, at: int, end: int, named: Callable[[int], bool]) -> re.Match[str] | None:
    """A number whose thousands are set apart, unless the pattern names mark and digit: then they part two numbers."""
    found = _GROUPED.match(text, at)
    mark = re.compile("[,_]").search(text, at) if found else None
    if mark is None or (mark.start() >= end and named(mark.start()) and named(mark.end())):
        return None
    return found


def _authors(text: str, at: int, end: int, named: Callable[[int], bool]) -> bool:
    """Whether the pattern says what follows a number. A mark before a digit counts if it names the digit too."""
    return at >= end and named(at) and (not _DIGIT_AFTER_MARK.match(text, at) or named(at + 1))


def _advice(text: str, last: int) -> str:
    """What to write in place of a number that goes on at a place."""
    if text[last : last + 1] == ",":
        return COMMA
    return OF if re.compile(r"\s?/\s?\d").match(text, last) else AFTER


def _value(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))


def _word(text: str, start: int) -> str:
    """What stands there, with what it is joined to."""
    before, after = text[max(0, start - 40) : start], text[start : start + 40]
    return "".join(re.findall(r"\S+\Z", before)[-1:] + re.findall(r"^\S+", after)) or after.strip()
