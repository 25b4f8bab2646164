"""The epoch that `trainer: {select: METRIC}` chooses: all metrics with epochs are reported as they were there.

A script that goes on where an earlier attempt was stopped has its best epoch behind it, perhaps: the numbers of epochs are kept in a
file of the run's folder, and those before the first epoch of an attempt stay.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ablate.errors import RunFailure

MOST_KEPT = 100_000
"""Numbers of a metric that are kept."""
_ATTEMPT = "attempt"

Epochs = dict[str, dict[int, float]]
"""{name: {epoch: number}}."""


class Chosen:
    """Collects numbers of epochs; `choose` says which epoch is the best one. `path` is where they are kept from attempt to attempt."""

    def __init__(self, select: Mapping[str, Any], names: Iterable[str], path: Path) -> None:
        self.metric = str(select["metric"])
        self._higher = select["better"] == "higher"
        self._names = tuple(names)
        self._path = path
        self._own: Epochs = {}
        self._by: dict[str, str] = {}
        self._new: list[Any] = [_ATTEMPT]
        self._earlier = self._read()

    def take(self, name: str, epoch: int, value: float, by: str) -> None:
        """A number of an epoch, or of what else counts it (`by`)."""
        known = self._own.setdefault(name, {})
        self._by[name] = by
        if len(known) < MOST_KEPT or epoch in known:
            known[epoch] = value
            self._new.append([name, epoch, value])

    def save(self) -> None:
        """Keep what is new for attempts to come."""
        if self._new and self._new != [_ATTEMPT]:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.writelines(json.dumps(item) + "\n" for item in self._new)
            self._new = []

    def choose(self, names: Iterable[str]) -> tuple[int, dict[str, float | None]]:
        """(epoch, the number at it of each of `names`); None for one that has none there. Those that are counted otherwise are left
        out. Raises RunFailure where the metric has no epochs."""
        kept = _continued(self._earlier, self._own, self._names)
        name = next((name for name in self._names if name in kept), "")
        told = {epoch: value for epoch, value in kept.get(name, {}).items() if math.isfinite(value)}
        if not told:
            raise RunFailure(
                f"select: {self.metric} was reported for no epoch, so none is its best. Report it with its epochs, or leave `select` out."
            )
        best = (max if self._higher else min)(told.values())
        epoch = min(epoch for epoch, value in told.items() if value == best)
        alike = [other for other in names if other in kept and self._by.get(other) == self._by.get(name)]
        if any(len(kept[other]) >= MOST_KEPT for other in alike):
            raise RunFailure(f"select: more than {MOST_KEPT:,} epochs were reported; report fewer.")
        return epoch, {other: kept[other].get(epoch) for other in alike}

    def _read(self) -> Epochs:
        """What earlier attempts have left, each continuing those before it."""
        kept: Epochs = {}
        block: Epochs = {}
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except OSError:
            return {}
        for line in lines:
            try:
                item = json.loads(line)
            except ValueError:  # a kill has torn it
                continue
            if item == _ATTEMPT:
                kept, block = _continued(kept, block, self._names), {}
            else:
                name, epoch, value = item
                block.setdefault(name, {})[epoch] = value
        return _continued(kept, block, self._names)


def _continued(earlier: Epochs, own: Epochs, names: Iterable[str]) -> Epochs:
    """The numbers of an attempt, and earlier ones of epochs before its first."""
    first = min((min(own[name]) for name in names if own.get(name)), default=None)
    kept: Epochs = {name: dict(told) for name, told in own.items()}
    for name, told in earlier.items():
        for epoch, value in told.items():
            if first is None or epoch < first:
                kept.setdefault(name, {}).setdefault(epoch, value)
    return kept
