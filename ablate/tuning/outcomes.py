"""From the runs of a trial to the trial: its value, its curve, its cost, and how it ended."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ablate.store.values import RunState
from ablate.study.records import EpochRecord, RunResult
from ablate.study.values.metrics import MetricName
from ablate.tuning.budget import Cost

DEAD = ("failed", "lost", "cancelled")


@dataclass(frozen=True)
class End:
    """How a trial ended: `complete`, `pruned` or `failed`; `error` says why it failed."""

    state: str
    value: float | None = None
    error: str | None = None


def measured(records: Sequence[EpochRecord], metric: str) -> dict[int, float]:
    """A metric named with its split's prefix at each epoch where these records have it: a script may tell of several at once."""
    return {
        record.epoch: float(value)
        for record in records
        for name, value in record.metrics.items()
        if metric in (str(MetricName(record.split, name)), name)
    }


def curve_of(results: Mapping[str, RunResult], run_ids: Sequence[str], metric: str) -> dict[int, float]:
    """The mean of the metric at each epoch that all of the runs have."""
    curves = [run_curve(results.get(run_id), metric) for run_id in run_ids]
    return mean_curve(curves)


def run_curve(result: RunResult | None, metric: str) -> dict[int, float]:
    if result is None:
        return {}
    return {epoch: float(names[metric]) for epoch, names in sorted(result.epochs.items()) if metric in names}


def mean_curve(curves: Sequence[Mapping[int, float]]) -> dict[int, float]:
    if not curves:
        return {}
    common = sorted(set(curves[0]).intersection(*curves[1:]))
    return {epoch: sum(curve[epoch] for curve in curves) / len(curves) for epoch in common}


def cost_of(results: Mapping[str, RunResult], run_ids: Sequence[str], whole: int = 0) -> Cost:
    """What a trial costs: the epochs that are recorded, and the wall time of all attempts that have ended.

    A script that counts its epochs from 0 has one more than its last: counted up to the `whole` of them, where that is known.
    """
    found = [results[run_id] for run_id in run_ids if run_id in results]
    attempts = [attempt for result in found for attempt in result.attempts if attempt.ended is not None]
    seconds = sum(attempt.ended - attempt.started for attempt in attempts if attempt.ended is not None)
    last = sum(max(result.epochs, default=0) for result in found)
    return Cost(max(last, min(last + sum(0 in result.epochs for result in found), whole)), seconds)


def end_of(
    run_ids: Sequence[str], states: Mapping[str, RunState], results: Mapping[str, RunResult], metric: str
) -> End | None:
    """How a trial ended, None while one of its runs has not. A run that was pruned decides, then one that failed."""
    known = [states.get(run_id) for run_id in run_ids]
    if any(state is None or state.state in ("queued", "running") for state in known):
        return None
    by_state = {state.state: state for state in known if state is not None}
    dead = next((by_state[name] for name in DEAD if name in by_state), None)
    if dead is not None:
        return End("failed", error=(dead.error or f"its run was {dead.state}").strip().splitlines()[-1])
    if "pruned" in by_state:
        curve = curve_of(results, run_ids, metric)
        return End("pruned", curve[max(curve)] if curve else None, by_state["pruned"].error)
    values = [results[run_id].metrics.get(metric) for run_id in run_ids]
    if any(value is None or not math.isfinite(value) for value in values):
        return End("failed", error=f"{metric} was not measured, or is not a number")
    return End("complete", sum(value for value in values if value is not None) / len(values))
