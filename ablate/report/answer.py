"""A study's answer in at most five sentences, each from one rule, on its headline metric.

The headline metric is the first column of the first table of effects, else of the first table that compares with a baseline.

1. What is decided: the main effects (a path's steps), largest first, at most two; without effects the best arm against the
   baseline. Below three seeds, or while runs are missing, it says so instead. Only what is decided has a verb.
2. What is undecided, and which differences these seeds and ten would show, by the table's own test.
3. The strongest interaction that is decided.
4. How many claims of all tables hold.
5. The runs: how many are done, what they cost, on what, by which code, and the command.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ablate.analysis.compare import LEAST_N
from ablate.analysis.families import families_of
from ablate.analysis.labels import Names, labelled
from ablate.analysis.least_squares import planned
from ablate.analysis.power import detectable, detectable_effect
from ablate.analysis.table import Cell, Column, Row, Table
from ablate.report import format as fmt
from ablate.report import published as say
from ablate.report.declare import Sentence
from ablate.report.published import StudyEntry
from ablate.study.values.study import Study

MOST_DECIDED = 2
MOST_NAMED = 4
WIDER = 10
"""Seeds that the second sentence looks ahead to; twice the study's own where it has as many."""
_SUM = re.compile(r" [+-] ")
"""What stands between the parts of a confounded effect's name; a factor or level holds no blank."""


@dataclass(frozen=True)
class _Line:
    """A row of the headline table, as people read it, with its cell."""

    row: Row
    name: str
    cell: Cell


class _Headline:
    """The table and the column that the answer is about."""

    def __init__(self, study: Study, table: Table) -> None:
        self.study, self.table = study, table
        self.column: Column = labelled(table).columns[0]
        self.names, read = Names(table), labelled(table).rows
        steps = _steps(study, self.names)
        self.lines = [
            _Line(row, fmt.plain(steps.get(row.arm or "") or self._said(row, each)), cell)
            for row, each in zip(table.rows, read, strict=True)
            if (cell := row.cells.get(self.column.key)) is not None
        ]

    def _said(self, row: Row, labelled: Row) -> str:
        """A row's name; of a main effect that is named as a sum, `a - a × b`, what is in it: `a (not told apart from a × b)`."""
        effect = row.name.rpartition("/")[2]
        name, *others = _SUM.split(effect) if self.table.kind == "effect" else [effect]
        if not others:
            return labelled.name
        before = labelled.name.removesuffix(self.names.effect(effect))
        return f"{before}{self.names.effect(name)} (not told apart from {_named([*map(self.names.effect, others)])})"

    @property
    def metric(self) -> str:
        return fmt.plain(self.column.label or self.column.key)

    def sentence(self, text: str, lines: Sequence[_Line] = (), verdict: str = "") -> Sentence:
        row = lines[0].row.name if lines else ""
        return Sentence(text, self.table.name, row, self.column.metric, verdict)

    def difference(self, cell: Cell) -> str:
        """`+4.4 points [+1.7, +7.2]`."""
        points = " points" if self.column.percent else ""
        delta = fmt.number(cell.delta, self.column, signed=True)
        return f"{delta}{points} {fmt.interval(cell.delta_ci95, self.column, signed=True)}".rstrip()

    def against(self, line: _Line) -> str:
        """What the effect of one level among more than two is measured from."""
        factor, equals, _ = line.row.name.rpartition("/")[2].partition("=")
        known = line.row.name in self.table.instead or self.table.kind != "effect" or not equals or " " in line.row.name
        return "" if known else f", against the mean over {self.names.factor(factor)},"

    def verb(self, cell: Cell) -> str:
        up = (cell.delta or 0) > 0
        if self.column.better not in ("higher", "lower"):
            return f"raises {self.metric}" if up else f"lowers {self.metric}"
        return "helps" if up == (self.column.better == "higher") else "hurts"


def _steps(study: Study, names: Names) -> dict[str, str]:
    """The steps of a path as people read them, by arm: a member that is added, or the level that is stepped to."""
    arms = {arm.name: arm for arm in study.arms}
    members = {factor.name for factor in study.factors if factor.members}
    said = {}
    for arm in study.arms:
        if arm.step and arm.previous:
            before = arms[arm.previous].levels
            levels = [
                names.level(name, to) for name, to in arm.levels.items() if name not in members and before[name] != to
            ]
            said[arm.name] = levels[0] if levels else names.effect(arm.step)
    return said


def answer(study: Study, tables: Sequence[Table], entry: StudyEntry, command: str) -> tuple[Sentence, ...]:
    """The sentences of a whole study. `entry` has its runs; `command` trains what is missing, or all of it again."""
    sentences = [*_found(study, tables), *_claims(tables), _runs(entry, command)]
    return tuple(sentences)


def _found(study: Study, tables: Sequence[Table]) -> Iterator[Sentence]:
    table = _headline(tables)
    if table is None:
        return
    head = _Headline(study, table)
    if why := _too_early(head):
        yield head.sentence(why, verdict="undecided")
    elif table.kind == "effect" or study.design == "path":
        yield from _effects(head)
    else:
        yield from _best(head)


def _headline(tables: Sequence[Table]) -> Table | None:
    """The first table of effects; else the first over arms in which something is compared."""
    compared = [table for table in tables if table.kind == "arms" and table.baseline and len(table.rows) > 1]
    effects = [table for table in tables if table.kind == "effect"]
    return next((table for table in (*effects, *compared) if table.columns and table.rows), None)


def _too_early(head: _Headline) -> str:
    """Why nothing can be decided yet; empty where it can."""
    cells = [line.cell for line in head.lines]
    if len(head.study.seeds) < LEAST_N:
        return f"With {_plural(len(head.study.seeds), 'seed')} nothing is decided: differences are tested from {LEAST_N} on."
    missing = {cell.planned - cell.n for cell in cells} - {0}
    if missing:
        left = max(missing) if head.table.kind == "effect" else sum(cell.planned - cell.n for cell in cells)
        return f"No answer yet: table {fmt.plain(head.table.name)} lacks {_plural(left, 'run')}."
    return ""


def _effects(head: _Headline) -> Iterator[Sentence]:
    of_rows = len(head.table.factors) if head.table.kind == "effect" else 0
    mains = [line for line in head.lines if head.table.kind != "effect" or " × " not in line.row.name]
    mains += [line for line in head.lines if line not in mains and len(line.row.levels) - of_rows == 1]
    decided = _largest([line for line in mains if line.cell.decided])
    if decided:
        shown = decided[:MOST_DECIDED]
        said = [
            f"{line.name}{head.against(line)} {head.verb(line.cell)}: {head.metric} {head.difference(line.cell)}"
            for line in shown
        ]
        yield head.sentence(_capital("; ".join(said)) + ".", shown, "decided")
    open_ = [line for line in mains if not line.cell.decided and fmt.known(line.cell.delta)]
    if open_:
        named = _named([line.name for line in open_])
        what = f"Undecided: {named}" if decided else f"No main effect on {head.metric} is decided: {named}"
        yield head.sentence(f"{what}.{_would_show(head, open_, 'effects')}", open_, "undecided")
    pairs = _largest([line for line in head.lines if line not in mains and line.cell.decided])
    if pairs:
        text = f"Strongest decided interaction: {pairs[0].name}, {head.metric} {head.difference(pairs[0].cell)}."
        yield head.sentence(text, pairs[:1], "decided")


def _best(head: _Headline) -> Iterator[Sentence]:
    if head.column.better not in ("higher", "lower"):
        return
    sign = 1 if head.column.better == "higher" else -1
    measured = sorted(
        (line for line in head.lines if line.cell.mean is not None), key=lambda line: -sign * (line.cell.mean or 0)
    )
    if not measured:
        return
    best = measured[0]
    number = f"{fmt.number(best.cell.mean, head.column)}{'%' if head.column.percent else ''}"
    if best.row.is_baseline or best.cell.delta is None:
        text = f"No arm has a better mean of {head.metric} than the baseline, {best.name}: {number}."
        yield head.sentence(text, [best], "undecided")
    elif best.cell.decided:
        text = f"{best.name} is best on {head.metric}: {number}, {head.difference(best.cell)} from its baseline."
        yield head.sentence(_capital(text), [best], "decided")
    else:
        text = (
            f"{best.name} has the best mean of {head.metric}, {number}, but {head.difference(best.cell)} is undecided."
        )
        yield head.sentence(_capital(text), [best], "undecided")
    compared = [line for line in head.lines if line.cell.delta is not None and not line.row.is_baseline]
    open_ = [line for line in compared if not line.cell.decided]
    if open_:
        count = f"{len(open_)} of {_plural(len(compared), 'difference')} from the baseline"
        text = f"{count} {'is' if len(open_) == 1 else 'are'} undecided.{_would_show(head, open_, 'differences')}"
        yield head.sentence(text, open_, "undecided")


def _would_show(head: _Headline, lines: Sequence[_Line], what: str) -> str:
    """` 3 seeds show effects from 0.031, 10 from 0.014.`; empty where a spread is not known."""
    seen = [line.cell.detectable for line in lines if line.cell.detectable is not None]
    ours = len(head.study.seeds)
    wider = WIDER if ours < WIDER else 2 * ours
    smallest = _smallest(head)
    now, then = smallest(ours), smallest(wider)
    if not seen or not now or not then:
        return ""
    points = " points" if head.column.percent else ""
    first, second = (fmt.number(value, head.column) for value in (max(seen), max(seen) * then / now))
    return f" {ours} seeds show {what} from {first}{points}, {wider} from {second}."


def _smallest(head: _Headline) -> Callable[[int], float | None]:
    """The smallest difference that n seeds decide, in sd of one run, at the strictest place of the table."""
    study, spec = head.study, head.study.tables[head.table.name]
    if spec.kind != "effect":
        most = max(family.comparisons for family in families_of(study, spec))
        test = "pooled-holm" if study.design == "path" and spec.test == "dunnett" else spec.test
        return lambda n: detectable(n, most, test) if most else None
    fits = [fit for fit in planned(study, spec) if fit.mains]

    def worst(n: int) -> float | None:
        found = [
            detectable_effect(weights, n, len(fit.mains) + len(fit.interactions), spec.test, rank=fit.rank)
            for fit in fits
            for weights in fit.mains
        ]
        known = [value for value in found if value is not None]
        return max(known) if known and len(known) == len(found) else None

    return worst


def _claims(tables: Sequence[Table]) -> Iterator[Sentence]:
    counts = Counter(claim.verdict for table in tables for claim in table.claims)
    total = counts.total()
    if not total:
        return
    words = {"holds": ("holds", "hold"), "contradicted": ("is contradicted", "are contradicted"),
             "undecided": ("is undecided", "are undecided"), "not testable": ("is not testable", "are not testable")}  # fmt: skip
    said = [f"{counts[verdict]} {words[verdict][counts[verdict] != 1]}" for verdict in say.VERDICTS if counts[verdict]]
    yield Sentence(f"Of {_plural(total, 'claim')} {', '.join(said)}.")


def _runs(entry: StudyEntry, command: str) -> Sentence:
    hardware, code = _most(say.trained_on([entry])), _most(say.trained_by([entry]))
    parts = [f"{say.progress([entry])}, {say.cost([entry])}", say.when([entry]), hardware, code and f"code {code}"]
    return Sentence(f"{'; '.join(part for part in parts if part)}. Command: {command}")


def _most(shares: Sequence[str]) -> str:
    """The most frequent of several, and how many more there are: `a9e0293ec409 (21 runs) and 5 more`."""
    if len(shares) < 2:
        return "".join(shares).rpartition(" (")[0]
    return f"{shares[0]} and {len(shares) - 1} more"


def _largest(lines: Sequence[_Line]) -> list[_Line]:
    return sorted(lines, key=lambda line: -abs(line.cell.delta or 0))


def _named(names: Sequence[str]) -> str:
    """`a, b and c`, or `a, b, c, d and 5 more`."""
    if len(names) > MOST_NAMED + 1:
        return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _capital(text: str) -> str:
    """With a capital where it begins with a word; a name such as `tweak=D` keeps its own letters."""
    first = text.split(" ", 1)[0]
    return text[:1].upper() + text[1:] if first.isalpha() and len(first) > 2 else text


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
