"""The results of a study as a pandas frame, for questions that no table answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ablate.analysis.values import Replicate, Replicates
from ablate.errors import UsageError
from ablate.study.records import RunResult
from ablate.study.values.study import Arm, Study

if TYPE_CHECKING:
    import pandas as pd

_OURS = ("study", "profile", "set", "arm", "aliases", "seed", "state", "seconds", "device", "run_id", "epoch")


def frame(study: Study, results: Mapping[str, RunResult], *, by: Literal["run", "epoch"] = "run") -> pd.DataFrame:
    """One row a run of the study, or one row a run and epoch.

    Columns: study, profile, set (the variant: what `--set` changed, joined by `, `), arm, aliases (other arms that are the same run, joined by `, `), one column a factor with
    the level's name (`factor.NAME` where the name is taken), seed, state, then `epoch` if by epoch, the metrics (final
    ones, or the epoch's), seconds, device, run_id. Absent numbers are NaN. Runs that are not done are there, without
    metrics; by epoch, a run has the rows that it got to. Raises UsageError for another `by`.
    """
    import pandas as pd

    if by not in ("run", "epoch"):
        raise UsageError(f"by={by!r}: must be 'run' or 'epoch'")
    runs = Replicates(study, results)
    rows: list[dict[str, Any]] = []
    arms: dict[str, list[Arm]] = {}
    for arm in study.arms:
        arms.setdefault(arm.arm_id, []).append(arm)
    for same in arms.values():
        for replicate in runs.of(same[0]):
            if replicate.run is not None:
                rows += _rows(study, same, replicate, by)
    first = ["study", "profile", "set", "arm", "aliases", *_factor_columns(study).values(), "seed", "state"]
    first += ["epoch"] if by == "epoch" else []
    last = ["seconds", "device", "run_id"]
    metrics = sorted({name for row in rows for name in row} - {*first, *last})
    return pd.DataFrame(rows, columns=[*first, *metrics, *last])


def _factor_columns(study: Study) -> dict[str, str]:
    return {f.name: f"factor.{f.name}" if f.name in _OURS else f.name for f in study.factors}


def _rows(study: Study, arms: list[Arm], replicate: Replicate, by: str) -> list[dict[str, Any]]:
    result = replicate.result
    assert replicate.run is not None
    columns = _factor_columns(study)
    same = {
        "study": study.name,
        "profile": study.profile,
        "set": ", ".join(study.sets),
        "arm": arms[0].name,
        "aliases": ", ".join(arm.name for arm in arms[1:]),
        **{columns[factor]: level for factor, level in arms[0].levels.items()},
        "seed": replicate.seed,
        "state": "not run" if result is None else result.state,
    }
    last = {
        "seconds": None if result is None else result.seconds,
        "device": None if result is None else result.device,
        "run_id": replicate.run.run_id,
    }
    taken = {*same, *last}
    if by == "run":
        return [{**_free(result.metrics if result else {}, taken), **same, **last}]
    epochs = result.epochs if result else {}
    return [{**_free(epochs[epoch], {*taken, "epoch"}), **same, "epoch": epoch, **last} for epoch in sorted(epochs)]


def _free(metrics: Mapping[str, float], taken: set[str]) -> dict[str, float]:
    """The metrics, renamed where a factor or a column of ours has their name."""
    return {f"metric.{name}" if name in taken else name: value for name, value in metrics.items()}
