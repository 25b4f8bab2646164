"""Settings without effect are taken out before hashing, so that two arms that train the same thing are one run.

Everything here is knowledge of what the built-in trainer ignores. Each rule gives its reason, which the plan prints.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ablate.errors import nearest
from ablate.parts.declare import DataSet, Network, Part, Refinement, Schedule
from ablate.parts.found import fields_of, on_change, parts
from ablate.parts.packages import FROM_PACKAGE, package_of
from ablate.study.recipes.readers import OFFICIAL
from ablate.study.recipes.recipe import CHOICES, TWEAKS, fields

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
    for part, defaults in switches():
        changed = [path for path, value in defaults.items() if flat[path] != value]
        if changed and part.is_off({path: flat[path] for path in defaults}):
            for path in changed:
                _drop(flat, reasons, path, defaults[path], f"{title(part)} is off")


@cache
def switches() -> tuple[tuple[Refinement, Mapping[str, Any]], ...]:
    """The refinements with the defaults of their settings."""
    return tuple((part, {path: fields()[path].default for path in part.fields}) for part in parts(Refinement).values())


@cache
def _defaults() -> tuple[Callable[[Mapping[str, Any]], tuple[Any, ...]], tuple[Any, ...]]:
    usual = {path: value for _, defaults in switches() for path, value in defaults.items()}
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
        for part, defaults in switches()
        if any(flat[path] != value for path, value in defaults.items())
        and not part.is_off({path: flat[path] for path in defaults})
    ]


def _forget() -> None:
    for cached in (known_names, _not_taken, _of_others, switches, _defaults):
        cached.cache_clear()


on_change(_forget)


def title(part: Part) -> str:
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
