"""Numbers out of a CSV or TSV file: the first row names the columns, each further one is an epoch's or a step's."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ablate.errors import RunFailure
from ablate.training.foreign.files.cells import Cell, Wanted
from ablate.training.foreign.files.growing import Growing

_MARKS = ",;\t"


class Table:
    """Reads the columns that are wanted. A row that is the header is no row: a script that is started anew writes it again."""

    def __init__(self, path: Path, wanted: Mapping[str, Wanted], *, skip: bool = False) -> None:
        self._wanted = wanted
        self._file = Growing(path, skip=skip)
        self._mark = ","
        self._held = ""
        self.there: Sequence[str] = ()
        if skip and (first := self._file.first()):
            self._take_header(first)

    def read(self, *, ended: bool) -> Iterator[Cell]:
        for number, line in self._file.lines(ended=ended):
            if number == 1:
                self._held = ""
                self._take_header(line)
                continue
            self._held += line
            if self._held.count('"') % 2:  # a quoted text goes on in the next line
                self._held += "\n"
                continue
            line, self._held = self._held, ""
            if line.strip():
                yield from self._row(number, self._split(line))

    def _take_header(self, line: str) -> None:
        self._mark = max(_MARKS, key=line.count)
        self.there = cells = self._split(line)
        for column in (wanted.where[0] for wanted in self._wanted.values()):
            if cells.count(column) > 1:
                raise RunFailure(
                    f"{self._file.path.name} has the column {column!r} twice; give each a name of its own."
                )

    def _split(self, line: str) -> list[str]:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=self._mark), [])]

    def _row(self, number: int, cells: list[str]) -> Iterator[Cell]:
        if cells == self.there:
            return
        if len(cells) > len(self.there) and any(cells[len(self.there) :]):
            raise RunFailure(
                f"line {number} of {self._file.path.name} has {len(cells)} cells, and its first line {len(self.there)} columns "
                f"({', '.join(self.there)}). Write a header for all columns."
            )
        row = dict(zip(self.there, cells, strict=False))
        for metric, wanted in self._wanted.items():
            if value := row.get(wanted.where[0]):
                counts = {".".join(names): row.get(names[0]) for names in wanted.counters}
                yield Cell(metric, value, counts, number - 1, f"line {number}")
