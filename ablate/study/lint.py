"""Lint: what a study is allowed to do but probably should not. Warnings, never errors."""

from __future__ import annotations

from collections.abc import Iterable

from ablate.study.normalise import dict_get
from ablate.study.problems import Problems
from ablate.study.source import Key
from ablate.study.study import Level, Study

MIN_SEEDS = 3


def lint(problems: Problems, study: Study) -> None:
    """Add a warning for each questionable choice in a study that has been read without mistakes."""
    _confounded(problems, study)
    _single_levels(problems, study)
    _few_seeds(problems, study)
    _selection(problems, study)
    _merged(problems, study)
    _budgets(problems, study)


def _confounded(problems: Problems, study: Study) -> None:
    for factor in study.factors:
        single: Iterable[Level] = [level for level in factor.levels if not factor.members or len(level.members) == 1]
        for level in single:
            if len(level.sets) > 1:
                key: Key = ("factors", factor.name, "subsets" if factor.members else "levels", level.name)
                problems.warn(
                    key,
                    f"{level.name} sets {len(level.sets)} fields at once ({', '.join(level.sets)}): its effect cannot be told apart.",
                )


def _single_levels(problems: Problems, study: Study) -> None:
    for factor in study.factors:
        if len(factor.levels) == 1:
            problems.warn(("factors", factor.name), "has one level, so it varies nothing; put it into the recipe.")


def _few_seeds(problems: Problems, study: Study) -> None:
    if len(study.seeds) >= MIN_SEEDS:
        return
    for name, table in study.tables.items():
        if any(claim.kind != "prose" for claim in table.claims):
            problems.warn(
                ("tables", name, "claims"),
                f"claims need at least {MIN_SEEDS} seeds to be decided; the study has {len(study.seeds)}.",
            )


def _selection(problems: Problems, study: Study) -> None:
    """What selects must not be what is reported: with no test set, the validation set is both."""
    told = set()
    for arm in study.arms:
        selects = arm.recipe["select"] != "last" or arm.recipe["early_stopping"]["patience"] is not None
        split = arm.recipe["data"]["split"]
        if selects and split != "official" and dict_get(split, "test") is None and "selection" not in told:
            told.add("selection")
            problems.warn(
                ("recipe",),
                f"in arm {arm.name} the validation set both selects and is reported, so its figures flatter; "
                "add a test set, as in data.split: {train: 0.6, val: 0.2, test: 0.2}.",
            )


def _merged(problems: Problems, study: Study) -> None:
    merged = [arm for arm in study.arms if arm.merged_into]
    for why in dict.fromkeys(arm.why for arm in merged):
        same = [arm for arm in merged if arm.why == why]
        shown = ", ".join(f"{arm.name} = {arm.merged_into}" for arm in same[:3]) + (", ..." if len(same) > 3 else "")
        problems.warn(("factors",), f"{len(same)} arms are the same run as another ({shown}): {why}.")


def _budgets(problems: Problems, study: Study) -> None:
    epochs = {arm.recipe["epochs"] for arm in study.arms}
    if len(epochs) > 1:
        shown = ", ".join(map(str, sorted(epochs)[:6]))
        problems.warn(("recipe",), f"arms have unequal budgets of epochs ({shown}); a difference may be the budget's.")
