"""Readers of the recipe fields that take several forms: each brings them to one normal form.

A reader raises ValueError with what is allowed; it takes its own result unchanged. `forms` makes them types of the recipe.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

TRANSFORMS: dict[str, dict[str, tuple[type, Any]]] = {
    "random_crop": {"padding": (int, 4)},
    "horizontal_flip": {"p": (float, 0.5)},
    "color_jitter": {
        "brightness": (float, 0.0),
        "contrast": (float, 0.0),
        "saturation": (float, 0.0),
        "hue": (float, 0.0),
    },
    "rotation": {"degrees": (float, 15.0)},
    "random_resized_crop": {"scale_min": (float, 0.08), "ratio_min": (float, 0.75)},
}
"""Augmentations by name, each argument with its type and default."""

MOST: dict[tuple[str, str], float] = {
    ("random_crop", "padding"): 4096,
    ("horizontal_flip", "p"): 1,
    ("color_jitter", "hue"): 0.5,
    ("rotation", "degrees"): 180,
    ("random_resized_crop", "scale_min"): 1,
    ("random_resized_crop", "ratio_min"): 1,
}
"""The largest value that an argument of a transform may have; all start at 0."""

ABOVE_ZERO = {("random_resized_crop", "scale_min"), ("random_resized_crop", "ratio_min")}

SPLITS = ("train", "val", "test")
OFFICIAL = "official"
RUN_KEYS = {
    "study": "the other study's file, relative to this one",
    "profile": "its profile; none: the full scale",
    "arm": "the arm, named as in the study's tables",
    "seed": "same: the run with the child's own seed; or one seed for all",
    "weights": "last or selected",
}
WEIGHTS = {"imagenet": "IMAGENET1K_V1", "imagenet-v2": "IMAGENET1K_V2"}
"""torchvision's names of the two sets of ImageNet weights."""
WHICH = ("last", "selected")
DIGEST = r"[0-9a-f]{64}"


def is_number(value: Any) -> bool:
    """A finite number that is no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def read_transforms(value: Any) -> Any:
    """`[flip]`, `[{flip: {p: 0.5}}]` -> `({"flip": {"p": 0.5}},)` with every argument written out."""
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list of transforms, as in [{random_crop: {padding: 4}}, horizontal_flip]")
    return tuple(_transform(item) for item in value)


def _transform(item: Any) -> dict[str, dict[str, Any]]:
    if isinstance(item, str):
        item = {item: {}}
    if not isinstance(item, Mapping) or len(item) != 1:
        raise ValueError("each transform is a name or one {name: {argument: value}}")
    ((name, given),) = item.items()
    given = {} if given is None else given
    known = TRANSFORMS.get(name)
    if known is None:
        raise ValueError(f"unknown transform {name!r}; allowed: {', '.join(TRANSFORMS)}")
    if not isinstance(given, Mapping):
        raise ValueError(f"the arguments of {name} are a mapping, as in {{{name}: {{{next(iter(known))}: ...}}}}")
    for argument, value in given.items():
        if argument not in known:
            raise ValueError(f"{name} has no argument {argument!r}; allowed: {', '.join(known)}")
        _check_argument(name, argument, value)
    return {
        name: {argument: kind(given.get(argument, default)) + kind(0) for argument, (kind, default) in known.items()}
    }


def _check_argument(name: str, argument: str, value: Any) -> None:
    whole = TRANSFORMS[name][argument][0] is int
    most = MOST.get((name, argument), math.inf)
    least = "above 0" if (name, argument) in ABOVE_ZERO else "of at least 0"
    inside = is_number(value) and (value > 0 or (value == 0 and least != "above 0")) and value <= most
    if not inside or (whole and value != int(value)):
        upper = f" and at most {most:g}" if most < math.inf else ""
        raise ValueError(f"{name}.{argument} must be a {'whole ' if whole else ''}number {least}{upper}, not {value!r}")


def read_split(value: Any) -> Any:
    if value is None or value == OFFICIAL:
        return value
    if not isinstance(value, Mapping) or not value or set(value) - set(SPLITS):
        raise ValueError(
            "must be 'official' or a mapping of train, val and test to fractions, as in {train: 0.8, val: 0.2}"
        )
    shares = {name: share for name, share in value.items() if share != OFFICIAL}
    if any(name != "test" for name, share in value.items() if share == OFFICIAL):
        raise ValueError("only test can be 'official', as in {val: 0.1, test: official}")
    for name, share in shares.items():
        if not is_number(share) or not 0 < share < 1:
            raise ValueError(f"{name} must be a fraction between 0 and 1, not {share!r}")
    if value.get("test") == OFFICIAL:
        return _beside_official(shares)
    if "train" not in shares or len(shares) < 2:
        raise ValueError("must name train and at least one of val and test")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"the fractions add up to {sum(shares.values()):g}, not to 1")
    return {name: float(shares[name]) for name in SPLITS if name in shares}


def _beside_official(shares: Mapping[str, float]) -> dict[str, Any]:
    if "val" not in shares:
        raise ValueError("say 'official' alone where nothing is cut from train")
    if "train" in shares and abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError("train and val must add up to 1 beside an official test set")
    return {"val": float(shares["val"]), "test": OFFICIAL}


def read_normalize(value: Any) -> Any:
    if value in ("imagenet", "dataset"):
        return value
    if isinstance(value, Mapping) and set(value) == {"mean", "std"}:
        return {name: _channels(name, value[name]) for name in ("mean", "std")}
    raise ValueError("must be 'imagenet', 'dataset' or {mean: ..., std: ...}")


def _channels(name: str, value: Any) -> list[float]:
    numbers = list(value) if isinstance(value, list | tuple) else [value] * 3
    if len(numbers) not in (1, 3) or not all(is_number(number) for number in numbers):
        raise ValueError(f"{name} must be one number or one a channel")
    if name == "std" and min(numbers) <= 0:
        raise ValueError("std must be above 0")
    return [float(number) + 0.0 for number in numbers]


def read_init(value: Any) -> Any:
    """Texts as they are; a file, a run by name, and what a plan makes of them (`entry`, `run`, `arm` alone) as mappings."""
    if isinstance(value, str) and value:
        return value
    if not isinstance(value, Mapping):
        raise ValueError(
            "must be 'scratch', 'imagenet', 'imagenet-v2', a file of weights, or a run such as {study: ..., arm: ...}"
        )
    if "file" in value:
        _only(value, ("file", "sha256"), "a file")
        digest = value.get("sha256")
        if digest is not None and not (isinstance(digest, str) and re.fullmatch(DIGEST, digest)):
            raise ValueError("sha256 has 64 hexadecimal digits; quote it")
    elif "entry" in value:
        _only(value, ("entry",), "an entry of torchvision")
    elif "run" in value:
        _only(value, ("run", "weights"), "a planned run")
    else:
        _only(value, tuple(RUN_KEYS), "a run")
        seed = value.get("seed", "same")
        if seed != "same" and not (is_number(seed) and isinstance(seed, int) and 0 <= seed < 2**31):
            raise ValueError(f"seed must be 'same' or a whole number from 0, not {seed!r}")
    if value.get("weights", "last") not in WHICH:
        raise ValueError(f"weights must be last or selected, not {value['weights']!r}")
    return {name: item for name, item in value.items() if item is not None}


def same_init(init: Any) -> Any:
    """First weights in one form for all ways to write them; nothing is looked for on the disk."""
    if isinstance(init, str):
        return init if init == "scratch" or init in WEIGHTS else os.path.normpath(init)
    if "file" in init:
        file = os.path.normpath(init["file"])
        return {**init, "file": file} if "sha256" in init or file in ("scratch", *WEIGHTS) else file
    usual = {"seed": "same", "weights": "last"}
    short = {name: value for name, value in init.items() if value != usual.get(name)}
    return {**short, "study": os.path.normpath(str(init["study"]))} if "study" in init else short


def _only(value: Mapping[str, Any], allowed: Sequence[str], what: str) -> None:
    for name, item in value.items():
        if name not in allowed:
            raise ValueError(f"{what} to start from has no {name!r}; allowed: {', '.join(allowed)}")
        if name != "seed" and item is not None and (isinstance(item, bool | dict | list) or str(item) == ""):
            raise ValueError(f"{name} must be text, not {item!r}")
    if "file" in allowed and not isinstance(value["file"], str):
        raise ValueError(f"file must be text, not {value['file']!r}")


LEAST_WEIGHT, MOST_WEIGHT = 1e-6, 1e6
"""What the largest class weight may be: the loss is summed in float32, where others vanish or overflow."""


def read_class_weights(value: Any) -> Any:
    if value in ("none", "balanced"):
        return value
    if isinstance(value, list | tuple) and all(is_number(w) and w >= 0 for w in value) and any(value):
        if not LEAST_WEIGHT <= max(value) <= MOST_WEIGHT:
            raise ValueError(
                f"the largest class weight must lie between {LEAST_WEIGHT:g} and {MOST_WEIGHT:g}, not {max(value):g}: "
                "only their ratios count, so write them around 1"
            )
        return tuple(float(w) + 0.0 for w in value)
    raise ValueError("must be 'none', 'balanced' or a list of one weight a class, none negative and not all 0")


def read_globs(value: Any) -> Any:
    if value == "all":
        return value
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list | tuple) and names and all(isinstance(n, str) and n for n in names):
        return tuple(names)
    raise ValueError("must be 'all' or a list of layer names or globs, as in [layer4, fc]")


def read_groups(value: Any) -> Any:
    if isinstance(value, Mapping) and all(is_number(rate) and rate >= 0 for rate in value.values()):
        return {str(name): float(rate) + 0.0 for name, rate in value.items()}
    raise ValueError("must map globs of parameter names to learning rates, as in {'layer1.*': 1e-5}")


def read_arguments(value: Any) -> Any:
    """A mapping that JSON can hold: no NaN and no infinity, however deep."""
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping of arguments")
    return {str(name): finite(item) for name, item in value.items()}


def finite(value: Any) -> Any:
    """`value` where every number in it is finite, else ValueError."""
    if isinstance(value, Mapping):
        return {str(name): finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must hold finite numbers only")
    return value + 0.0 if isinstance(value, float) else value
