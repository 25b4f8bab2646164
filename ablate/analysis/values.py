"""From runs to samples: which values an arm has of one metric, and why the others are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ablate.analysis.mixed import data_asked, digest_of, why_mixed
from ablate.study.records import RunResult
from ablate.study.values.metrics import MetricName
from ablate.study.values.run import Run
from ablate.study.values.study import Arm, Study

Reader = Callable[[RunResult], float | None]
"""Takes one number from a done run; None where the run has no such number."""


@dataclass(frozen=True)
class Sample:
    """One arm's values of one metric, in the order of the seeds.

    `key` is the arm's `arm_id`: arms that are the same run share it. `planned` is the number of seeds; `note` says what
    became of the runs without a value, and is empty where none is missing. `doubt` says why nothing is decided from
    these runs though they are done (two of them saw other data), and is empty where there is no such reason. `data` is
    the data that the arm asks for and the digest of what its runs read, where that is told.
    """

    key: str
    name: str
    values: tuple[float, ...]
    planned: int
    run_ids: tuple[str, ...] = ()
    note: str = ""
    doubt: str = ""
    data: tuple[str, str] | None = None

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def complete(self) -> bool:
        return self.n == self.planned

    @property
    def sound(self) -> bool:
        """All planned runs are there, and nothing is known against them: only such samples are judged by."""
        return self.complete and not self.doubt

    @property
    def varies(self) -> bool:
        """Two values at least, not all bit-equal."""
        return self.n > 1 and min(self.values) != max(self.values)


@dataclass(frozen=True)
class Replicate:
    """One arm with one seed; `run` is None where the study plans no such run, `result` where nothing is known of it."""

    seed: int
    run: Run | None
    result: RunResult | None
    parent_failed: bool = False

    @property
    def finished(self) -> RunResult | None:
        """The result where the run is done."""
        return self.result if self.result is not None and self.result.state == "done" else None


class Replicates:
    """The runs of a study by arm: one `Replicate` a seed, in the order of `study.seeds`."""

    def __init__(self, study: Study, results: Mapping[str, RunResult]) -> None:
        self.seeds = study.seeds
        self._results = results
        self._runs = {(run.arm_id, run.seed): run for run in study.runs}
        self._known: dict[str, tuple[Replicate, ...]] = {}
        self._doubts: dict[str, str] = {}
        self._data: dict[str, tuple[str, str] | None] = {}

    def of(self, arm: Arm) -> tuple[Replicate, ...]:
        if arm.arm_id not in self._known:
            self._known[arm.arm_id] = tuple(self._replicate(arm, seed) for seed in self.seeds)
        return self._known[arm.arm_id]

    def finished(self, arm: Arm) -> list[tuple[int, RunResult]]:
        """The results of the arm's finished runs, each with its seed."""
        return [(one.seed, result) for one in self.of(arm) if (result := one.finished) is not None]

    def done(self, arm: Arm) -> tuple[RunResult, ...]:
        """The results of the arm's finished runs."""
        return tuple(result for _, result in self.finished(arm))

    def doubt(self, arm: Arm) -> str:
        """Why nothing is decided from the arm's finished runs: they are mixed. Empty where there is no reason."""
        if arm.arm_id not in self._doubts:
            why = why_mixed(self.finished(arm))
            self._doubts[arm.arm_id] = f"mixed: {why}" if why else ""
        return self._doubts[arm.arm_id]

    def data(self, arm: Arm) -> tuple[str, str] | None:
        """The data that the arm asks for, and the digest that its first finished run read; None where none is told."""
        if arm.arm_id not in self._data:
            digest = next((found for result in self.done(arm) if (found := digest_of(result))), None)
            self._data[arm.arm_id] = None if digest is None else (data_asked(arm.recipe), digest)
        return self._data[arm.arm_id]

    def sample(self, arm: Arm, reader: Reader, what: str) -> Sample:
        """The arm's values under `reader`; `what` names the number where a finished run lacks it."""
        replicates = self.of(arm)
        values: list[float] = []
        run_ids: list[str] = []
        reasons: Counter[str] = Counter()
        for replicate in replicates:
            result = replicate.finished
            value = None if result is None else reader(result)
            if value is not None and replicate.run is not None:
                values.append(value)
                run_ids.append(replicate.run.run_id)
            else:
                reasons[_why_missing(replicate) if result is None else f"no {what}"] += 1
        note = _note(len(values), len(replicates), reasons)
        return Sample(
            key=arm.arm_id,
            name=arm.name,
            values=tuple(values),
            planned=len(replicates),
            run_ids=tuple(run_ids),
            note=note,
            doubt=self.doubt(arm),
            data=self.data(arm),
        )

    def _replicate(self, arm: Arm, seed: int) -> Replicate:
        run = self._runs.get((arm.arm_id, seed))
        if run is None:
            return Replicate(seed, None, None)
        parent = self._results.get(run.parent) if run.parent else None
        return Replicate(seed, run, self._results.get(run.run_id), parent is not None and parent.state == "failed")


def diverged(result: RunResult) -> bool:
    """A failed run whose loss was not finite, told by its error's first words."""
    text = (result.error or (result.attempts[-1].error if result.attempts else None) or "").casefold()
    return result.state == "failed" and ("diverged" in text or "not finite" in text)


def _why_missing(replicate: Replicate) -> str:
    result = replicate.result
    if result is None or result.state in ("queued", "blocked"):
        if result is not None and result.error:
            return f"not run: {result.error.splitlines()[0]}"
        return "not run: its parent failed" if replicate.parent_failed else "not run"
    if diverged(result):
        return "diverged"
    return result.state


def _note(found: int, planned: int, reasons: Counter[str]) -> str:
    if not reasons:
        return ""
    if found == 0 and len(reasons) == 1:
        return next(iter(reasons))
    return f"{found} of {planned} runs (" + ", ".join(f"{count} {why}" for why, count in reasons.items()) + ")"


def final(metric: str) -> Reader:
    """Reads a final number by name; costs that the store keeps beside the metrics are found there.

    `test_top1` is `top1` where the reported split is test, and the same for val.
    """
    name = MetricName.parse(metric)

    def read(result: RunResult) -> float | None:
        for text in (metric, name.inside(result.reported_split)):
            if text in result.metrics:
                return result.metrics[text]
        if metric == "seconds":
            return result.seconds
        if metric == "selected_epoch":
            return None if result.selected_epoch is None else float(result.selected_epoch)
        if metric == "epochs_trained":
            return float(max(result.epochs)) if result.epochs else None
        return None

    return read


def at_epoch(metric: str, epoch: int) -> Reader:
    """Reads a number of one epoch; None where the run ended before it."""
    read = at_epochs(metric)
    return lambda result: read(result, epoch)


def at_epochs(metric: str) -> Callable[[RunResult, int], float | None]:
    """Reads a number of the epoch that it is asked for."""
    name = MetricName.parse(metric)

    def read(result: RunResult, epoch: int) -> float | None:
        record = result.epochs.get(epoch, {})
        return record[metric] if metric in record else record.get(name.inside(result.reported_split))

    return read


def counted_by(result: RunResult, metric: str) -> str:
    """What a run's numbers of a metric were placed by: `epoch`, `step`, or `match` where the output named neither."""
    told = result.details.get("counted_by")
    if not isinstance(told, Mapping):
        return "epoch"
    split = result.reported_split
    names = [metric, str(MetricName(split, metric)), MetricName.parse(metric).inside(split)]
    return str(next((told[name] for name in names if name in told), "epoch"))


def epochs_with(result: RunResult, metric: str) -> set[int]:
    """The epochs or steps at which a run has a metric."""
    read = at_epochs(metric)
    return {epoch for epoch in result.epochs if read(result, epoch) is not None}


def share_rows(result: RunResult, one: str, other: str) -> bool:
    """Whether two metrics of a run have epochs of one kind. Matches that were counted have, where there are as many of both."""
    ways = {counted_by(result, one), counted_by(result, other)}
    if "match" not in ways:
        return len(ways) == 1
    mine, theirs = epochs_with(result, one), epochs_with(result, other)
    return mine == theirs or not (mine and theirs)
