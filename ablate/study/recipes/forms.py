"""Recipe fields that take several forms, as types: a reader to the normal form, and a JSON Schema for editors."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from ablate.study.recipes import readers

_SHARE = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
_RATE = {"type": "number", "minimum": 0}
_CHANNELS = {
    "anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 3}]
}

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
