"""Claims: the sentences of a paper that its table can hold or contradict.

    ROW > ROW [by X]        ROW < ROW [by X]        ROW is best|worst [of ROW, ...]
    (ROW - ROW) > (ROW - ROW)                       each with [on METRIC] [where FACTOR=LEVEL]

`{prose: ...}` is not testable.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ablate.study.values.metrics import METRICS, metric_name
from ablate.study.values.study import Claim, Term

GRAMMAR = (
    "A claim is one of: ROW > ROW [by X]; ROW < ROW [by X]; ROW is best|worst [of ROW, ...]; (ROW - ROW) > (ROW - ROW); "
    "each may end in [on METRIC] [where FACTOR=LEVEL]; or {prose: ...}."
)
LONGEST = 1000
_ROW = r"[^\s,()]+"
_TAIL = re.compile(r"\s+(on\s+(?P<metric>\S+)|where\s+(?P<where>[^\s=,]+=\S+(?:\s*,\s*[^\s=,]+=\S+)*))\s*$")
_COMPARE = re.compile(rf"(?P<a>{_ROW})\s*(?P<sign>[<>])\s*(?P<b>{_ROW})(?:\s+by\s+(?P<by>\S+))?")
_GAIN = re.compile(
    rf"\(\s*(?P<a>{_ROW})\s+-\s+(?P<b>{_ROW})\s*\)\s*(?P<sign>[<>])\s*\(\s*(?P<c>{_ROW})\s+-\s+(?P<d>{_ROW})\s*\)"
    r"(?:\s+by\s+(?P<by>\S+))?"
)
_BEST = re.compile(rf"(?P<a>{_ROW})\s+is\s+(?:the\s+)?(?P<which>best|worst)(?:\s+of\s+(?P<rest>.+))?")


class ClaimError(ValueError):
    """A claim that cannot be read; the message says why."""

    def __init__(self, message: str, code: str = "bad-claim") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class ClaimContext:
    """What a table offers its claims: `resolve` turns a row's text (and fixed levels) into levels; `rows` are all of its rows.

    `better` has the directions of metrics that are not ours; `percent` are those that the table prints in percent.
    """

    resolve: Callable[[str, Mapping[str, str]], Mapping[str, str]]
    rows: Callable[[Mapping[str, str]], list[Term]]
    metric: str
    metrics: tuple[str, ...]
    levels: Callable[[str, str], str]
    better: Mapping[str, str] = field(default_factory=dict)
    percent: frozenset[str] = frozenset()


def parse_claim(text: str, context: ClaimContext) -> Claim:
    """A claim as a value. Raises ClaimError with what is wrong and what is allowed."""
    if len(text) > LONGEST:
        raise ClaimError(f"a claim has at most {LONGEST} characters, this one {len(text):,}.")
    body, metric, where = _tails(text, context)

    def term(row: str) -> Term:
        return Term(row, context.resolve(row, where))

    def margin(given: str | None) -> float:
        return _margin(given, metric, context.percent)

    by = 0.0
    if found := _GAIN.fullmatch(body):
        kind, terms = "gain", tuple(term(found[name]) for name in "abcd")
        if found["sign"] == "<":
            terms = (*terms[2:], *terms[:2])
        by = margin(found["by"])
        if [term.levels for term in terms[:2]] == [term.levels for term in terms[2:]]:
            raise ClaimError(f"{text!r} compares a difference with itself.")
    elif found := _COMPARE.fullmatch(body):
        kind, terms, by = found["sign"], (term(found["a"]), term(found["b"])), margin(found["by"])
    elif found := _BEST.fullmatch(body):
        kind = found["which"]
        ours = METRICS[metric].better if metric in METRICS else ""
        if context.better.get(metric, ours) == "neither":
            raise ClaimError(f"{text!r}: neither a higher nor a lower {metric} is better; compare with > or <.")
        subject = term(found["a"])
        others = [term(row.strip()) for row in found["rest"].split(",")] if found["rest"] else context.rows(where)
        terms = (subject, *(other for other in others if other.levels != subject.levels))
        if len(terms) < 2:
            raise ClaimError(f"{text!r} compares a row with nothing else.")
    else:
        raise ClaimError(f"{text!r} cannot be read. {GRAMMAR}")
    if kind in "<>" and terms[0].levels == terms[1].levels:
        raise ClaimError(f"{text!r} compares a row with itself.")
    return Claim(text, kind, terms, by, metric, where)


def _tails(text: str, context: ClaimContext) -> tuple[str, str, Mapping[str, str]]:
    body, metric, where = text.strip(), "", {}
    while found := _TAIL.search(body):
        body = body[: found.start()].strip()
        if found["metric"]:
            if metric:
                raise ClaimError(f"{text!r} names two metrics.")
            metric = metric_name(found["metric"])
            if metric not in context.metrics:
                raise ClaimError(
                    f"{text!r}: the table has no column {metric!r}. Columns: {', '.join(context.metrics)}.",
                    "unknown-metric",
                )
        else:
            for pair in found["where"].split(","):
                factor, _, level = pair.strip().partition("=")
                where[factor] = context.levels(factor, level)
    return body, metric or context.metric, where


def _margin(text: str | None, metric: str, percent: frozenset[str]) -> float:
    """`by X` in the metric's own unit. X is in the unit that the table prints: percent points where it prints percent."""
    if text is None:
        return 0.0
    points = text.endswith("%") or metric in percent
    try:
        number = float(text.removesuffix("%")) / (100 if points else 1)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf or "_" in text:
        raise ClaimError(f"'by {text}' must be a number from 0 in the metric's unit, as in 'by 0.05'.")
    return number
