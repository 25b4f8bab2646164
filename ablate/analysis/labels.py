"""A table as people read it: the study's labels in place of its names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from ablate.analysis.table import Column, Row, Table
from ablate.study.values.labels import Labels

Form = Literal["text", "short", "latex"]

_JOINTS = re.compile(r"( × | \+ | - |, | parts? of | )")
"""What stands between the names of effects: `a × b`, `c - a × b`, `c + part of a × b`."""


def labelled(table: Table, form: Form = "text", mark: Callable[[str], str] = str) -> Table:
    """The table with labels where there are any. `mark` is given each that is LaTeX already, and says what stands for it.

    Notes and claims keep the names: they are what can be written in a study file and on a command line.
    """
    if not table.labels:
        return table
    names = Names(table, form, mark)
    arms = {arm: names.arm(arm) for arm in table.arms}
    return replace(
        table,
        rows=tuple(names.row(row) for row in table.rows),
        behind=tuple(names.behind(row) for row in table.behind),
        columns=tuple(replace(column, label=names.column(column)) for column in table.columns),
        curves=tuple(replace(curve, arm=arms.get(curve.arm, curve.arm)) for curve in table.curves),
        confusions=tuple(replace(one, arm=arms.get(one.arm, one.arm)) for one in table.confusions),
        baseline=arms.get(table.baseline, table.baseline),
        labels=Labels(),
    )


class Names:
    """The labels of one table's names, in one form."""

    def __init__(self, table: Table, form: Form = "text", mark: Callable[[str], str] = str) -> None:
        self._table, self._labels, self._form, self._mark = table, table.labels, form, mark

    def _of(self, key: str, name: str) -> str:
        """The label of a key, and `name` where it has none."""
        found = self._labels.entries.get(key)
        if found is None:
            return name
        if self._form == "latex" and found.latex:
            return self._mark(found.latex)
        return found.short or found.text if self._form == "short" else found.text

    def factor(self, factor: str) -> str:
        return self._of(factor, factor)

    def level(self, factor: str, level: str) -> str:
        """A level; one of a factor of subsets is made of its members: `cosine decay + mixup`."""
        members = self._labels.levels.get(factor, {}).get(level, ())
        if f"{factor}={level}" in self._labels.entries or not members:
            return self._of(f"{factor}={level}", level)
        return " + ".join(self._of(f"{factor}={member}", member) for member in members)

    def column(self, column: Column) -> str:
        """A column's heading: a metric, or a level where the columns are a factor's."""
        factor = self._table.column_factor
        return self._of(column.key, column.key) if factor is None else self.level(factor, column.key)

    def arm(self, arm: str) -> str:
        """`ResNet-D / cosine decay`; a step of a path by the levels that it comes to."""
        levels = self._table.arms.get(arm)
        if not levels:
            return arm
        parts = [self.level(factor, level) for factor, level in levels.items()]
        return arm if parts == list(levels.values()) else " / ".join(parts)

    def row(self, row: Row) -> Row:
        factors = self._table.factors
        parts = [self.level(factor, row.levels[factor]) for factor in factors]
        raw = "/".join(row.levels[factor] for factor in factors)
        rest = row.name.removeprefix(raw).removeprefix("/")
        name = " / ".join([*parts, self.effect(rest)] if self._table.kind == "effect" else parts)
        if rest and self._table.kind != "effect":
            name = "/".join(filter(None, [name, rest]))  # an epoch or a class
        levels = {self.factor(factor): self.level(factor, level) for factor, level in row.levels.items()}
        return replace(row, name=name or row.name, arm=None if row.arm is None else self.arm(row.arm), levels=levels)

    def behind(self, row: Row) -> Row:
        levels = {self.factor(factor): self.level(factor, level) for factor, level in row.levels.items()}
        return replace(row, name=self.arm(row.name), arm=self.arm(row.name), levels=levels)

    def effect(self, name: str) -> str:
        """`cosine decay × ResNet-D`; a main effect of two levels says what it is instead of."""
        words = _JOINTS.split(name)
        if len(words) == 1 and name in self._table.instead:
            factor, _, level = name.partition("=")
            if name in self._labels.entries:
                return f"{self.level(factor, level)} instead of {self.level(factor, self._table.instead[name])}"
        return "".join(self._word(word) for word in words)

    def _word(self, word: str) -> str:
        factor, equals, level = word.partition("=")
        if equals and factor in self._labels.levels:
            if word in self._labels.entries:
                return self._of(word, word)
            return f"{self.factor(factor)} {level}" if factor in self._labels.entries else word
        of = (f"{factor}={word}" for factor in self._labels.levels if self._has_member(factor, word))
        return self._of(next(of, ""), word)

    def _has_member(self, factor: str, name: str) -> bool:
        return any(name in members for members in self._labels.levels[factor].values())
