"""The metrics of one run that stand in files: which files, what is new in them, and where each number belongs."""

from __future__ import annotations

import glob
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePath

from ablate.errors import RunFailure, nearest
from ablate.study.assign.command_words import expand
from ablate.study.assign.foreign_trainer import COUNTERS
from ablate.study.assign.metric_files import COLUMN, PATH, TAG, WHERE
from ablate.study.values.run import Run
from ablate.training.foreign.files.cells import Cell, Reader, Stamp, Wanted
from ablate.training.foreign.files.documents import JsonLinesFile, Whole
from ablate.training.foreign.files.events import NAMED, Events
from ablate.training.foreign.files.tables import Table
from ablate.training.foreign.json_lines import Twice, counted, written
from ablate.training.foreign.measured import Measured
from ablate.training.foreign.number import Number, Unreadable, number_of
from ablate.training.foreign.patterns import whole

LOOK_SECONDS = 1.0
PATIENCE = 10
"""Looking takes at most one of so many seconds, however large the files are."""
AT_ONCE = 10_000
"""Numbers that are handed on together."""
MOST_NAMED = 20
MOST_REMEMBERED = 100_000
ROW = "row"
"""What counts numbers whose file names neither epoch nor step."""


class MetricFiles:
    """Reads the files of a run while it goes on. Make it before the run begins: what lies there then is not read."""

    def __init__(self, run: Run, measured: Measured, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._measured, self._clock = measured, clock
        self._next = -math.inf
        self._by: dict[str, str] = {}
        self._told: dict[str, dict[int | None, float]] = {}
        groups: dict[tuple[str, str], dict[str, Wanted]] = {}
        for name, told in ((run.trainer or {}).get("files") or {}).items():
            kind = next(key for key in WHERE if key in told)
            (file,) = expand([told["file"]], run.seed, glob.escape(str(folder)))
            where, epoch = (expand(told.get(key, ()), run.seed, str(folder)) for key in (kind, "epoch"))
            wanted = Wanted(where, [epoch] if epoch else [[counter] for counter in COUNTERS])
            groups.setdefault((kind, file), {})[name] = wanted
        self._sources = [_Source(kind, file, wanted, folder) for (kind, file), wanted in groups.items()]

    def look_if_due(self) -> None:
        """Hand on what has come, now and then. Raises RunFailure."""
        if self._sources and self._clock() >= self._next:
            began = self._clock()
            self.look()
            self._next = self._clock() + max(LOOK_SECONDS, PATIENCE * (self._clock() - began))

    def look(self, *, ended: bool = False) -> None:
        """Hand on what has come; with `ended` all of it, and why nothing came for a metric. Raises RunFailure."""
        for source in self._sources:
            for path, reader in source.readers():
                for number, cell in enumerate(reader.read(ended=ended), 1):
                    self._take(path, cell)
                    if number % AT_ONCE == 0:
                        self._measured.hand_on()
        self._measured.hand_on_if_due()
        for source in self._sources if ended else ():
            for name in source.wanted:
                if name not in self._told:
                    self._measured.not_in_file(name, source.why_not(name))

    def _take(self, path: Path, cell: Cell) -> None:
        place = f"{path.name}{', ' if cell.place else ''}{cell.place}"
        number = self._number(cell, place)
        if number is None:
            return
        if number.percent:
            self._measured.check_percent(cell.metric)
        count, by = self._count(cell, place)
        known = self._told.setdefault(cell.metric, {})
        if known.get(count) == number.value:  # of a file that was written anew
            return
        if len(known) < MOST_REMEMBERED:
            known[count] = number.value
        self._measured.take({cell.metric: number.value}, count, by=by, in_file=True)

    def _number(self, cell: Cell, place: str) -> Number | None:
        value = cell.value
        if isinstance(value, Twice):
            if any(item != value[0] for item in value):
                raise RunFailure(f"{cell.metric} is there twice in {place}, as {written(value)}: write it once.")
            value = value[0]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return Number(counted(value) or 0.0, 0)
        try:
            number = number_of(value) if isinstance(value, str) else None
        except Unreadable:
            raise RunFailure(
                f"{cell.metric}: {written(value)} in {place} cannot be read as a number. Write one plain number there, such as 0.5, "
                "-3, 1e-05 or 1,234.5."
            ) from None
        if number is None and value is not None:
            self._measured.not_in_file(cell.metric, f"{place} has {written(value)}, which is not a number")
        return number

    def _count(self, cell: Cell, place: str) -> tuple[int | None, str]:
        """(epoch, step or row, by what it is counted). A metric that was counted by a step once stays with it."""
        given = {name: item for name, item in cell.counts.items() if item not in (None, "")}
        if (held := self._by.get(cell.metric)) in given:
            given = {held: given[held]}
        for name, item in given.items():
            if (count := whole(counted(item))) is not None:
                self._by[cell.metric] = name
                return count, name
        for name, item in given.items():
            raise RunFailure(
                f"{cell.metric}: the {name} {written(item)} in {place} is not a whole number from 0. Name what counts its numbers, as in "
                "epoch: step."
            )
        return cell.row, ROW


class _Source:
    """The files that one glob fits, and what is wanted of them."""

    def __init__(self, kind: str, pattern: str, wanted: Mapping[str, Wanted], folder: Path) -> None:
        self.wanted = wanted
        self._kind, self._pattern, self._folder = kind, pattern, folder
        if ".." in PurePath(pattern).parts:
            raise RunFailure(f"{self._shown(Path(pattern))} leads out of {{run_dir}}, where other runs write, too.")
        self._before = {path: Stamp.of(path) for path in self._there()}
        self._readers: dict[Path, Reader] = {path: self._reader(path, skip=True) for path in self._before}

    def readers(self) -> Iterator[tuple[Path, Reader]]:
        """Those of the files that were written since the run began. Raises RunFailure where there are several."""
        new = self._new()
        folders = {path.parent for path in new}
        if len(folders if self._kind == TAG else new) > 1:
            raise RunFailure(
                f"{', '.join(self.wanted)}: {len(new)} files fit {self._shown(Path(self._pattern))}: {_some(map(self._shown, new))}. "
                "Write a glob that fits one of them, or one `file` for each metric."
            )
        for path in new:
            if path not in self._readers:
                self._readers[path] = self._reader(path)
            yield path, self._readers[path]

    def why_not(self, name: str) -> str:
        """Why nothing came for a metric."""
        there, new = self._there(), self._new()
        if not there:
            inside = sorted(path for path in self._folder.rglob("*") if path.is_file())
            lies = f"in it are {_some(map(self._shown, inside))}" if inside else "it is empty"
            return f"no file fits {self._shown(Path(self._pattern))} in its {{run_dir}}; {lies}"
        if not new:
            return f"{_some(map(self._shown, there))} was not written to since the attempt began"
        key, known = ".".join(self.wanted[name].where), [text for path in new for text in self._readers[path].there]
        files = _some(map(self._shown, new))
        if key in known:
            return f"the {self._kind} {key!r} of {files} has no number"
        if not known:
            return f"{files} has nothing that could be read"
        return f"{files} has no {self._kind} {key!r}.{nearest(key, known)} It has: {_some(known)}"

    def _new(self) -> list[Path]:
        return [path for path in self._there() if Stamp.of(path) != self._before.get(path)]

    def _there(self) -> list[Path]:
        found = [Path(path) for path in sorted(glob.glob(self._pattern, recursive=True))]
        if self._kind != TAG:
            return [path for path in found if path.is_file()]
        files = [path for path in found if path.is_file() and NAMED in path.name]
        for folder in (path for path in found if path.is_dir()):
            own = sorted(folder.glob(f"*{NAMED}*"))
            files += own or sorted(folder.rglob(f"*{NAMED}*"))
        return list(dict.fromkeys(files))

    def _reader(self, path: Path, *, skip: bool = False) -> Reader:
        if self._kind == TAG:
            return Events(path, self.wanted, skip=skip)
        if self._kind == COLUMN:
            return Table(path, self.wanted, skip=skip)
        lines = self._kind == PATH and path.suffix.casefold() in (".jsonl", ".ndjson")
        return (JsonLinesFile if lines else Whole)(path, self.wanted, skip=skip)

    def _shown(self, path: Path) -> str:
        """As the study names it: from the run's folder on."""
        return os.path.relpath(str(path).replace(glob.escape(str(self._folder)), str(self._folder)), self._folder)


def _some(names: Iterable[object]) -> str:
    listed = list(map(str, names))
    more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
    return ", ".join(listed[:MOST_NAMED]) + more
