"""Readers of the recipe fields that take several forms: each brings them to one normal form.

A reader raises ValueError with what is allowed; it takes its own result unchanged. `forms` makes them types of the recipe.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

SPLITS = ("train", "val", "test")
OFFICIAL = "official"


def is_number(value: object) -> bool:
    """A finite number that is no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def read_split(value: object) -> Any:
    if value is None or value == OFFICIAL:
        return value
    if not isinstance(value, Mapping) or not value or set(value) - set(SPLITS):
        raise ValueError(
            "must be 'official' or a mapping of train, val and test to fractions, as in {train: 0.8, val: 0.2}"
        )
    shares = {name: share for name, share in value.items() if share != OFFICIAL}
    if any(name != "test" for name, share in value.items() if share == OFFICIAL):
        raise ValueError("can only have 'official' for test, as in {val: 0.1, test: official}")
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
        raise ValueError("must be just 'official' if nothing is split off train")
    if "train" in shares and abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError("train and val must add up to 1 beside an official test set")
    return {"val": float(shares["val"]), "test": OFFICIAL}


def read_normalize(value: object) -> Any:
    if value in ("imagenet", "dataset"):
        return value
    if isinstance(value, Mapping) and set(value) == {"mean", "std"}:
        return {name: _channels(name, value[name]) for name in ("mean", "std")}
    raise ValueError("must be 'imagenet', 'dataset' or {mean: ..., std: ...}")


def _channels(name: str, value: object) -> list[float]:
    numbers: list[Any] = list(value) if isinstance(value, list | tuple) else [value] * 3
    if len(numbers) not in (1, 3) or not all(is_number(number) for number in numbers):
        raise ValueError(f"{name} must be one number, or one for each channel")
    if name == "std" and min(numbers) <= 0:
        raise ValueError("std must be above 0")
    return [float(number) + 0.0 for number in numbers]


LEAST_WEIGHT, MOST_WEIGHT = 1e-6, 1e6
"""What the largest class weight may be: the loss is summed in float32, where others vanish or overflow."""


def read_class_weights(value: object) -> Any:
    if value in ("none", "balanced"):
        return value
    if isinstance(value, list | tuple) and all(is_number(w) and w >= 0 for w in value) and any(value):
        if not LEAST_WEIGHT <= max(value) <= MOST_WEIGHT:
            raise ValueError(
                f"the largest class weight must lie between {LEAST_WEIGHT:g} and {MOST_WEIGHT:g}, not {max(value):g}: "
                "only their ratios count, so write them around 1"
            )
        return tuple(float(w) + 0.0 for w in value)
    raise ValueError("must be 'none', 'balanced' or a list with one weight for each class, none negative and not all 0")


def read_globs(value: object) -> Any:
    if value == "all":
        return value
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list | tuple) and names and all(isinstance(n, str) and n for n in names):
        return tuple(names)
    raise ValueError("must be 'all' or a list of layer names or globs, as in [layer4, fc]")


def read_groups(value: object) -> Any:
    if isinstance(value, Mapping) and all(is_number(rate) and rate >= 0 for rate in value.values()):
        return {str(name): float(rate) + 0.0 for name, rate in value.items()}
    raise ValueError("must map globs of parameter names to learning rates, as in {'layer1.*': 1e-5}")


def read_arguments(value: object) -> Any:
    """A mapping that JSON can hold: no NaN and no infinity, however deep."""
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping of arguments")
    return {str(name): finite(item) for name, item in value.items()}


def finite(value: object) -> Any:
    """`value` where every number in it is finite, else ValueError."""
    if isinstance(value, Mapping):
        return {str(name): finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must hold finite numbers only")
    return value + 0.0 if isinstance(value, float) else value
