"""The grammar of study files as a JSON Schema, for editors: completion, descriptions, and most mistakes as one types.

Put `# yaml-language-server: $schema=study.schema.json` into the first line of a study file. What hangs on names (is there such a
factor, such a level?) only the loader knows: whatever the loader takes, the schema takes too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ablate.study.designs.design import DESIGNS
from ablate.study.designs.seeds import LARGEST, MAX_SEEDS
from ablate.study.document import keys
from ablate.study.loader import DEFAULT_SEEDS, KEEP
from ablate.study.recipes.normalise import known_names
from ablate.study.recipes.recipe import fields
from ablate.study.tables.specs import TESTS
from ablate.study.values.metrics import METRICS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ARGUMENT = r"^model\.args\..+$"

Schema = dict[str, Any]
_SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}
_NAMES: Schema = {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]}


_RECIPES = ("settings", "path", "metric", "factor", "levels", "members", "profile", "profile_levels", "table")
"""What hangs on the recipe's fields: with a custom trainer it is free, under the same name with `free_` before it."""


def json_schema() -> Schema:
    """The JSON Schema (2020-12) of study files, from the recipe's fields and the loader's own keys."""
    study = _object(keys.STUDY, required=("study",))
    ours = {name: shape for name, shape in study["properties"].items() if _hangs_on_recipe(shape)}
    about = {name: {"description": shape["description"]} for name, shape in ours.items()}
    structures = {**_values(), **_structures(), **_recipe()}
    return {
        "$schema": DIALECT,
        "title": "ablate study",
        "description": "One question with its design: recipe, factors, baseline, tables.",
        **study,
        "properties": {**study["properties"], **about},
        "if": {"properties": {"trainer": {"not": {"type": "null"}}}, "required": ["trainer"]},
        "then": {"properties": _freed(ours)},
        "else": {"properties": ours},
        "$defs": {**structures, **_free_structures(structures)},
    }


def _hangs_on_recipe(shape: object) -> bool:
    return any(f'"#/$defs/{name}"' in json.dumps(shape) for name in _RECIPES)


def _freed(shape: object) -> Any:
    """A shape whose references lead to the free forms of what hangs on the recipe's fields."""
    if isinstance(shape, dict):
        name = str(shape.get("$ref", "")).removeprefix("#/$defs/")
        leads = {"$ref": f"#/$defs/free_{name}"} if name in _RECIPES else {}
        return {**{key: _freed(item) for key, item in shape.items()}, **leads}
    return [_freed(item) for item in shape] if isinstance(shape, list) else shape


def _free_structures(structures: Mapping[str, Any]) -> Schema:
    anything: Schema = {"type": ["object", "null"]}
    free = {f"free_{name}": _freed(structures[name]) for name in _RECIPES if name in structures}
    return {**free, "free_settings": anything, "free_path": {"type": ["string", "null"]}, "free_metric": _SCALAR}


def _object(table: keys.Keys, required: tuple[str, ...] = ()) -> Schema:
    """A mapping with the keys of a table and no others."""
    properties = {name: {**shape, "description": about} for name, (about, shape) in table.items()}
    shape: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return shape | ({"required": list(required)} if required else {})


def _mapping(values: Schema) -> Schema:
    return {"type": ["object", "null"], "additionalProperties": values}


def _values() -> Schema:
    """What stands for a single value, or for a list of them."""
    seed = {"type": "integer", "minimum": 0, "exclusiveMaximum": LARGEST}
    return {
        "study_name": {"type": ["string", "number", "boolean"], "pattern": "^[a-z0-9._-]{1,80}$"},
        "scalar": _SCALAR,
        "names": _NAMES,
        "path": {"anyOf": [{"enum": list(fields())}, {"type": "string", "pattern": ARGUMENT}, {"type": "null"}]},
        "seeds": {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MAX_SEEDS},
                {"type": "array", "items": seed, "minItems": 1, "uniqueItems": True},
                {"type": "null"},
            ],
            "default": DEFAULT_SEEDS,
        },
        "keep": {"enum": [*KEEP, None]},
        "test": {"enum": list(TESTS), "default": TESTS[0]},
        "metric": {"enum": [*METRICS, None]},
        "design": {
            "anyOf": [
                {"enum": [*(design for design in DESIGNS if design != "path"), None]},
                {
                    "type": "object",
                    "properties": {"path": {**_NAMES, "description": "Factors and members in the order of the walk."}},
                    "required": ["path"],
                    "additionalProperties": False,
                },
            ]
        },
    }


def _structures() -> Schema:
    """What stands for a mapping."""
    settings = {"$ref": "#/$defs/settings"}
    level = {"anyOf": [settings, _SCALAR, {"type": "array"}, {"type": "object"}]}
    negated = {
        "type": "object",
        "properties": {"not": _NAMES},
        "required": ["not"],
        "additionalProperties": False,
    }
    figures = {"type": ["string", "number", "null"]}
    prose = {"type": "object", "properties": {"prose": _SCALAR}, "required": ["prose"], "additionalProperties": False}
    return {
        "factor": _factor(),
        "levels": {
            "anyOf": [
                {"type": "array", "items": _SCALAR, "minItems": 1},
                {"type": "object", "additionalProperties": level, "minProperties": 1},
            ]
        },
        "members": {"type": "object", "additionalProperties": level, "minProperties": 1},
        "levels_of_factors": _mapping(_SCALAR),
        "condition": _mapping({"anyOf": [*_NAMES["anyOf"], negated]}),
        "rules": {"type": ["array", "null"], "items": {"$ref": "#/$defs/condition"}},
        "trainer": {
            **_object(keys.TRAINER),
            "type": ["object", "null"],
            "oneOf": [
                {"type": "object", "required": ["command"]},
                {"type": "object", "required": ["python"]},
                {"type": "null"},
            ],
        },
        "config": {**_object(keys.CONFIG, required=("file",)), "type": ["object", "null"]},
        "metric_declared": {**_object(keys.METRIC), "type": ["object", "null"]},
        "profile": {**_object(keys.PROFILE), "type": ["object", "null"]},
        "resources": {**_object(keys.RESOURCES), "type": ["object", "null"]},
        "profile_levels": _mapping(_mapping(settings)),
        "label": {"anyOf": [_SCALAR, _object(keys.LABEL)]},
        "table": _object(keys.TABLE, required=("rows",)),
        "reported": _mapping({"anyOf": [figures, {"type": "array", "items": figures}]}),
        "claims": {"type": ["array", "null"], "items": {"anyOf": [{"type": ["string", "number", "boolean"]}, prose]}},
    }


def _factor() -> Schema:
    """Levels or subsets; without `path`, every level is a mapping of fields."""
    shape = _object(keys.FACTOR)
    named = {
        "properties": {
            name: {"type": "object", "additionalProperties": {"$ref": "#/$defs/settings"}}
            for name in ("levels", "subsets")
        }
    }
    return {
        **shape,
        "oneOf": [{"required": ["levels"]}, {"required": ["subsets"]}],
        "if": {"not": {"required": ["path"], "properties": {"path": {"type": "string"}}}},
        "then": named,
    }


def _recipe() -> Schema:
    """The recipe's fields, nested in their sections or dotted, in any mixture."""
    sections: dict[str, Schema] = {}
    properties: Schema = {}
    for path, found in fields().items():
        shape = {**_field(path, found.adapter.json_schema()), "description": found.description or path}
        shape["default"] = found.default
        properties[path] = shape
        section, _, leaf = path.rpartition(".")
        if section:
            sections.setdefault(section, {})[leaf] = shape
    for section, inner in sections.items():
        shape = {"type": "object", "properties": inner, "additionalProperties": False}
        if f"{section}.args" in fields():
            shape["patternProperties"] = {r"^args\..+$": {}}
        properties[section] = shape
    settings = {"type": ["object", "null"], "properties": properties, "additionalProperties": False}
    return {"settings": {**settings, "patternProperties": {ARGUMENT: {}}}}


def _field(path: str, shape: Mapping[str, Any]) -> Schema:
    found = known_names().get(path)
    if found is None:
        return dict(shape)
    names: Schema = {"enum": list(found.known)}
    patterns = dict.fromkeys(found.forms.values())
    return {"anyOf": [names, *({"type": "string", "pattern": f"^{form}$"} for form in patterns)]} if patterns else names
