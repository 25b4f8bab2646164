"""What cannot be meant in a whole recipe, though each of its values can be by itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from ablate.parts.declare import DataSet, Network
from ablate.parts.found import parts
from ablate.parts.weights import WEIGHTS, names_run
from ablate.study.recipes.first_weights import TORCHVISION
from ablate.study.recipes.normalise import refinements_on, switches, title
from ablate.study.recipes.readers import OFFICIAL
from ablate.study.recipes.recipe import weights_paths


def contradictions(flat: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What cannot be meant in a whole recipe: (path, message) for each."""
    found: list[tuple[str, str]] = []
    if flat["optimizer.name"] == "sgd" and flat["optimizer.nesterov"] and flat["optimizer.momentum"] == 0:
        found.append(("optimizer.nesterov", "Nesterov momentum needs optimizer.momentum above 0."))
    data_set = parts(DataSet).get(flat["data.name"])
    if data_set is not None and data_set.needs_path and not flat["data.path"]:
        found.append(("data.name", f"data.name {flat['data.name']} needs data.path, relative to ABLATE_DATA."))
    place = PurePath(flat["data.path"] or "")
    if place.is_absolute() or ".." in place.parts:
        message = "data.path must be a relative path within ABLATE_DATA, without '..'. Set ABLATE_DATA, or link the data into it."
        found.append(("data.path", message))
    warmup, epochs = flat["schedule.warmup_epochs"], flat["epochs"]
    if warmup >= epochs:
        message = f"a warm-up of {warmup:g} epochs leaves nothing of the {epochs}; schedule.warmup_epochs must be below epochs."
        found.append(("schedule.warmup_epochs", message))
    found += [("data.split", _split_trouble(flat)), ("model.init", _weights_trouble(flat))]
    found += _two_parents(flat)
    found += _excluded(flat)
    return [(path, message) for path, message in found if message]


def _split_trouble(flat: Mapping[str, Any]) -> str:
    name, split = flat["data.name"], flat["data.split"]
    data_set = parts(DataSet).get(name)
    if data_set is not None and data_set.official == () and OFFICIAL in (split, dict_get(split, "test")):
        return f"{name} has no official split; give fractions, as in data.split: {{train: 0.8, val: 0.2}}."
    if split is None:
        return (
            f"data.name {name} needs data.split: official (folders train/ and val/ or test/), "
            "or fractions such as {train: 0.8, val: 0.2}."
        )
    if not selects(flat):
        return ""
    chooser = "select" if flat["select"] != "last" else "early_stopping"
    if isinstance(split, Mapping) and "val" not in split:
        return f"{chooser} needs validation images, but data.split has none; write, for example, data.split: {{train: 0.64, val: 0.16, test: 0.2}}."
    if split == OFFICIAL and not has_validation(name):
        return f"{chooser} needs validation images, but the official split of {name} has none; write, for example, data.split: {{val: 0.1, test: official}}."
    return ""


def _weights_trouble(flat: Mapping[str, Any]) -> str:
    init, arch = flat["model.init"], flat["model.arch"]
    if (
        isinstance(init, str)
        and init in WEIGHTS
        and arch in parts(Network)
        and (arch, WEIGHTS[init]) not in TORCHVISION
    ):
        return f"torchvision has no {init} weights for {arch}; use another arch, scratch, a file of weights, or a run."
    return ""


def _two_parents(flat: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A run waits for one parent."""
    first, *others = [path for path in weights_paths() if names_run(flat[path])] or [""]
    return [
        (
            path,
            f"{first} and {path} both name a run, but a run has one parent; give one of them as a file of weights.",
        )
        for path in others
    ]


def _excluded(flat: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Refinements that cannot go together, or not with some value."""
    if not any(part.excludes for part, _ in switches()):
        return []
    on = refinements_on(flat)
    names = {part.name: title(part) for part in on}
    return [
        (next(iter(part.fields)), f"{title(part)} cannot go with {names.get(other, other)}: {instead}")
        for part in on
        for other, instead in part.excludes.items()
        if other in names or _has(flat, other)
    ]


def _has(flat: Mapping[str, Any], written: str) -> bool:
    """Whether a recipe has a value, written as `path: value`."""
    path, _, value = written.partition(": ")
    return path in flat and str(flat[path]) == value


def has_validation(name: str) -> bool:
    """Whether the official split of a data set may have validation images; of a user's own that shows when it is read."""
    data_set = parts(DataSet).get(name)
    return data_set is None or data_set.official is None or "val" in data_set.official


def selects(flat: Mapping[str, Any]) -> bool:
    """Whether a validation metric chooses the epoch, or ends the run."""
    return flat["select"] != "last" or flat["early_stopping.patience"] is not None


def dict_get(value: object, key: str) -> Any:
    """`value[key]` where value is a mapping that has it, else None."""
    return value.get(key) if isinstance(value, Mapping) else None
