"""Settings without effect are taken out before hashing, so that two arms that train the same thing are one run.

Everything here is knowledge of what the built-in trainer ignores. Each rule gives its reason, which the plan prints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ablate.errors import nearest
from ablate.study.recipe import TWEAKS, fields

BOTTLENECK = ("resnet50", "resnet101", "resnet152")
BASIC = ("resnet18", "resnet34")
SMALL = ("two-layer-fc", "three-layer-cnn")
ARCHS = (*BASIC, *BOTTLENECK, *SMALL)
"""The registered networks; the training layer's registry is held equal to this by a test."""

DATASETS = ("digits", "cifar10", "cifar100", "caltech101", "imagefolder", "npz", "synthetic")
WITHOUT_OFFICIAL_SPLIT = ("digits", "caltech101", "synthetic")
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
        reasons["model.tweak"] = f"{arch} has no bottleneck, so the stride has one place: A and B are one network"
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
        flat["data.split"] = DEFAULT_SPLIT if flat["data.name"] in WITHOUT_OFFICIAL_SPLIT else "official"


def contradictions(flat: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What cannot be meant in a whole recipe: (path, message) for each."""
    found = []
    for path, known, what in (("model.arch", ARCHS, "networks"), ("data.name", DATASETS, "data sets")):
        name = flat[path]
        if name not in known and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", name):
            found.append(
                (
                    path,
                    f"{path} {name!r} is not known.{nearest(name, known)} Known {what}: {', '.join(known)}; or package.module:callable.",
                )
            )
    if flat["optimizer.name"] == "sgd" and flat["optimizer.nesterov"] and flat["optimizer.momentum"] == 0:
        found.append(("optimizer.nesterov", "Nesterov momentum needs optimizer.momentum above 0."))
    if flat["data.name"] in ("imagefolder", "npz") and not flat["data.path"]:
        found.append(("data.path", f"data.name {flat['data.name']} needs data.path, relative to ABLATE_DATA."))
    for path in ("select", "early_stopping.metric"):
        metric = flat[path]
        if metric != "last" and not metric.startswith("val_"):
            allowed = "last or a validation metric" if path == "select" else "a validation metric"
            found.append((path, f"{path} must be {allowed} such as val_top1, not {metric!r}."))
    if flat["early_stopping.metric"] == "last":
        found.append(("early_stopping.metric", "early_stopping.metric must be a validation metric such as val_top1."))
    if flat["schedule.warmup_epochs"] >= flat["epochs"] and flat["schedule.warmup_epochs"] > 0:
        found.append(
            (
                "schedule.warmup_epochs",
                f"the warm-up of {flat['schedule.warmup_epochs']:g} epochs leaves none of {flat['epochs']}.",
            )
        )
    if flat["data.name"] in WITHOUT_OFFICIAL_SPLIT and "official" in (
        flat["data.split"],
        dict_get(flat["data.split"], "test"),
    ):
        message = (
            f"{flat['data.name']} has no official split; give fractions, as in data.split: {{train: 0.8, val: 0.2}}."
        )
        found.append(("data.split", message))
    return found


def dict_get(value: Any, key: str) -> Any:
    """`value[key]` where value is a mapping that has it, else None."""
    return value.get(key) if isinstance(value, Mapping) else None
