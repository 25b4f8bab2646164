"""Recipe fields that take several forms, as types: a reader to the normal form, and a JSON Schema for editors."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from ablate.study import readers


def _transform_schema(name: str) -> dict[str, Any]:
    arguments = {}
    for argument, (kind, default) in readers.TRANSFORMS[name].items():
        least = "exclusiveMinimum" if (name, argument) in readers.ABOVE_ZERO else "minimum"
        shape: dict[str, Any] = {"type": "integer" if kind is int else "number", least: 0, "default": default}
        arguments[argument] = shape | (
            {"maximum": readers.MOST[name, argument]} if (name, argument) in readers.MOST else {}
        )
    inner = {"type": ["object", "null"], "properties": arguments, "additionalProperties": False}
    return {"type": "object", "properties": {name: inner}, "required": [name], "additionalProperties": False}


_SHARE = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
_RATE = {"type": "number", "minimum": 0}
_TEXT = {"type": ["string", "number", "null"]}
_CHANNELS = {
    "anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 3}]
}
_RUN_SHAPES = {
    "seed": {"anyOf": [{"const": "same"}, {"type": "integer", "minimum": 0}]},
    "weights": {"enum": list(readers.WHICH)},
}

Transforms = Annotated[
    Any,
    BeforeValidator(readers.read_transforms),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"anyOf": [{"enum": list(readers.TRANSFORMS)}, *map(_transform_schema, readers.TRANSFORMS)]},
        }
    ),
]
Split = Annotated[
    Any,
    BeforeValidator(readers.read_split),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": [readers.OFFICIAL, None]},
                {
                    "type": "object",
                    "properties": {
                        **dict.fromkeys(readers.SPLITS, _SHARE),
                        "test": {"anyOf": [_SHARE, {"const": readers.OFFICIAL}]},
                    },
                    "additionalProperties": False,
                    "minProperties": 2,
                },
            ]
        }
    ),
]
Normalize = Annotated[
    Any,
    BeforeValidator(readers.read_normalize),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["imagenet", "dataset"]},
                {
                    "type": "object",
                    "properties": {"mean": _CHANNELS, "std": _CHANNELS},
                    "required": ["mean", "std"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
Init = Annotated[
    Any,
    BeforeValidator(readers.read_init),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "examples": ["scratch", *readers.WEIGHTS]},
                {
                    "type": "object",
                    "properties": {
                        "file": {"type": "string"},
                        "sha256": {"type": ["string", "null"], "pattern": f"^{readers.DIGEST}$"},
                    },
                    "required": ["file"],
                    "additionalProperties": False,
                },
                {
                    "type": "object",
                    "properties": {
                        name: {**_RUN_SHAPES.get(name, _TEXT), "description": about}
                        for name, about in readers.RUN_KEYS.items()
                    },
                    "required": ["study", "arm"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
ClassWeights = Annotated[
    Any,
    BeforeValidator(readers.read_class_weights),
    WithJsonSchema({"anyOf": [{"enum": ["none", "balanced"]}, {"type": "array", "items": _RATE, "minItems": 1}]}),
]
Globs = Annotated[
    Any,
    BeforeValidator(readers.read_globs),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Groups = Annotated[
    Any, BeforeValidator(readers.read_groups), WithJsonSchema({"type": "object", "additionalProperties": _RATE})
]
Arguments = Annotated[dict[str, Any], BeforeValidator(readers.read_arguments), WithJsonSchema({"type": "object"})]
