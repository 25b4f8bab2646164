"""How long one trial may train: what a pruner and a budget of epochs must know beforehand."""

from __future__ import annotations

from collections.abc import Sequence

from ablate.study.document.problems import Problems
from ablate.study.document.source import Key
from ablate.study.values.recipe import epochs_of, whole
from ablate.study.values.study import Arm, Study
from ablate.study.values.trials import Budget, Dimension, Tuning


def most_epochs(study: Study, arm: Arm, space: Sequence[Dimension]) -> int:
    """The most epochs that one run of a trial can have; 0 where a script does not say (`trainer.epochs`)."""
    said = (study.trainer or {}).get("epochs")
    for dimension in space:
        if dimension.path == (said or "epochs"):
            top = whole(max(dimension.values, default=0) if dimension.kind == "values" else dimension.high)
            return top or 0
    return epochs_of(arm.recipe, said) or 0


def check_epochs(problems: Problems, tuning: Tuning, arm: Arm, budget: Budget | None) -> bool:
    """Report what is wrong with how many epochs a trial of this arm may have; whether anything is."""
    count = most_epochs(tuning.study, arm, tuning.space_of(arm))
    wanted: dict[Key, str] = {}
    if tuning.pruner == "hyperband":
        wanted[("pruner",)] = "hyperband"
    if budget and budget.kind == "epochs":
        wanted[("budget", "epochs")] = "a budget of epochs"
    for key, what in wanted.items() if not count else ():
        message = (
            f"{what} needs to know how many epochs or steps a run has: add `epochs: PATH or NUMBER` to `trainer` in {tuning.study.file}, as "
            f"in epochs: train.steps (arm {arm.name})."
        )
        problems.add(key, "missing", message)
    epochs = count * len(tuning.seeds)
    if count and budget and budget.kind == "epochs" and budget.amount < epochs:
        message = (
            f"one trial of arm {arm.name} may take {epochs} epochs, so a budget of {budget.amount:g} is too small."
        )
        problems.add(("budget", "epochs"), "out-of-range", message)
        return True
    return bool(wanted) and not count
