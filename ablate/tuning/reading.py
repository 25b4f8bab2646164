"""What a tuning has come to, read from the store as frozen values. It only looks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ablate.store.store import Store
from ablate.study.code.provenance import codes_in
from ablate.study.code.scripts import globs_of
from ablate.study.values.study import Arm, Study
from ablate.study.values.trials import Dimension, Trial, TunedArm, Tuning, TuningResult
from ablate.tuning.budget import Cost
from ablate.tuning.outcomes import cost_of, curve_of
from ablate.tuning.recipes import tuning_key

ENOUGH = 10
"""Below so many complete trials nothing is said of importance."""


def read_result(tuning: Tuning, store: Store | None, *, importance: bool = True) -> TuningResult:
    """Every arm with its trials; without a store, as before the first of them."""
    study = tuning.study
    arms = tuple(_arm(tuning, arm, store, importance) for arm in tuning.arms)
    return TuningResult(
        study=study.name,
        profile=study.profile,
        metric=tuning.metric,
        better=tuning.better,
        sampler=tuning.sampler,
        pruner=tuning.pruner,
        budget=str(tuning.budget),
        source=tuning.source,
        arms=arms,
        about=study.about,
        warnings=(*map(str, tuning.warnings), *_stale(study, arms, store)),
        sets=study.sets,
    )


def _stale(study: Study, arms: Sequence[TunedArm], store: Store | None) -> tuple[str, ...]:
    """What to say where a script was edited since trials were trained: their values are those of the earlier one."""
    if study.trainer is None or store is None:
        return ()
    found = store.results([i for arm in arms for trial in arm.trials for i in trial.run_ids], epochs=False)
    codes = codes_in(Path(study.file).parent, [result.run for result in found.values()], globs_of(study.trainer))
    states = store.states(list(found), code=codes)
    stale = [state for state in states.values() if state.state == "done" and state.stale]
    if not stale:
        return ()
    files = ", ".join(dict.fromkeys(state.why_stale for state in stale if state.why_stale))
    return (
        f"{len(stale)} of {len(found)} runs are stale ({files}): their values are those of other code. To tune the script as it is now, raise "
        "trainer.version.",
    )


def best_of(trials: Sequence[Trial], better: str) -> Trial | None:
    """The complete trial with the best value, the first of equal ones."""
    sign = 1.0 if better == "higher" else -1.0
    complete = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    return max(complete, key=lambda trial: sign * (trial.value or 0.0), default=None)


def _arm(tuning: Tuning, arm: Arm, store: Store | None, importance: bool) -> TunedArm:
    key = tuning_key(tuning, arm)
    stored = store.trials([key]).get(key, ()) if store is not None else ()
    results = store.results([run_id for trial in stored for run_id in trial.run_ids]) if store is not None else {}
    space = tuning.space_of(arm)
    order = [dimension.path for dimension in space]
    trials = []
    for trial in stored:
        running = trial.state == "running"
        cost = cost_of(results, trial.run_ids) if running else Cost(trial.epochs, trial.seconds)
        curve = curve_of(results, trial.run_ids, tuning.metric)
        last = cost.epochs // max(1, len(trial.run_ids))  # where it was pruned: its run may have gone on for others
        if trial.state == "pruned":
            curve = {epoch: value for epoch, value in curve.items() if epoch <= last}
        trials.append(
            Trial(
                number=trial.number,
                params={path: trial.params[path] for path in order},
                state=trial.state,
                value=trial.value,
                epochs=cost.epochs,
                run_ids=trial.run_ids,
                seconds=cost.seconds,
                curve=curve,
                error=trial.error,
            )
        )
    shares = _importance(trials, space, tuning.better) if importance else {}
    return TunedArm(arm.name, tuple(trials), best_of(trials, tuning.better), space, shares)


def _importance(trials: Sequence[Trial], space: Sequence[Dimension], better: str) -> dict[str, float]:
    """The share of each field in how far the values spread (fANOVA). Empty for one field, few trials, or equal values."""
    complete = [trial for trial in trials if trial.state == "complete"]
    if len(space) < 2 or len(complete) < ENOUGH or len({trial.value for trial in complete}) < 2:
        return {}
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    from ablate.tuning.export import optuna_study

    study = optuna_study("importance", complete, space, better)
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {path: float(share) for path, share in shares.items()}
