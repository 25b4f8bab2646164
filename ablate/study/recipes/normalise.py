"""Settings without effect are taken out before hashing, so that two arms that train the same thing are one run.

Everything here is knowledge of what the built-in trainer ignores. Each rule gives its reason, which the plan prints.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePath
from typing import Any

from ablate.errors import nearest
from ablate.parts.declare import DataSet, Network, Part, Refinement, Schedule
from ablate.parts.found import fields_of, on_change, parts
from ablate.parts.packages import FROM_PACKAGE, package_of
from ablate.parts.weights import WEIGHTS, names_run
from ablate.study.recipes.first_weights import TORCHVISION
from ablate.study.recipes.readers import OFFICIAL
from ablate.study.recipes.recipe import CHOICES, TWEAKS, fields, weights_paths

SELECTORS = ("val_top1", "val_top5", "val_loss", "val_mean_class_accuracy")
"""The validation metrics that can choose an epoch or end a run early."""

CALLABLE = r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*"

FLAGS = ("stride_in_3x3", "deep_stem", "avgpool_shortcut")
OF_RESNETS: Mapping[str, Any] = {
    "model.tweak": None,
    **dict.fromkeys((f"model.{flag}" for flag in FLAGS), None),
    "model.small_stem": False,
    "model.zero_init_gamma": False,
}
"""Settings of our ResNets alone, with what they are for other networks."""

Flat = dict[str, Any]
Reasons = dict[str, str]
Losses = tuple[tuple[str, Any, str], ...]


@dataclass(frozen=True)
class Names:
    """The names that a text field takes: what they are, and whether package.module:callable is one too."""

    what: str
    known: tuple[str, ...]
    is_open: bool
    patterns: Mapping[str, str] = field(default_factory=dict)

    @property
    def forms(self) -> Mapping[str, str]:
        """What else is taken: how it is written, and its pattern."""
        return {"package.module:callable": CALLABLE, **self.patterns} if self.is_open else {}


@cache
def known_names() -> Mapping[str, Names]:
    """The recipe fields whose text is a name."""
    return {
        "model.arch": Names(
            "networks", tuple(parts(Network)), True, {"timm/NAME": FROM_PACKAGE, "torchvision/NAME": FROM_PACKAGE}
        ),
        "data.name": Names("data sets", tuple(parts(DataSet)), True),
        "select": Names("choices", ("last", *SELECTORS), False),
        "early_stopping.metric": Names("choices", SELECTORS, False),
    }


def normalise(flat: Mapping[str, Any]) -> tuple[Flat, Reasons]:
    """The recipe as it is hashed, and for each path that lost its value the reason, in words."""
    result = dict(flat)
    reasons: Reasons = {}
    for rule in (_network, _tweak, _choices, _decay, _refinements, _selection, _init, _data):
        rule(result, reasons)
    return result, reasons


def _drop(flat: Flat, reasons: Reasons, path: str, value: object, why: str) -> None:
    if flat[path] != value:
        flat[path] = value
        reasons[path] = why


def _network(flat: Flat, reasons: Reasons) -> None:
    for path, value, why in _not_taken(flat["model.arch"]):
        _drop(flat, reasons, path, value, why)


@cache
def _not_taken(arch: str) -> Losses:
    """What has no effect on a network: for each setting its path, the value for that, and why."""
    network = parts(Network).get(arch)
    if network is not None:
        takes = set(network.takes) | set(network.fields)
    else:  # a network of the user's may take dropout; one of a package has arguments of its own
        takes = set() if package_of(arch) else {"model.dropout"}
    is_ours = any(path in takes for path in OF_RESNETS)
    found = []
    for path in sorted(_taken_by_others() - takes):
        if path in OF_RESNETS and not is_ours:
            found.append((path, OF_RESNETS[path], f"{arch} is not a ResNet of ours"))
        elif path != "model.stride_in_3x3":  # see `_tweak`
            found.append((path, OF_RESNETS.get(path, fields()[path].default), f"{arch} has no {_leaf(path)} setting"))
    return tuple(found)


def _taken_by_others() -> set[str]:
    every = parts(Network).values()
    return {path for network in every for path in (*network.takes, *network.fields)} & set(fields())


def _tweak(flat: Flat, reasons: Reasons) -> None:
    """Tweaks as their flags. Without a bottleneck there is no 1x1 to move the stride from: A and B are one network."""
    arch = flat["model.arch"]
    network = parts(Network).get(arch)
    if network is None or "model.tweak" not in network.takes:
        return
    meant = TWEAKS[flat["model.tweak"] or "B"]
    flags = {flag: meant[flag] if flat[f"model.{flag}"] is None else flat[f"model.{flag}"] for flag in FLAGS}
    if "model.stride_in_3x3" not in network.takes and not flags["stride_in_3x3"]:
        flags["stride_in_3x3"] = True
        why = f"{arch} has no bottleneck, so the stride has one place: A and B are one network"
        reasons |= dict.fromkeys(("model.tweak", "model.stride_in_3x3"), why)
    for flag in FLAGS:
        flat[f"model.{flag}"] = flags[flag]
    flat["model.tweak"] = next((name for name, setting in TWEAKS.items() if setting == flags), None)


def _choices(flat: Flat, reasons: Reasons) -> None:
    for path in CHOICES:
        for other, value, why in _of_others(path, flat[path]):
            _drop(flat, reasons, other, value, why)
    schedule = parts(Schedule).get(flat[Schedule.kind])
    if schedule is not None and schedule.warms_up:
        _drop(flat, reasons, "schedule.warmup_epochs", 0.0, f"the {schedule.name} schedule has a warm-up of its own")


@cache
def _of_others(path: str, name: str) -> Losses:
    """The settings that belong to other parts of a kind than the chosen one."""
    kind = CHOICES[path]
    part = parts(kind).get(name)
    if part is None:
        return ()
    whose = name if path == "optimizer.name" else f"the {name} {path.partition('.')[0]}"
    others = [other for other in fields_of(kind) if other not in part.fields]
    return tuple((other, fields()[other].default, f"{whose} has no {_leaf(other)} setting") for other in others)


def _decay(flat: Flat, reasons: Reasons) -> None:
    if flat["optimizer.weight_decay"] == 0:
        _drop(flat, reasons, "optimizer.no_decay_on_norm_and_bias", False, "there is no weight decay")


def _refinements(flat: Flat, reasons: Reasons) -> None:
    """A refinement that is off in any way is off in one way: all its settings have their defaults."""
    if _all_at_defaults(flat):
        return
    for part, defaults in _switches():
        changed = [path for path, value in defaults.items() if flat[path] != value]
        if changed and part.is_off({path: flat[path] for path in defaults}):
            for path in changed:
                _drop(flat, reasons, path, defaults[path], f"{_title(part)} is off")


@cache
def _switches() -> tuple[tuple[Refinement, Mapping[str, Any]], ...]:
    """The refinements with the defaults of their settings."""
    return tuple((part, {path: fields()[path].default for path in part.fields}) for part in parts(Refinement).values())


@cache
def _defaults() -> tuple[Callable[[Mapping[str, Any]], tuple[Any, ...]], tuple[Any, ...]]:
    usual = {path: value for _, defaults in _switches() for path, value in defaults.items()}
    return lambda flat: tuple(map(flat.__getitem__, usual)), tuple(usual.values())


def _all_at_defaults(flat: Mapping[str, Any]) -> bool:
    """Whether no refinement is told anything, as in most arms of a large grid."""
    values_of, usual = _defaults()
    return values_of(flat) == usual


def refinements_on(flat: Mapping[str, Any]) -> list[Refinement]:
    """The refinements that a whole recipe switches on."""
    if _all_at_defaults(flat):
        return []
    return [
        part
        for part, defaults in _switches()
        if any(flat[path] != value for path, value in defaults.items())
        and not part.is_off({path: flat[path] for path in defaults})
    ]


def _forget() -> None:
    for cached in (known_names, _not_taken, _of_others, _switches, _defaults):
        cached.cache_clear()


on_change(_forget)


def _title(part: Part) -> str:
    return part.name.replace("_", " ")


def _leaf(path: str) -> str:
    return path.rpartition(".")[2]


def _selection(flat: Flat, reasons: Reasons) -> None:
    if flat["early_stopping.patience"] is None:
        path = "early_stopping.metric"
        _drop(flat, reasons, path, fields()[path].default, "without patience nothing is stopped early")


def _init(flat: Flat, reasons: Reasons) -> None:
    if flat["model.init"] == "scratch":
        _drop(flat, reasons, "model.allow_variant_mismatch", False, "no weights are loaded")


def _data(flat: Flat, reasons: Reasons) -> None:
    data_set = parts(DataSet).get(flat["data.name"])
    if flat["data.split"] is None:
        flat["data.split"] = default_split(flat["data.name"])
    if data_set is not None and data_set.embedded:
        _drop(flat, reasons, "data.path", None, f"{data_set.name} is embedded")


def default_split(name: str) -> Any:
    """The split of a data set where the recipe leaves it out; None where it must be said, official where a callable is named."""
    data_set = parts(DataSet).get(name)
    return data_set.split if data_set is not None else OFFICIAL


def has_validation(name: str) -> bool:
    """Whether the official split of a data set may have validation images; of a user's own that shows when it is read."""
    data_set = parts(DataSet).get(name)
    return data_set is None or data_set.official is None or "val" in data_set.official


def unknown_name(path: str, name: object) -> str:
    """What is wrong with a name given to one of the fields in `known_names`; empty for a known name and for all other fields."""
    names = known_names().get(path)
    if (
        names is None
        or not isinstance(name, str)
        or name in names.known
        or any(re.fullmatch(form, name) for form in names.forms.values())
    ):
        return ""
    also = f"; or {', '.join(names.forms)}" if names.forms else ""
    return (
        f"{path} {show_name(name)} is not known.{nearest(name, names.known)} "
        f"Known {names.what}: {', '.join(names.known)}{also}."
    )


def show_name(name: str) -> str:
    return repr(name if len(name) <= 60 else name[:57] + "...")


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
    if not any(part.excludes for part, _ in _switches()):
        return []
    on = refinements_on(flat)
    names = {part.name: _title(part) for part in on}
    return [
        (next(iter(part.fields)), f"{_title(part)} cannot go with {names.get(other, other)}: {instead}")
        for part in on
        for other, instead in part.excludes.items()
        if other in names or _has(flat, other)
    ]


def _has(flat: Mapping[str, Any], written: str) -> bool:
    """Whether a recipe has a value, written as `path: value`."""
    path, _, value = written.partition(": ")
    return path in flat and str(flat[path]) == value


def selects(flat: Mapping[str, Any]) -> bool:
    """Whether a validation metric chooses the epoch, or ends the run."""
    return flat["select"] != "last" or flat["early_stopping.patience"] is not None


def dict_get(value: object, key: str) -> Any:
    """`value[key]` where value is a mapping that has it, else None."""
    return value.get(key) if isinstance(value, Mapping) else None
