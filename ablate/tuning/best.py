"""Each arm at its best, as a study file that loads."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablate.errors import NotFound
from ablate.study.document.source import flow_scalar
from ablate.study.loader import Choices, load
from ablate.study.recipes.recipe import fields, weights_paths
from ablate.study.values.resources import memory_text
from ablate.study.values.study import Arm, Study
from ablate.study.values.trials import Tuning, TuningResult
from ablate.tuning.best_script import settings_lines, trainer_lines
from ablate.tuning.recipes import settings_of

HEAD = ("factors:", "  arm:", "    together: true", "    levels:")


def best_study(tuning: Tuning, result: TuningResult, folder: Path) -> str:
    """The text of a study file in `folder`: one factor, a level for each arm, each with the values of its best trial.

    Its recipe is the tuning's, so what selected stays apart from what is reported; its seeds are the study's own.
    Raises NotFound where no trial is complete.
    """
    study = tuning.study
    arms = {arm.name: arm for arm in tuning.arms}
    found = [(arms[tuned.arm], tuned.best.params) for tuned in result.arms if tuned.best is not None]
    if not found:
        raise NotFound("no trial is complete yet, so there is no best recipe. Run `ablate tune run` first.")
    names = _names([arm for arm, _ in found])
    levels = {names[arm.name]: {**_sets(tuning, arm), **settings_of(tuning, arm, params)} for arm, params in found}
    baseline = next((arm for arm, _ in found if study.baseline.items() <= arm.levels.items()), found[0][0])
    seeds = load(study.file, Choices(study.profile)).seeds
    lines = [
        f"# Arms of {study.name} at their best of {result.budget} each ({result.sampler}, by {result.metric}).",
        f"study: {study.name}-tuned" if len(study.name) < 74 else f"study: {study.name[:74]}-tuned",
        f"about: {json.dumps(study.about, ensure_ascii=False)}",
        *(_own(study, levels, folder) if study.trainer is None else _script(study, levels)),
        *_resources(study),
        f"seeds: {_flow(list(seeds))}",
        f"baseline: {{arm: {flow_scalar(names[baseline.name])}}}",
    ]
    return "\n".join(lines) + "\n"


def _resources(study: Study) -> list[str]:
    """What one run takes, where the study says so."""
    amounts: dict[str, object] = dict(study.resources.json)
    if study.resources.memory is not None:
        amounts["memory"] = memory_text(study.resources.memory)
    return [f"resources: {_flow(amounts)}"] if amounts else []


Levels = Mapping[str, Mapping[str, Any]]


def _own(study: Study, levels: Levels, folder: Path) -> list[str]:
    """The recipe that differs from the defaults, and a level a line."""
    defaults = {path: field.default for path, field in fields().items()}
    base = {path: value for path, value in study.base.items() if value != defaults[path]}
    base = {
        path: _moved(value, Path(study.file).parent, folder) if path in weights_paths() else value
        for path, value in base.items()
    }
    recipe = ["recipe:", *(f"  {path}: {_flow(value)}" for path, value in base.items())] if base else []
    arms = (f"      {flow_scalar(name)}: {_flow(settings)}" for name, settings in levels.items())
    return [*recipe, *HEAD, *arms]


def _script(study: Study, levels: Levels) -> list[str]:
    """The trainer, the whole recipe, and the levels setting by setting: each text stays as it fills the command."""
    arms = (
        line
        for name, settings in levels.items()
        for line in (f"      {flow_scalar(name)}:", *settings_lines(settings, "        "))
    )
    return [*trainer_lines(study), "recipe:", *settings_lines(study.base, "  "), *HEAD, *arms]


def _sets(tuning: Tuning, arm: Arm) -> dict[str, Any]:
    """What the arm's levels set."""
    settings: dict[str, Any] = {}
    for factor in tuning.study.factors:
        settings |= factor.level(arm.levels[factor.name]).sets
    return settings


def _names(arms: list[Arm]) -> dict[str, str]:
    """A level's name for each arm: a name holds no slash, and every name is there once."""
    found: dict[str, str] = {}
    for arm in arms:
        name = arm.name.replace("/", ".")
        while name in found.values():
            name += "'"
        found[arm.name] = name
    return found


def _moved(init: object, origin: Path, folder: Path) -> Any:
    """First weights that are named by a file beside the study, as they are called from another folder."""
    if not isinstance(init, Mapping):
        return init
    return {
        key: os.path.relpath((origin / str(value)).resolve(), folder.resolve()) if key in ("study", "file") else value
        for key, value in init.items()
    }


def _flow(value: object) -> str:
    """One line of YAML: JSON, with the keys that need no quotes without them."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow_scalar(str(key))}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)
