"""A copy of the trials as an `optuna.Study`, for `optuna-dashboard` and other tools of Optuna. Only this module writes it."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Sequence
from pathlib import Path

import optuna
import sqlalchemy as sa
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, RDBStorage

from ablate.errors import NoSpaceOrPermission, UsageError
from ablate.study.values.trials import Dimension, Trial, TuningResult
from ablate.tuning.asker import STATES
from ablate.tuning.samplers import distribution


def optuna_study(
    name: str, trials: Sequence[Trial], space: Sequence[Dimension], better: str, storage: BaseStorage | None = None
) -> optuna.Study:
    """An `optuna.Study` with the trials that have ended; in memory unless `storage` is given."""
    study = optuna.create_study(
        study_name=name, storage=storage, direction="maximize" if better == "higher" else "minimize"
    )
    known = {dimension.path: distribution(dimension) for dimension in space}
    study.add_trials(
        optuna.trial.create_trial(
            state=STATES[trial.state],
            value=trial.value,
            params=dict(trial.params),
            distributions=known,
            intermediate_values=dict(trial.curve),
            user_attrs={"run_ids": list(trial.run_ids), "number": trial.number},
        )
        for trial in trials
        if trial.state in STATES
    )
    return study


def export(result: TuningResult, path: Path) -> tuple[str, ...]:
    """Write the trials into a new SQLite file that `optuna-dashboard` opens; the names of its studies, one an arm.

    Raises UsageError where the file is there already, NoSpaceOrPermission.
    """
    if path.exists():
        raise UsageError(f"{path} already exists; name another file for --storage.", code="exists")
    names = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            storage = RDBStorage("sqlite://", {"creator": lambda: sqlite3.connect(path), "poolclass": sa.NullPool})
            for arm in result.arms:
                names.append(f"{result.study}{f' ({result.profile})' if result.profile else ''}: {arm.arm}")
                optuna_study(names[-1], arm.trials, arm.space, result.better, storage)
    except OSError as error:
        raise NoSpaceOrPermission(f"cannot write {path}: {error.strerror}. Name another file for --storage.") from error
    return tuple(names)
