"""From an arm and sampled values to runs: the same identity as any run of a study has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from ablate.study.assign.assign import apply
from ablate.study.recipes.contradictions import contradictions
from ablate.study.recipes.digest import arm_id, canonical_json, run_id
from ablate.study.recipes.normalise import normalise
from ablate.study.recipes.recipe import fields, replaced, weights_paths, written
from ablate.study.values.recipe import recipe_of
from ablate.study.values.run import Run
from ablate.study.values.study import Arm, Study
from ablate.study.values.trials import Tuning
from ablate.tuning import scripts


class CannotTrain(ValueError):
    """Sampled values that contradict the rest of the recipe."""


def tuning_key(tuning: Tuning, arm: Arm) -> str:
    """64 hex digits for what is tuned and how: a larger budget goes on with the same trials, anything else starts anew."""
    space = [
        [d.path, d.kind, d.low, d.high, d.log, d.step, list(d.values), *([list(d.texts)] if d.texts else [])]
        for d in tuning.space_of(arm)
    ]
    what = {
        "study": tuning.study.name, "profile": tuning.study.profile, "arm": arm.name, "recipe": arm.arm_id, "space": space,
        "metric": tuning.metric, "sampler": [tuning.sampler, tuning.sampler_seed], "pruner": tuning.pruner,
        "seeds": list(tuning.seeds),
    }  # fmt: skip
    return hashlib.sha256(canonical_json(what).encode()).hexdigest()


def settings_of(tuning: Tuning, arm: Arm, params: Mapping[str, Any]) -> dict[str, Any]:
    """Sampled values as the fields' own types, or with the text that fills a command."""
    if tuning.study.trainer is not None:
        return {**scripts.settings_of(tuning, arm, params)}
    known = fields()
    return {path: known[path].parse(value) if path in known else value for path, value in params.items()}


def runs_of(tuning: Tuning, arm: Arm, params: Mapping[str, Any]) -> tuple[Run, ...]:
    """The runs of a trial, one a seed. Raises CannotTrain."""
    study = tuning.study
    if study.trainer is not None:
        return scripts.runs_of(tuning, arm, params)
    levels = [factor.level(arm.levels[factor.name]).sets for factor in study.factors]
    flat: Mapping[str, Any] = study.base
    for settings in (*levels, settings_of(tuning, arm, params)):
        flat = apply(flat, settings)
    flat, _ = normalise(flat)
    trouble = contradictions(flat)
    if trouble:
        raise CannotTrain("; ".join(message for _, message in trouble))
    untuned = {run.seed: run for run in study.runs if run.arm_id == arm.arm_id}
    plain = written({**flat, **{path: arm.recipe.get(path) for path in weights_paths()}})
    identity = arm_id(canonical_json(plain))
    runs = []
    for seed in tuning.seeds:
        start = untuned[seed]  # whose first weights, a parent's with this seed perhaps, are ours too
        recipe = plain
        for path in weights_paths():
            if (weights := start.recipe.get(path)) is not None:
                recipe = replaced(recipe, path, weights)
        runs.append(Run(run_id(canonical_json(recipe), seed), identity, seed, recipe_of(recipe), None, start.parent))
    return tuple(runs)


def parents_of(study: Study, runs: Iterable[Run]) -> tuple[Run, ...]:
    """The runs that these start from, parents before their children."""
    known = {run.run_id: run for run in (*study.parents, *study.runs)}
    needed: dict[str, Run] = {}
    for run in runs:
        chain = []
        parent = run.parent
        while parent is not None and parent in known and parent not in needed:
            chain.append(known[parent])
            parent = known[parent].parent
        needed.update((link.run_id, link) for link in reversed(chain))
    return tuple(needed.values())
