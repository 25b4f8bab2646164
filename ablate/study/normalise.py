"""Settings without effect are taken out before hashing, so that two arms that train the same thing are one run.

Everything here is knowledge of what the built-in trainer ignores. Each rule gives its reason, which the plan prints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from ablate.errors import nearest
from ablate.study.readers import WEIGHTS
from ablate.study.recipe import TWEAKS, fields

BOTTLENECK = ("resnet50", "resnet101", "resnet152")
BASIC = ("resnet18", "resnet34")
SMALL = ("two-layer-fc", "three-layer-cnn")
ARCHS = (*BASIC, *BOTTLENECK, *SMALL)
"""The registered networks; the training layer's registry is held equal to this by a test."""

DATASETS = ("digits", "cifar10", "cifar100", "caltech101", "caltech100", "imagefolder", "npz", "synthetic")
SELECTORS = ("val_top1", "val_top5", "val_loss", "val_mean_class_accuracy")
"""The validation metrics that can choose an epoch or end a run early."""

KNOWN: dict[str, tuple[str, tuple[str, ...], bool]] = {
    "model.arch": ("networks", ARCHS, True),
    "data.name": ("data sets", DATASETS, True),
    "select": ("choices", ("last", *SELECTORS), False),
    "early_stopping.metric": ("choices", SELECTORS, False),
}
"""Recipe fields whose text is a name: what the names are, all of them, and whether package.module:callable is one too."""

CALLABLE = r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*"

WITHOUT_VALIDATION = ("cifar10", "cifar100")
"""Data sets whose official split is train and test alone."""

WITHOUT_OFFICIAL_SPLIT = ("digits", "caltech101", "caltech100")
EMBEDDED = ("digits", "synthetic")
DEFAULT_SPLIT = {"train": 0.8, "val": 0.2}
FLAGS = ("stride_in_3x3", "deep_stem", "avgpool_shortcut")

Flat = dict[str, Any]
Reasons = dict[str, str]


def normalise(flat: Mapping[str, Any]) -> tuple[Flat, Reasons]:
    """The recipe as it is hashed, and for each path that lost its value the reason, in words."""
    result = dict(flat)
    reasons: Reasons = {}
    for rule in (_tweak, _optimizer, _schedule, _selection, _init, _data):
        rule(result, reasons)
    return result, reasons


def _drop(flat: Flat, reasons: Reasons, path: str, value: Any, why: str) -> None:
    if flat[path] != value:
        flat[path] = value
        reasons[path] = why


def _tweak(flat: Flat, reasons: Reasons) -> None:
    arch = flat["model.arch"]
    if arch not in BOTTLENECK and arch not in BASIC:
        for path in ("model.tweak", *(f"model.{flag}" for flag in FLAGS)):
            _drop(flat, reasons, path, None, f"{arch} is not a ResNet of ours")
        for path in ("model.small_stem", "model.zero_init_gamma"):
            _drop(flat, reasons, path, False, f"{arch} is not a ResNet of ours")
        return
    meant = TWEAKS[flat["model.tweak"] or "B"]
    flags = {flag: meant[flag] if flat[f"model.{flag}"] is None else flat[f"model.{flag}"] for flag in FLAGS}
    if arch in BASIC and not flags["stride_in_3x3"]:
        flags["stride_in_3x3"] = True
        why = f"{arch} has no bottleneck, so the stride has one place: A and B are one network"
        reasons |= dict.fromkeys(("model.tweak", "model.stride_in_3x3"), why)
    for flag in FLAGS:
        flat[f"model.{flag}"] = flags[flag]
    flat["model.tweak"] = next((name for name, setting in TWEAKS.items() if setting == flags), None)


def _optimizer(flat: Flat, reasons: Reasons) -> None:
    defaults = fields()
    name = flat["optimizer.name"]
    if name != "sgd":
        _drop(
            flat,
            reasons,
            "optimizer.momentum",
            defaults["optimizer.momentum"].default,
            f"{name} has no momentum setting",
        )
        _drop(flat, reasons, "optimizer.nesterov", False, f"{name} has no Nesterov momentum")
    if flat["optimizer.weight_decay"] == 0:
        _drop(flat, reasons, "optimizer.no_decay_on_norm_and_bias", False, "there is no weight decay")


def _schedule(flat: Flat, reasons: Reasons) -> None:
    if flat["schedule.name"] != "step":
        for path in ("schedule.step_epochs", "schedule.gamma"):
            _drop(flat, reasons, path, fields()[path].default, f"the {flat['schedule.name']} schedule has no steps")


def _selection(flat: Flat, reasons: Reasons) -> None:
    if flat["early_stopping.patience"] is None:
        path = "early_stopping.metric"
        _drop(flat, reasons, path, fields()[path].default, "without patience nothing is stopped early")


def _init(flat: Flat, reasons: Reasons) -> None:
    if flat["model.init"] == "scratch":
        _drop(flat, reasons, "model.allow_variant_mismatch", False, "no weights are loaded")


def _data(flat: Flat, reasons: Reasons) -> None:
    if flat["data.split"] is None:
        flat["data.split"] = default_split(flat["data.name"])
    if flat["data.name"] in EMBEDDED:
        _drop(flat, reasons, "data.path", None, f"{flat['data.name']} is embedded")


def default_split(name: str) -> Any:
    """The split of a data set where the recipe leaves it out: the set's own, else 0.8 and 0.2.

    None for an image folder: whether it has a split of its own is not known before its folders are seen.
    """
    if name == "imagefolder":
        return None
    return DEFAULT_SPLIT if name in WITHOUT_OFFICIAL_SPLIT else "official"


def unknown_name(path: str, name: Any) -> str:
    """What is wrong with a name given to one of the fields in `KNOWN`; empty for a known name and for all other fields."""
    if path not in KNOWN:
        return ""
    what, known, open_ = KNOWN[path]
    if name in known or (open_ and re.fullmatch(CALLABLE, name)):
        return ""
    also = "; or package.module:callable" if open_ else ""
    return f"{path} {show_name(name)} is not known.{nearest(name, known)} Known {what}: {', '.join(known)}{also}."


def show_name(name: str) -> str:
    return repr(name if len(name) <= 60 else name[:57] + "...")


def contradictions(flat: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What cannot be meant in a whole recipe: (path, message) for each."""
    found: list[tuple[str, str]] = []
    if flat["optimizer.name"] == "sgd" and flat["optimizer.nesterov"] and flat["optimizer.momentum"] == 0:
        found.append(("optimizer.nesterov", "Nesterov momentum needs optimizer.momentum above 0."))
    if flat["data.name"] in ("imagefolder", "npz") and not flat["data.path"]:
        found.append(("data.name", f"data.name {flat['data.name']} needs data.path, relative to ABLATE_DATA."))
    place = PurePath(flat["data.path"] or "")
    if place.is_absolute() or ".." in place.parts:
        message = "data.path is a place in ABLATE_DATA: no absolute path and no '..'. Set ABLATE_DATA, or link the data into it."
        found.append(("data.path", message))
    warmup, epochs = flat["schedule.warmup_epochs"], flat["epochs"]
    if warmup >= epochs:
        message = (
            f"the warm-up of {warmup:g} epochs leaves none of {epochs}; schedule.warmup_epochs must be below epochs."
        )
        found.append(("schedule.warmup_epochs", message))
    found += [("data.split", _split_trouble(flat)), ("model.init", _weights_trouble(flat))]
    return [(path, message) for path, message in found if message]


def _split_trouble(flat: Mapping[str, Any]) -> str:
    name, split = flat["data.name"], flat["data.split"]
    if name in WITHOUT_OFFICIAL_SPLIT and "official" in (split, dict_get(split, "test")):
        return f"{name} has no official split; give fractions, as in data.split: {{train: 0.8, val: 0.2}}."
    if split is None:
        return (
            f"data.name {name} needs data.split: official (folders train/ and val/ or test/), "
            "or fractions such as {train: 0.8, val: 0.2}."
        )
    if not selects(flat):
        return ""
    field = "select" if flat["select"] != "last" else "early_stopping"
    if isinstance(split, Mapping) and "val" not in split:
        return f"{field} needs validation images and data.split has none; as in data.split: {{train: 0.64, val: 0.16, test: 0.2}}."
    if split == "official" and name in WITHOUT_VALIDATION:
        return f"{field} needs validation images and the official split of {name} has none; as in data.split: {{val: 0.1, test: official}}."
    return ""


def _weights_trouble(flat: Mapping[str, Any]) -> str:
    init, arch = flat["model.init"], flat["model.arch"]
    if isinstance(init, str) and init in WEIGHTS and (arch in SMALL or (init == "imagenet-v2" and arch in BASIC)):
        return f"torchvision has no {init} weights for {arch}; use another arch, scratch, a file of weights, or a run."
    return ""


def selects(flat: Mapping[str, Any]) -> bool:
    """Whether a validation metric chooses the epoch, or ends the run."""
    return flat["select"] != "last" or flat["early_stopping.patience"] is not None


def dict_get(value: Any, key: str) -> Any:
    """`value[key]` where value is a mapping that has it, else None."""
    return value.get(key) if isinstance(value, Mapping) else None
