"""What only shows once a tuning file is held against its study: fields without effect, arms with nothing to tune, grids too large."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ablate.study.designs.profiles import fixed_by
from ablate.study.document.problems import Problems
from ablate.study.recipes.contradictions import has_validation
from ablate.study.tuning.scripts import check_path, check_reported
from ablate.study.tuning.trial_epochs import check_epochs
from ablate.study.values.study import Arm, Study
from ablate.study.values.trials import Budget, Dimension, Tuning

MAX_TRIALS = 100_000


def check_study(
    problems: Problems,
    study: Study,
    arms: Sequence[Arm],
    recipe: Mapping[str, Any],
    space: Sequence[Dimension],
    sampler: str,
) -> None:
    """What the file says by itself, against its study."""
    for path in recipe:
        if factor := fixed_by(study.factors, path):
            problems.add(("recipe", path), "no-effect", f"every level of {factor} sets {path}, so this has no effect.")
    sampled = {dimension.path for dimension in space}
    for path in sampled & set(recipe):
        problems.add(("recipe", path), "conflict", f"{path} is also in `space`, which always wins; keep one.")
    for dimension in space:
        _check_dimension(problems, study, arms, dimension, sampler)
    if study.trainer is not None:
        check_reported(problems, study)
        return
    for arm in arms:
        if _select_on(problems, arm):
            return


def _check_dimension(problems: Problems, study: Study, arms: Sequence[Arm], dimension: Dimension, sampler: str) -> None:
    key = ("space", dimension.path)
    tuned = [arm for arm in arms if all(arm.levels[name] in levels for name, levels in dimension.only.items())]
    if not tuned:
        problems.add((*key, "only"), "no-effect", "matches no tuned arm; fix or remove it.")
    if study.trainer is not None:
        check_path(problems, study, tuned, dimension)
    if sampler == "grid" and not dimension.cells:
        problems.add(key, "conflict", "has infinitely many values, so a grid cannot try all; give a step, or `values`.")
    levels = {factor.name: {level.name: level for level in factor.levels} for factor in study.factors}
    losing = {
        f"{name}={level}"
        for arm in tuned
        for name, level in arm.levels.items()
        if dimension.path in levels[name][level].sets and any(
            other.sets.get(dimension.path) != levels[name][level].sets[dimension.path]
            for other in levels[name].values()
        )
    }  # fmt: skip
    if losing and not dimension.only:  # whoever says `only` means those levels
        problems.warn(
            key, "no-effect", f"{', '.join(sorted(losing))} set{'s' if len(losing) == 1 else ''} this field, but the space is applied "
            "after the levels, so their value is never used."
        )  # fmt: skip


def check_arms(problems: Problems, tuning: Tuning, budget: Budget | None) -> None:
    """What only shows on the arms once they are tuned."""
    same: dict[str, list[str]] = {}
    for arm in tuning.arms:
        sampled = {dimension.path for dimension in tuning.space_of(arm)}
        rest = {path: arm.recipe.get(path) for path in arm.recipe.paths() if path not in sampled}
        same.setdefault(repr(rest), []).append(arm.name)
    for names in same.values():
        if len(names) > 1:
            message = f"arms {', '.join(names)} differ only in these fields, so tuning makes them the same."
            problems.warn(("space",), "no-effect", message)
    for arm in tuning.arms:
        space = tuning.space_of(arm)
        if not space and tuning.space:
            message = f"arm {arm.name} has nothing to tune: the `only` of every field leaves it out."
            problems.add(("space",), "no-effect", message)
            continue
        numeric = [dimension for dimension in space if dimension.kind != "values" and dimension.low < dimension.high]
        if tuning.sampler == "cmaes" and len(numeric) < 2:
            message = f"cmaes needs two numeric fields; arm {arm.name} has {len(numeric)}. Use tpe."
            problems.add(("sampler",), "conflict", message)
            return
        if check_epochs(problems, tuning, arm, budget):
            return
        if tuning.sampler == "grid":
            cells = math.prod(len(dimension.cells) for dimension in space)
            if cells > MAX_TRIALS:
                message = f"the grid of arm {arm.name} has {cells:,} cells; at most {MAX_TRIALS:,} are tried."
                problems.add(("space",), "too-many", message)
                return
            if budget and budget.kind == "trials" and budget.amount < cells:
                message = f"arm {arm.name} has {cells:,} cells; only the first {budget.amount:g} are tried."
                problems.warn(("budget", "trials"), "too-many", message)


def _select_on(problems: Problems, arm: Arm) -> bool:
    """Report what is wrong with selecting on this arm's validation set; whether anything is."""
    split, name = arm.recipe.get("data.split"), arm.recipe.get("data.name")
    fix = "give this file a recipe such as {data.split: {train: 0.64, val: 0.16, test: 0.2}}."
    if (isinstance(split, dict) and "val" not in split) or (split == "official" and not has_validation(name)):
        problems.add(("metric",), "missing", f"arm {arm.name} has no validation images to select on; {fix}")
        return True
    if isinstance(split, dict) and "test" not in split:
        message = f"in arm {arm.name} the validation set selects and is also reported, so the best figures are optimistic; {fix}"
        problems.warn(("metric",), "selects-on-reported", message)
        return True
    return False
