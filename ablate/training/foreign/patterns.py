"""Patterns on lines: where a pattern finds its number, also where it was written for another kind of number than the one that stands there.

`loss ([0-9.]+)` knows neither `-0.5` nor `9.8e-05` nor `nan`. A line that would match if plain digits stood there does match, and the
number is read as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ablate.study.assign.foreign_trainer import COUNTERS, OF, number_groups
from ablate.training.foreign.number import Number, Unreadable, count_at, number_at, without_colours

LARGEST_EPOCH = 2**31 - 1
MOST_DECIMALS = 8
"""So many decimals are tried where a pattern asks for a fixed number of them."""

_ALONE = r"(?<![\w.,+\-−])"
_SIGN = "[-+−]?"
_READABLE = re.compile(
    rf"{_ALONE}{_SIGN}(?:(?:nan|inf(?:inity)?)(?!\w)|[0-9]+(?:[,_][0-9]{{3}})*(?:\.[0-9]*)?(?:[eE][-+−]?[0-9]+)?|\.[0-9]+(?:[eE][-+−]?[0-9]+)?)",
    re.IGNORECASE,
)
_SPOILT = re.compile(rf"{_ALONE}{_SIGN}[.,]?[0-9](?:[\w#…]|[.,'’](?=[0-9#])|(?<=[eEdD])[-+−])*+(?![-/:][0-9])")
"""One word with digits in it: 0,85 or 12.5k or 0x1F. Dates, times and ratios are not meant."""
_USUAL = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_WHOLE = re.compile(r"[-+−]?[0-9]+")
_NAMELESS = "\ue000\u4e00"
"""Characters that no pattern names, and that wildcards take: one that is no letter, and one that is."""

Span = tuple[int, int]


class NoCount(ValueError):
    """An epoch or step that is no whole number from 0."""


@dataclass(frozen=True)
class Found:
    """A number, or None where what the group took has no digits; the epoch or step that the pattern's groups named."""

    number: Number | None
    count: int | None = None
    counter: str = ""


@dataclass(frozen=True)
class View:
    """A line with plain digits in the place of some numbers: `spans` are (where they stand here, what they stand for)."""

    text: str
    spans: tuple[tuple[Span, Span], ...] = ()

    def token(self, place: int) -> tuple[Span, Span] | None:
        """The digits at this place of the view that stand for a number, and where the line has it."""
        return next((span for span in self.spans if span[0][0] <= place < span[0][1]), None)

    def real(self, place: int) -> int:
        """The line's place of a place of the view."""
        shift = 0
        for (start, end), (real_start, real_end) in self.spans:
            if place < end:
                return real_start if place >= start else place + shift
            shift = real_end - end
        return place + shift

    def seen(self, place: int) -> int | None:
        """The view's place of a place of the line; None inside a number."""
        shift = 0
        for (_, end), (real_start, real_end) in self.spans:
            if place < real_end:
                return None if place >= real_start else place + shift
            shift = end - real_end
        return place + shift


class Line:
    """A line as patterns look at it."""

    def __init__(self, raw: str, *, colours: bool = False) -> None:
        self.raw = raw
        self.text, self.ends = (raw, frozenset(_places(raw))) if colours else without_colours(raw)
        self._tokens: dict[re.Pattern[str], list[re.Match[str]]] = {}
        self._views: dict[tuple[re.Pattern[str], int], View] = {}

    def views(self, decimals: int) -> Iterator[View]:
        """The line in the order in which it is tried: a number that only looks different comes before the line as it is, so that no
        later number is taken for it; one that cannot be read comes last. With up to so many decimals."""
        if self._odd(_READABLE):
            yield self._in_digits(_READABLE, 0)
        yield View(self.text)
        for kind, first in ((_READABLE, 1), (_SPOILT, 0)):
            if tokens := self._odd(kind):
                most = 0 if all(_WHOLE.fullmatch(token.group()) for token in tokens) else decimals
                yield from (self._in_digits(kind, count) for count in range(first, most + 1))

    def _odd(self, kind: re.Pattern[str]) -> list[re.Match[str]]:
        if kind not in self._tokens:
            found = kind.finditer(self.text)
            self._tokens[kind] = [token for token in found if not _USUAL.fullmatch(token.group().rstrip("."))]
        return self._tokens[kind]

    def _in_digits(self, kind: re.Pattern[str], decimals: int) -> View:
        if (kind, decimals) in self._views:
            return self._views[kind, decimals]
        pieces, spans, last, length = [], [], 0, 0
        for token in self._odd(kind):
            digits = _digits(token.group(), decimals)
            pieces += [self.text[last : token.start()], digits]
            length += token.start() - last
            spans.append(((length, length + len(digits)), token.span()))
            length, last = length + len(digits), token.end()
        view = self._views[kind, decimals] = View("".join([*pieces, self.text[last:]]), tuple(spans))
        return view


class Pattern:
    """A metric's pattern, compiled."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._regex = re.compile(text)
        self._groups = number_groups(self._regex)
        fixed = "{" in text or text.count(r"\d") + text.count("[0-9]") > 2  # perhaps a number of decimals
        self._decimals = MOST_DECIMALS if fixed else 1
        self._counters = [name for name in COUNTERS if name in self._regex.groupindex]

    def find(self, line: Line) -> Found | None:
        """What the pattern finds; None where it does not match. Raises Unreadable, and NoCount for an epoch that counts none."""
        found = self._find(line)
        if found is None and line.raw != line.text:  # it may name the colours
            found = self._find(Line(line.raw, colours=True))
        return found

    def _find(self, line: Line) -> Found | None:
        for view in line.views(self._decimals):
            match = self._regex.search(view.text)
            group = next((group for group in self._groups if match and match.start(group) >= 0), None)
            if match is None or group is None:
                continue
            if not view.spans:
                start, end = match.span(group)
            elif (token := view.token(match.start(group))) is None or self._names_sign(line, token[1]):
                continue
            else:
                (_, seen_end), (start, end) = token
                end = max(end, view.real(match.end(group))) if match.end(group) > seen_end else end
            return self._read(line, view, match, group, (start, end)) if start < end else Found(None)
        return None

    def _names_sign(self, line: Line, token: Span) -> bool:
        """Whether the pattern itself says that a sign stands before its group: `-?([0-9.]+)` does not mean the number."""
        match = self._regex.search(line.text)
        if match is None:
            return False
        groups = [group for group in self._groups if match.start(group) == token[0] + 1]
        return bool(groups) and self._names(View(line.text), match, groups[0])(token[0])

    def _read(self, line: Line, view: View, match: re.Match[str], group: int, span: Span) -> Found:
        start, end = span
        number = number_at(line.text, start, end, self._names(view, match, group), line.ends)
        if number is not None and OF in self._regex.groupindex:
            number = self._share(line, view, match, number)
        return Found(None) if number is None else Found(number, *self._count(line, view, match))

    def _share(self, line: Line, view: View, match: re.Match[str], part: Number) -> Number | None:
        """The number as a share of the one that the group `of` takes; None where that took none."""
        if match.start(OF) < 0:
            return None
        start, end = view.real(match.start(OF)), view.real(match.end(OF) - 1) + 1
        whole = number_at(line.text, start, end, self._names(view, match, self._regex.groupindex[OF]), line.ends)
        if whole is not None and whole.value == 0:
            raise Unreadable(line.text[start:end], "There is no share of 0: print the number of all, too.")
        return None if whole is None else Number(part.value / whole.value, whole.end)

    def _count(self, line: Line, view: View, match: re.Match[str]) -> tuple[int | None, str]:
        given = [name for name in self._counters if match.start(name) >= 0]
        wrong = ""
        for name in given:
            start, end = view.real(match.start(name)), view.real(match.end(name) - 1) + 1
            value = count_at(line.text, start, end, self._names(view, match, self._regex.groupindex[name]))
            if (count := whole(value)) is not None:
                return count, name
            wrong = wrong or f"{name} {repr(line.text[start:end]) if value is None else f'{value:g}'}"
        if wrong:
            raise NoCount(wrong)
        return None, ""

    def _names(self, view: View, match: re.Match[str], group: int) -> Callable[[int], bool]:
        """Whether the pattern itself says which character stands at a place of the line: a wildcard takes any."""

        def named(place: int) -> bool:
            at = view.seen(place)
            if at is None or not 0 <= at < len(view.text):
                return False
            return all(differs(at, other) for other in _NAMELESS)

        def differs(at: int, other: str) -> bool:
            again = self._regex.search(view.text[:at] + other + view.text[at + 1 :])
            if again is None or again.start(group) != match.start(group):
                return True
            if again.end(group) != match.end(group):
                return again.end(group) <= at  # else the group would take it
            return match.start() <= at < match.end() and not again.start() <= at < again.end()

        return named


def _places(raw: str) -> Iterator[int]:
    return (place for place, character in enumerate(raw) if character == "\x1b")


def whole(value: float | None) -> int | None:
    """A whole number from 0 that can count epochs."""
    if value is None or not 0 <= value <= LARGEST_EPOCH or value != int(value):
        return None
    return int(value)


def _digits(token: str, decimals: int) -> str:
    """Plain digits for a number: its point in place, `00.5` for -0.5; or with so many decimals, if it is none of the whole ones."""
    if decimals and not _WHOLE.fullmatch(token):
        return "0." + "0" * decimals
    point = "." if "." not in token and token.count(",") == 1 else "0"
    return re.sub(r"[^0-9.]", "0", token.replace(",", point))
