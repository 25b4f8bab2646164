"""Numbers out of JSON lines: `{"epoch": 3, "split": "test", "top1": 0.71}`, `{"val/loss": 0.5}`, `{"epoch": 3, "eval": {"loss": 0.5}}`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ablate.errors import RunFailure
from ablate.study.assign.foreign_trainer import COUNTERS
from ablate.study.values.metrics import SPLIT_WORDS, MetricName, split_of
from ablate.training.foreign.measured import Measured
from ablate.training.foreign.number import Number, Unreadable, number_of
from ablate.training.foreign.patterns import whole

SPLIT = "split"
_SHOWN = 60


class Twice(tuple[Any, ...]):
    """The values of a name that stands in one object more than once."""


class JsonLines:
    """Reads the JSON lines of one run."""

    def __init__(self, measured: Measured) -> None:
        self._measured = measured

    def take(self, line: str) -> None:
        """A line that begins with a brace; one that is no JSON is ordinary output. Raises RunFailure."""
        try:
            told = json.loads(line, object_pairs_hook=object_of)
        except (ValueError, RecursionError):
            return
        if isinstance(told, dict):
            self._object(told)

    def _object(self, told: Mapping[str, Any]) -> None:
        split, unknown = self._split(told)
        numbers: dict[str, Number] = {}
        for name, item in told.items():
            if name in COUNTERS or name == SPLIT:
                continue
            if isinstance(item, dict):
                self._nested(told, name, item)
            elif (number := self._number(name, item, split)) is not None:
                numbers[name] = number
        known = {name: number for name, number in numbers.items() if self._measured.knows(name, split)}
        if not known:
            return
        if unknown is not None:
            raise RunFailure(
                f"{written(unknown)} is not a split: use one of {', '.join(SPLIT_WORDS)}. Without a split a number "
                "counts as the test set's."
            )
        self._take(known, self._count(told, known), split)

    def _take(self, known: Mapping[str, Number], count: tuple[int, str] | None, split: str | None) -> None:
        places: dict[MetricName, float] = {}
        for name, number in known.items():
            if number.percent:
                self._measured.check_percent(name, split)
            place = self._measured.place(name, split)
            assert place is not None
            if not _same(places.setdefault(place, number.value), number.value):
                raise RunFailure(f"{name} is there twice, with different numbers: print it once per line.")
        epoch, by = count or (None, "")
        self._measured.take({name: number.value for name, number in known.items()}, epoch, split, by=by)

    def _nested(self, told: Mapping[str, Any], name: str, inner: Mapping[str, Any]) -> None:
        """`{"eval": {"loss": 0.5}}` is the loss of the split; what any other object holds may be anything, settings too."""
        if split_of(name) is not None:
            counters = {key: told[key] for key in COUNTERS if key in told}
            self._object({**counters, **inner, SPLIT: name})
            return
        for key, item in inner.items():
            if isinstance(item, int | float) and not isinstance(item, bool):
                self._measured.not_read(
                    key, f"it was printed inside {name!r}; print it outside, or inside one of {', '.join(SPLIT_WORDS)}"
                )

    def _split(self, told: Mapping[str, Any]) -> tuple[str | None, Any]:
        """(the split, what was said instead of one)."""
        said = told.get(SPLIT)
        if said is None:
            return None, None
        split = split_of(said) if isinstance(said, str) else None
        return split, said if split is None else None

    def _number(self, name: str, item: object, split: str | None) -> Number | None:
        """A value as a number; one that is none is remembered for messages where the study looks for it."""
        place = self._measured.place(name, split)
        if isinstance(item, Twice) and place is not None:
            if any(value != item[0] for value in item):
                raise RunFailure(f"{name} is there twice, as {written(item)}: print it once per line.")
            item = item[0]
        if isinstance(item, int | float) and not isinstance(item, bool):
            return Number(_float(item), 0)
        try:
            number = number_of(item) if isinstance(item, str) else None
        except Unreadable as why:
            if place is None:
                return None
            raise RunFailure(f"{name}: {written(item)} cannot be read as a number. {why.advice}") from None
        if number is None:
            self._measured.not_read(name, f"it was printed as {written(item)}, which is not a number", split=split)
        return number

    def _count(self, told: Mapping[str, Any], known: Mapping[str, Number]) -> tuple[int, str] | None:
        given = {name: told[name] for name in COUNTERS if told.get(name) is not None}
        for name, item in given.items():
            if (count := whole(counted(item))) is not None:
                return count, name
        for name, item in given.items():
            raise RunFailure(
                f'"{name}": {written(item)} is not a whole number from 0, so {", ".join(known)} cannot be assigned to an epoch. Print whole '
                "epochs, or the step as well; a number with neither is final."
            )
        return None


def object_of(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; `Twice` where a name has several values."""
    found: dict[str, Any] = dict(pairs)
    if len(found) < len(pairs):
        values: dict[str, list[Any]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        found.update({name: Twice(several) for name, several in values.items() if len(several) > 1})
    return found


def counted(item: object) -> float | None:
    """What an epoch or step says; None where that is no number."""
    if isinstance(item, Twice):
        return counted(item[0]) if all(value == item[0] for value in item) else None
    if isinstance(item, bool) or not isinstance(item, int | float | str):
        return None
    try:
        number = number_of(item) if isinstance(item, str) else Number(_float(item), 0)
    except Unreadable:
        return None
    return None if number is None else number.value


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def written(item: object) -> str:
    """A value as it stands in JSON, shortened."""
    text = (
        " and ".join(map(written, item))
        if isinstance(item, Twice)
        else json.dumps(item, ensure_ascii=False, default=str)
    )
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
