"""What another trainer has told so far: its epochs, handed on as they come, and its final numbers."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from ablate.errors import Diverged, RunFailure
from ablate.study.assign.foreign_trainer import PERCENT, known_names
from ablate.study.records import Context, EpochRecord, Outcome, Progress
from ablate.study.values.metrics import METRICS, MetricName, split_of
from ablate.study.values.recipe import epochs_of
from ablate.study.values.run import Run
from ablate.training.foreign.about import epochs_file
from ablate.training.foreign.chosen import Chosen

FLUSH_SECONDS = 1.0
"""Records are handed on together after so long: each hand-over is a commit, and a script may report every step."""
MOST_RECORDS = 100_000
"""Records of epochs or steps that are kept of one run; final numbers are followed to the end."""
PLAIN = "test"
"""The split of a number that names none: what a script reports without a word is what is reported."""
ROUNDING = 1e-6
"""So far above 1 a fraction may lie: means in 32 bits do."""
LONGEST_QUOTED = 120

_PARTED = re.compile(r"([A-Za-z]+)[_/](.+)", re.DOTALL)


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
        self._judged = context.options.get("judged")
        self._units: Mapping[str, str] = (run.trainer or {}).get("units") or {}
        self._counted: dict[str, str] = {}
        self._not_read: dict[str, str] = {}
        self._in_files = {str(MetricName.parse(name)) for name in (run.trainer or {}).get("files") or ()}
        select = (run.trainer or {}).get("select")
        self._not_in_file: dict[str, str] = {}
        self._chosen = Chosen(select, _places(select["metric"]), epochs_file(run, context)) if select else None
        self.unknown: dict[str, None] = {}

    @property
    def empty(self) -> bool:
        """Whether no number has come yet."""
        return not self._last

    def place(self, name: str, split: str | None = None) -> MetricName | None:
        """Where a number goes. `val_loss`, `val/loss`, `eval_loss` are the loss of `val`, whatever `split` says; a
        name that the study declares is taken as it stands. None for a metric that the study cannot show."""
        for written in dict.fromkeys((name, name.replace("/", "_"))):
            if written in self._known or str(MetricName(split, written)) in self._known:
                return MetricName.parse(written, split)
        parted = _PARTED.fullmatch(name)
        where = split_of(parted[1]) if parted else None
        if parted and where and str(place := MetricName(where, parted[2].replace("/", "_"))) in self._known:
            return place
        return None

    def knows(self, name: str, split: str | None = None) -> bool:
        """Whether a metric is one that the study can show; a name that is not is remembered, for messages."""
        if self.place(name, split) is not None:
            return True
        if len(self.unknown) < 20:
            self.unknown[name[:100]] = None
        return False

    def not_read(self, name: str, why: str, line: str = "", split: str | None = None) -> None:
        """Remember why what was printed for a metric is no number: it is told if none comes."""
        place = self.place(name, split)
        if place is not None:
            quote = f": {line.strip()[:LONGEST_QUOTED]}" if line else ""
            self._not_read.setdefault(place.name, f"{why}{quote}")

    def not_in_file(self, name: str, why: str) -> None:
        """Remember why nothing of a declared metric's file is its number."""
        self._not_in_file.setdefault(name, why)

    def check_percent(self, name: str, split: str | None = None) -> None:
        """Raises RunFailure where a number that is followed by % would be taken for a fraction."""
        place = self.place(name, split)
        if place is not None and _is_fraction(place) and not self._unit(name, place):
            raise RunFailure(f"{name} is a fraction from 0 to 1, and a percentage was printed. {self._declare(name)}")

    def take(
        self, metrics: Mapping[str, float], epoch: int | None = None, split: str | None = None, by: str = "epoch",
        in_file: bool = False,
    ) -> None:  # fmt: skip
        """Numbers of an epoch or step (`by` says of which, or of the n-th `match`); without one, final ones. A metric that stands in
        a file is taken from there alone. One that a tuning judges by is handed on at once. Raises RunFailure for a fraction above 1."""
        judged = False
        for name, told in metrics.items():
            place = self.place(name, split)
            if place is None or (str(place) in self._in_files) != in_file:
                continue
            value = self._in_unit(name, place, told)
            where = place.split or PLAIN
            self._splits.add(where)
            self._final(str(place), value, epoch)
            if epoch is not None:
                self._record(epoch, where, place.name, value)
                judged = judged or str(MetricName(where, place.name)) == self._judged
                if self._chosen is not None:
                    self._chosen.take(str(place), epoch, value, by)
                if by != "epoch":
                    self._counted[str(place)] = by
        if judged:
            self.hand_on()
        elif not in_file:  # a row of a file is handed on as a whole
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
        if self._chosen is not None:
            self._chosen.save()
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
        epoch = None
        if self._chosen is not None:
            details["last"] = dict(final)
            epoch, final = self._at_best(self._chosen, final)
        if not final:
            said = "; ".join(f"{name}: {why}" for name, why in self._not_read.items())
            raise RunFailure(f"no metric was reported: {said or self._nothing()}")
        reported = PLAIN if PLAIN in self._splits or "val" not in self._splits else "val"
        for name, value in list(final.items()):
            final.setdefault(MetricName.parse(name).inside(reported), value)
        if self._records > MOST_RECORDS:
            details["records_left_out"] = self._records - MOST_RECORDS
        if self._counted:
            details["counted_by"] = self._counted
        if epoch is not None:
            final["selected_epoch"] = float(epoch)
        return Outcome(final, reported_split=reported, selected_epoch=epoch, details=details)

    def _at_best(self, chosen: Chosen, final: Mapping[str, float]) -> tuple[int, dict[str, float]]:
        """(the selected epoch, the final numbers as they are at it). Raises RunFailure where a declared one has none there."""
        counted = [name for name, (_, epoch) in self._last.items() if epoch is not None]
        epoch, found = chosen.choose(counted)
        for name in self.declared:
            place = next((place for place in _places(name) if place in self._last), "")
            value = found.get(place, 0.0)
            if value is None or not math.isfinite(value):
                raise RunFailure(
                    f"select: {chosen.metric} is best at epoch {epoch}, for which {name} {'was not reported' if value is None else f'is {value}'}. Report both "
                    "for the same epochs, or leave `select` out."
                )
        kept = {name: value for name, value in found.items() if value is not None and math.isfinite(value)}
        return epoch, {**{name: value for name, value in final.items() if name not in found}, **kept}

    def _in_unit(self, name: str, place: MetricName, value: float) -> float:
        """The value as it is kept: a fraction where it was told in percent."""
        unit = self._unit(name, place)
        kept = float(Decimal(repr(value)).scaleb(-2)) if unit == PERCENT else value
        if _is_fraction(place) and math.isfinite(kept) and kept > 1 + ROUNDING:
            if unit == PERCENT:
                raise RunFailure(f"{name} is a percentage from 0 to 100, and {value:g} was reported.")
            advice = f" {self._declare(name)}" if not unit else ""
            raise RunFailure(f"{name} is a fraction from 0 to 1, and {value:g} was reported.{advice}")
        return kept

    def _unit(self, name: str, place: MetricName) -> str:
        keys = (name, str(place), place.name)
        return next((self._units.get(key, "") for key in keys if key in self.declared), "")

    def _declare(self, name: str) -> str:
        place = self.place(name)
        key = name if name in self.declared or place is None else place.name
        return f"Declare it: metrics: {{{key}: {{unit: percent}}}}; or print the fraction."

    def _final(self, name: str, value: float, epoch: int | None) -> None:
        """The last number is the final one; one that belongs to no epoch is final whatever comes after."""
        held = self._last.get(name)
        if epoch is None or held is None or held[1] is not None:
            self._last[name] = (value, epoch)

    def _of(self, name: str) -> tuple[float | None, int | None]:
        """A declared metric's final number: as it was told, or on the split that is reported."""
        return next((self._last[place] for place in _places(name) if place in self._last), (None, None))

    def _record(self, epoch: int, split: str, name: str, value: float) -> None:
        if name not in self._waiting.get((epoch, split), {}):
            self._records += 1
        if self._records <= MOST_RECORDS:
            self._waiting.setdefault((epoch, split), {})[name] = value

    def _missing(self, name: str) -> str:
        pattern = self.declared[name]
        place = self.place(name)
        if name in self._not_in_file:
            return f"the metric {name} was not reported: {self._not_in_file[name]}"
        if place is not None and place.name in self._not_read:
            return f"the metric {name} was not reported: {self._not_read[place.name]}"
        if str(MetricName("train", name)) in self._last:
            return f"the metric {name} was reported only for the training split: print it for {PLAIN} or val, too, or declare train_{name}"
        if pattern is None:
            return f"the metric {name} was not reported: {self._nothing()}"
        return f"the metric {name} was not reported: no line of the output matched its pattern '{pattern}'"

    def _nothing(self) -> str:
        if self.unknown:
            return f"{', '.join(self.unknown)} were reported, which trainer.metrics does not declare{self._slashes()}"
        return "nothing was reported under that name" if self.declared else "nothing was reported"

    def _slashes(self) -> str:
        slashed = next((name for name in self.unknown if "/" in name), "")
        return f" ({slashed} is declared as {slashed.replace('/', '_')})" if slashed else ""

    def _show(self, epoch: int) -> None:
        epochs = epochs_of(self._run.recipe, self._context.options.get("epochs"))
        if epochs is not None and 0 < epoch <= epochs:
            self._context.on_progress(Progress(self._run.run_id, epoch, epochs, epoch, epochs))


def _places(name: str) -> tuple[str, ...]:
    """Where the number of a metric is: under its name, or on the split that is reported."""
    return (name, *(str(MetricName(split, name)) for split in (PLAIN, "val")))


def _is_fraction(place: MetricName) -> bool:
    ours = METRICS.get(str(place)) or METRICS.get(place.name)
    return ours is not None and ours.unit == "fraction"
