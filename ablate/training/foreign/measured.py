"""What another trainer has told so far: its epochs, handed on as they come, and its final numbers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from ablate.errors import Diverged, RunFailure
from ablate.study.metrics import SPLITS
from ablate.study.records import Context, EpochRecord, Outcome, Progress
from ablate.study.run import Run
from ablate.study.trainer import known_names

FLUSH_SECONDS = 1.0
"""Records are handed on together after so long: each hand-over is a commit, and a script may report every step."""
MOST_RECORDS = 100_000
"""Records of epochs or steps that are kept of one run; final numbers are followed to the end."""
PLAIN = "test"
"""The split of a number that names none: what a script reports without a word is what is reported."""


class Measured:
    """Collects the numbers of one run. Only metrics that the study can show are kept: those it declares, and ours."""

    def __init__(self, run: Run, context: Context, clock: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._clock = clock
        self._run = run
        self.declared: Mapping[str, Any] = (run.trainer or {}).get("metrics") or {}
        self._known = known_names(self.declared)
        self._waiting: dict[tuple[int, str], dict[str, float]] = {}
        self._last: dict[str, tuple[float, int | None]] = {}
        self._splits: set[str] = set()
        self._handed_on = -math.inf
        self._records = 0
        self.unknown: dict[str, None] = {}

    def knows(self, name: str, split: str | None = None) -> bool:
        """Whether a metric is one that the study can show; a name that is not is remembered, for messages."""
        if name in self._known or (split and f"{split}_{name}" in self._known):
            return True
        if len(self.unknown) < 20:
            self.unknown[name[:100]] = None
        return False

    def take(self, metrics: Mapping[str, float], epoch: int | None = None, split: str | None = None) -> None:
        """Numbers of an epoch or step; without one, final ones. `val_loss` is `loss` of the split `val`."""
        for name, value in metrics.items():
            where, rest = split, name
            head, _, tail = name.partition("_")
            if where is None and head in SPLITS and tail:
                where, rest = head, tail
            self._splits.add(where or PLAIN)
            self._final(f"{where}_{rest}" if where else rest, value, epoch)
            if epoch is not None:
                self._record(epoch, where or PLAIN, rest, value)
        self.hand_on_if_due()

    def hand_on_if_due(self) -> None:
        """What came since the last time, now and then."""
        if self._clock() - self._handed_on >= FLUSH_SECONDS:
            self.hand_on()

    def hand_on(self) -> None:
        """Give what waits to the one who records."""
        self._handed_on = self._clock()
        if not self._waiting:
            return
        records = [EpochRecord(epoch, split, values) for (epoch, split), values in self._waiting.items()]
        self._waiting = {}
        self._context.on_epoch(records)
        self._show(records[-1].epoch)

    def outcome(self, **details: Any) -> Outcome:
        """The run's outcome. Raises Diverged where a declared number ended as none, RunFailure where it never came."""
        self.hand_on()
        for name in self.declared:
            value, epoch = self._of(name)
            if value is None:
                raise RunFailure(self._missing(name))
            if not math.isfinite(value):
                at = "" if epoch is None else f" at epoch {epoch}"
                raise Diverged(f"{name} is not finite: {value}{at}")
        final = {name: value for name, (value, _) in self._last.items() if math.isfinite(value)}
        if not final:
            raise RunFailure(f"no metric came: {self._nothing()}")
        reported = PLAIN if PLAIN in self._splits or "val" not in self._splits else "val"
        for name, value in list(final.items()):
            if name.startswith(f"{reported}_"):
                final.setdefault(name.removeprefix(f"{reported}_"), value)
        if self._records > MOST_RECORDS:
            details["records_left_out"] = self._records - MOST_RECORDS
        return Outcome(final, reported_split=reported, details=details)

    def _final(self, name: str, value: float, epoch: int | None) -> None:
        """The last number is the final one; one that belongs to no epoch is final whatever comes after."""
        held = self._last.get(name)
        if epoch is None or held is None or held[1] is not None:
            self._last[name] = (value, epoch)

    def _of(self, name: str) -> tuple[float | None, int | None]:
        """A declared metric's final number: as it was told, or on the split that is reported."""
        places = (name, *(f"{split}_{name}" for split in (PLAIN, "val")))
        return next((self._last[place] for place in places if place in self._last), (None, None))

    def _record(self, epoch: int, split: str, name: str, value: float) -> None:
        if name not in self._waiting.get((epoch, split), {}):
            self._records += 1
        if self._records <= MOST_RECORDS:
            self._waiting.setdefault((epoch, split), {})[name] = value

    def _missing(self, name: str) -> str:
        pattern = self.declared[name]
        if pattern is None:
            return f"the metric {name} never came: {self._nothing()}"
        return f"the metric {name} never came: no line of the output matched its pattern {pattern!r}"

    def _nothing(self) -> str:
        if self.unknown:
            return f"reported were {', '.join(self.unknown)}, which trainer.metrics does not declare"
        return "nothing was reported by that name" if self.declared else "nothing was reported"

    def _show(self, epoch: int) -> None:
        epochs = self._run.recipe.get("epochs")
        if isinstance(epochs, int) and 0 < epoch <= epochs:
            self._context.on_progress(Progress(self._run.run_id, epoch, epochs, epoch, epochs))
