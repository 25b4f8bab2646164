"""A paper's figures in a table: which row each line means, and what each figure says to its last digit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ablate.study.designs.names import Levels, UnclearName, resolve
from ablate.study.document.problems import Problems
from ablate.study.document.source import Key
from ablate.study.values.metrics import METRICS
from ablate.study.values.study import Factor, Reported, TableSpec

EPOCH = re.compile(r"[1-9][0-9]{0,8}")
"""An epoch's number, counted from 1."""

_FIGURE = re.compile(
    r"(?P<number>[-+]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE](?P<power>[-+]?[0-9]{1,2}))?)(?P<percent>\s*%)?"
)


def read_figure(text: str) -> Reported | None:
    """A figure as printed, `0.90` or `76.21%`; None where it is none."""
    found = _FIGURE.fullmatch(text)
    if not found:
        return None
    mantissa = re.split(r"[eE]", found["number"])[0]
    decimals = len(mantissa.partition(".")[2]) - int(found["power"] or 0)
    percent = found["percent"] is not None
    value = float(found["number"]) / (100 if percent else 1)
    return Reported(text, value, decimals, percent)


@dataclass
class ReportedReader:
    """Reads the `reported` block of one table. `shown` are the row factors, `defaults` the levels that names may leave out."""

    problems: Problems
    table: TableSpec
    shown: Sequence[Factor]
    defaults: Levels
    steps: Mapping[str, Levels]

    def read(self, key: Key, value: object) -> dict[str, tuple[Reported | None, ...]]:
        columns = self.table.columns
        reported: dict[str, tuple[Reported | None, ...]] = {}
        for text, figures in self.problems.mapping(key, value, "a mapping of rows to figures").items():
            place = (*key, text)
            name = self._row_name(place, text)
            places = [(*place, i) for i in range(len(figures))] if isinstance(figures, list) else [place]
            if columns and len(places) != len(columns):
                self.problems.add(
                    place,
                    "wrong-count",
                    f"has {len(places)} figure{'' if len(places) == 1 else 's'} for {len(columns)} columns "
                    f"({', '.join(columns[:10])}); write null where the paper has none.",
                )
                continue
            row = tuple(self._figure(at, self._metric(i)) for i, at in enumerate(places))
            if name in reported:
                self.problems.add(place, "duplicate", f"is the row {name}, which is already given.")
            reported[name] = row
        return reported

    def _metric(self, column: int) -> str | None:
        if self.table.metric is not None:
            return self.table.metric
        return self.table.columns[column] if column < len(self.table.columns) else None

    def _row_name(self, key: Key, text: str) -> str:
        if self.table.kind == "effect":
            return text
        if self.table.kind == "arms":
            return self._levels_name(key, text)
        before, _, last = text.rpartition("/")
        if self.table.kind == "epoch" and not EPOCH.fullmatch(last):
            self.problems.add(key, "bad-format", f"an epoch row must be a whole number from 1, not {last!r}.")
        picked = self.table.row_where
        if picked and last not in picked:
            self.problems.add(
                key, "unknown-name", f"{last!r} is not a row of this table; where selects {', '.join(picked[:20])}."
            )
        return self._levels_name(key, before or "baseline") + "/" + last if self.shown else text

    def _levels_name(self, key: Key, text: str) -> str:
        try:
            levels = resolve(text, self.shown, self.defaults, self.steps)
        except UnclearName as error:
            self.problems.add(key, error.code, str(error))
            return text
        if left_out := left_out_by(self.table, levels):
            self.problems.add(
                key, "unknown-name", f"{text!r} is not a row of this table; its where excludes {left_out}."
            )
        return "/".join(levels.values())

    def _figure(self, key: Key, metric: str | None) -> Reported | None:
        if not self.problems.document.is_scalar(key):
            self.problems.add(
                key, "wrong-type", "must be a figure such as 0.90 or 76.21%, or null; not a list or a mapping."
            )
            return None
        text = self.problems.document.scalar_text(key).strip()
        if text in ("", "null", "~"):
            return None
        figure = read_figure(text)
        if figure is None:
            self.problems.add(key, "bad-format", f"must be a figure such as 0.90 or 76.21%, or null; not {text!r}.")
        elif self.table.kind != "effect" and metric in METRICS and METRICS[metric].unit == "fraction":
            self._check_fraction(key, figure, metric)
        return figure

    def _check_fraction(self, key: Key, figure: Reported, metric: str) -> None:
        if not 0 <= figure.value <= 1:
            hint = "" if figure.percent or not 1 < figure.value <= 100 else f" Write {figure.text}% for a percentage."
            self.problems.add(key, "out-of-range", f"{metric} is a fraction from 0 to 1, not {figure.text}.{hint}")


def left_out_by(table: TableSpec, levels: Levels) -> str:
    """The level of a row that the table's `where` leaves out, as FACTOR=LEVEL; empty where it keeps them all."""
    for name, level in levels.items():
        if level not in table.where.get(name, (level,)):
            return f"{name}={level}"
    return ""
