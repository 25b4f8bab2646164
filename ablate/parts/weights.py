"""Weights as a recipe names them: those that a network starts from (`model.init`), and those of a teacher.

A reader raises ValueError with what is allowed; it takes its own result unchanged.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

from ablate.parts.declare import Field

RUN_KEYS = {
    "study": "the other study's file, relative to this one",
    "profile": "its profile; none: the study without one",
    "arm": "the arm, named as in the study's tables",
    "seed": "same: the run with the child's own seed; or one seed for all",
    "weights": "last or selected",
}
WEIGHTS = {"imagenet": "IMAGENET1K_V1", "imagenet-v2": "IMAGENET1K_V2"}
"""torchvision's names of the two sets of ImageNet weights."""
WHICH = ("last", "selected")
DIGEST = r"[0-9a-f]{64}"

NAMES_WEIGHTS: Final = "(names weights)"
"""The mark of a type whose values name weights: a plan looks for their files, and a run that they name becomes the parent."""


def read_init(value: object) -> Any:
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
            raise ValueError("sha256 must be 64 hexadecimal digits, in quotes")
    elif "entry" in value:
        _only(value, ("entry",), "an entry of torchvision")
    elif "run" in value:
        _only(value, ("run", "weights"), "a planned run")
    else:
        _only(value, tuple(RUN_KEYS), "a run")
        seed = value.get("seed", "same")
        if seed != "same" and not (isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**31):
            raise ValueError(f"seed must be 'same' or a whole number from 0, not {seed!r}")
    if value.get("weights", "last") not in WHICH:
        raise ValueError(f"weights must be last or selected, not {value['weights']!r}")
    return {name: item for name, item in value.items() if item is not None}


def same_init(init: str | Mapping[str, Any]) -> Any:
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


def names_run(value: object) -> bool:
    """Whether a value that names weights means those of a run, in any of its forms."""
    return isinstance(value, Mapping) and "file" not in value and "entry" not in value


def read_teacher(value: object) -> Any:
    """What `read_init` takes but `scratch`, or None."""
    if value is None:
        return None
    if value == "scratch" or not isinstance(value, str | Mapping) or not value:
        raise ValueError(
            "must be trained weights: 'imagenet', 'imagenet-v2', a file of weights, or a run such as "
            "{study: ..., arm: ...}; null for none"
        )
    return read_init(value)


_TEXT = {"type": ["string", "number", "null"]}
_RUN_SHAPES: dict[str, dict[str, Any]] = {
    "seed": {"anyOf": [{"const": "same"}, {"type": "integer", "minimum": 0}]},
    "weights": {"enum": list(WHICH)},
}
SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "minLength": 1, "examples": ["scratch", *WEIGHTS]},
        {
            "type": "object",
            "properties": {
                "file": {"type": "string"},
                "sha256": {"type": ["string", "null"], "pattern": f"^{DIGEST}$"},
            },
            "required": ["file"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {
                name: {**_RUN_SHAPES.get(name, _TEXT), "description": about} for name, about in RUN_KEYS.items()
            },
            "required": ["study", "arm"],
            "additionalProperties": False,
        },
    ]
}

Init = Annotated[Any, BeforeValidator(read_init), WithJsonSchema(SCHEMA), NAMES_WEIGHTS]
Teacher = Annotated[
    Any,
    BeforeValidator(read_teacher),
    WithJsonSchema({"anyOf": [{"type": "null"}, *SCHEMA["anyOf"]]}),
    NAMES_WEIGHTS,
]
"""Weights of a network that is learnt from; None for no such network."""

TEACHER = Field(
    Teacher, None, "a run or weights that a network learns from, as in model.init; none: no teacher", before=None
)
"""The setting of a refinement that has a teacher. Its run is the parent of those that learn from it."""
