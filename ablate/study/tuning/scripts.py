"""What a tuning file may say of a study whose trainer is a script or a function: which numbers can be tuned, and over which paths."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablate.errors import AblateError, nearest
from ablate.study.assign.foreign_recipe import read_free, unknown_path
from ablate.study.document.problems import Problems
from ablate.study.document.source import Key, read
from ablate.study.recipes.normalise import SELECTORS
from ablate.study.values.metrics import METRICS, MetricName
from ablate.study.values.study import Arm, Study
from ablate.study.values.trials import Dimension

_KEY: Key = ("metric",)


def script_recipe(path: Path) -> Mapping[str, Any] | None:
    """The recipe by path in a study file whose trainer is a script or a function; None for other files."""
    try:
        document = read(path)
    except AblateError:  # reading the study says so
        return None
    if document.data.get("trainer") is None:
        return None
    return read_free(Problems(document, free=True), ("recipe",), document.data.get("recipe"))


def tunable(study: Study) -> dict[str, str]:
    """{metric of the validation set: better}: those that the trainer declares, and ours that its lines may hold."""
    found = {}
    for name in _declared(study):
        place = MetricName.parse(name)
        better = study.metrics.get(name) or METRICS[name].better
        if place.split == "val":
            found[name] = better
        elif place.split is None and _told_by_line(study, name):
            found[str(MetricName("val", name))] = better
    return {**found, **{name: METRICS[name].better for name in SELECTORS if name not in found}}


def tuned_metric(problems: Problems, study: Study, name: str) -> tuple[str, str]:
    """The metric's name and direction; a problem with what to write where it cannot be tuned."""
    known, declared, name = tunable(study), _declared(study), name.replace("/", "_")
    usable = {metric: better for metric, better in known.items() if better != "neither"}
    if name in usable:
        return name, usable[name]
    own = [metric for metric in usable if metric not in SELECTORS or metric in declared]
    offered, allowed = own or list(SELECTORS), f" Allowed: {', '.join(own)}." if own else ""
    place = MetricName.parse(name)
    if not name:
        message = f"is missing: name the number that is tuned, one of {', '.join(offered)}."
    elif name in known:
        message = f"{name} is declared as `better: neither`; tuning needs higher or lower.{allowed}"
    elif place.split == "train":
        message = f"{name} is measured on training data, which says nothing about new ones.{allowed}"
    elif place.split == "val" and place.name in declared:
        message = f"{place.name} is not told by split, so it counts as reported. {_write(study, place.name)}{allowed}"
    elif place.split == "test" or name in declared:
        message = (
            f"{name} counts as measured on the split that is reported, which must not choose settings. "
            f"{_write(study, place.name)}{allowed}"
        )
    else:
        message = f"{name!r} is not a validation metric.{nearest(name, offered)}{allowed}"
    problems.add(_KEY, "unknown-metric", message)
    return offered[0], "higher"


def _write(study: Study, name: str) -> str:
    """What to write so that a number is one of the validation set."""
    val = str(MetricName("val", name))
    if val in _declared(study):
        return f"Tune {val}."
    if _told_by_line(study, name):
        return f'Print it with "split": "val" and tune {val}, or declare {val} in `trainer.metrics`.'
    return f"Declare {val} in `trainer.metrics`, and say where the script tells that of its validation set."


def check_reported(problems: Problems, study: Study) -> None:
    """A script that declares numbers of its validation set alone reports what it was tuned by."""
    declared = _declared(study)
    if declared and all(MetricName.parse(name).split in ("val", "train") for name in declared):
        problems.warn(
            _KEY,
            "selects-on-reported",
            f"the validation set selects and is also reported, so the best figures are optimistic: {study.name} declares no metric of a "
            "test set.",
        )


def check_recipe(problems: Problems, recipe: Mapping[str, Any], known: Sequence[str]) -> None:
    """The tuning's own changes are of paths that the study has (those of its recipe and of its levels)."""
    for path in recipe:
        if wrong := unknown_path(path, known):
            problems.add(("recipe", path), "unknown-field", wrong)


def check_path(problems: Problems, study: Study, arms: Sequence[Arm], dimension: Dimension) -> None:
    """A path is one that every arm sets that is tuned over it (`arms`), and that the trainer can hear of."""
    key: Key = ("space", dimension.path)
    known = list(dict.fromkeys(path for arm in study.arms for path in arm.recipe.paths()))
    inside = [path for path in known if path.startswith(f"{dimension.path}.")]
    without = next((arm.name for arm in arms if dimension.path not in arm.recipe.paths()), None)
    if inside and dimension.path not in known:
        message = f"is a section; name a setting in it: {', '.join(inside)}."
        problems.add(key, "unknown-field", message)
    elif dimension.path not in known:
        message = (
            f"the recipe has no {dimension.path!r}.{nearest(dimension.path, known)} Known: {', '.join(known[:40])}."
        )
        problems.add(key, "unknown-field", message)
    elif without is not None:
        message = (
            f"arm {without} does not set it; give it a value in the study's `recipe`, or leave the arm out with `only`."
        )
        problems.add(key, "missing", message)
    elif not _heard(study.trainer or {}, dimension.path):
        message = f"the command does not use {{{dimension.path}}}: unless the script reads ABLATE_RECIPE, all trials train the same."
        problems.warn(key, "no-effect", message)


def _declared(study: Study) -> Mapping[str, Any]:
    return (study.trainer or {}).get("metrics") or {}


def _told_by_line(study: Study, name: str) -> bool:
    """Whether a line, or a function, may say of which split a number is: one that a pattern or a file finds is as it is named."""
    spec = _declared(study).get(name) or {}
    return not any(spec.get(key) for key in ("pattern", "file"))


def _heard(trainer: Mapping[str, Any], path: str) -> bool:
    """Whether a trainer is told a setting: a function is told all, and a command those that its block names."""
    if "command" not in trainer or "config" in trainer:
        return True
    return path in re.findall(r"\{([^\s{}?]+)", json.dumps(trainer))
