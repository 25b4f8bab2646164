"""Trials of somebody else's trainer: sampled values as they stand in a command, and the runs that they come to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ablate.study.assign.foreign_recipe import Written
from ablate.study.assign.foreign_trainer import Trainer, read_trainer
from ablate.study.code.git import Commits
from ablate.study.designs.arms import FreeText
from ablate.study.document.problems import Problems
from ablate.study.document.source import parse
from ablate.study.recipes.digest import arm_id, canonical_json, run_id
from ablate.study.values.recipe import recipe_of
from ablate.study.values.run import Run
from ablate.study.values.study import Arm
from ablate.study.values.trials import Dimension, Tuning


def settings_of(tuning: Tuning, arm: Arm, params: Mapping[str, Any]) -> dict[str, Written]:
    """Sampled values with the text that fills a command: one of a list as it stands in the tuning file, a number as the shortest decimal
    text that reads back as itself."""
    space = {dimension.path: dimension for dimension in tuning.space_of(arm)}
    return {path: Written(value, _text(space[path], value)) for path, value in params.items()}


def _text(dimension: Dimension, value: object) -> str:
    for known, text in zip(dimension.values, dimension.texts, strict=True):
        if type(known) is type(value) and known == value:
            return text
    return json.dumps(value)


def runs_of(tuning: Tuning, arm: Arm, params: Mapping[str, Any]) -> tuple[Run, ...]:
    """The runs of a trial, one a seed: those that the study would have with these values in the place of its own."""
    study = tuning.study
    text = FreeText(_trainer(study.source, study.file, tuple(study.commits.items())))
    levels: dict[str, Any] = {}
    for factor in study.factors:
        levels |= factor.level(arm.levels[factor.name]).sets
    flat, _ = text.whole(arm.name, study.base, {**levels, **settings_of(tuning, arm, params)})
    recipe, trainer = text.nested(flat), text.trainer(flat)
    whole, beside = text.json(recipe), canonical_json(trainer)
    identity = arm_id(whole, beside)
    return tuple(
        Run(run_id(whole, seed, beside), identity, seed, recipe_of(recipe, trainer), trainer) for seed in tuning.seeds
    )


@lru_cache(maxsize=8)
def _trainer(source: str, file: str, commits: tuple[tuple[str, str], ...]) -> Trainer:
    """The trainer that a study's text declares, its revisions being these commits. The study has been read: there are no mistakes in it."""
    document = parse(source, file)
    found = read_trainer(
        Problems(document, free=True), document.data["trainer"], Commits(Path(file).parent, dict(commits))
    )
    assert found is not None
    return found
