"""The keys of a study file, once: each with what it is for and its JSON Schema, `#/$defs/...` being filled in by `grammar`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Shape = Mapping[str, Any]
Keys = Mapping[str, tuple[str, Shape]]


def _ref(name: str) -> Shape:
    return {"$ref": f"#/$defs/{name}"}


def _named(name: str) -> Shape:
    return {"type": ["object", "null"], "additionalProperties": _ref(name)}


_TEXT: Shape = {"type": ["string", "number", "boolean", "null"]}

STUDY: Keys = {
    "study": ("The study's name: a-z, 0-9, '.', '_' and '-'.", _ref("study_name")),
    "about": ("The question, in a sentence.", _TEXT),
    "cite": (
        "The paper that the study is about, as in {title: ..., source: ..., data: its data set}.",
        {"type": ["object", "null"]},
    ),
    "recipe": ("What all arms share; fields that are left out have their defaults.", _ref("settings")),
    "trainer": ("Not supported by this version.", {"type": "null"}),
    "factors": ("What the study varies, by name.", _named("factor")),
    "design": ("Which combinations of levels are trained. Default: full.", _ref("design")),
    "exclude": ("Arms that are left out: a list of rules.", _ref("rules")),
    "include": ("Single arms that are added; levels left out are the baseline's.", _ref("rules")),
    "seeds": ("A number of seeds (3 is 0, 1, 2) or a list of them. Default: 3.", _ref("seeds")),
    "baseline": ("The arm that the others are compared with; a factor left out is matched.", _ref("levels_of_factors")),
    "profiles": ("The same study at other scales, by name.", _named("profile")),
    "tables": ("The tables and figures of the report, by name.", _named("table")),
    "keep": ("Which weights are kept after a run. Default: none. Not hashed.", _ref("keep")),
    "tune": ("Not supported by this version.", {"type": "null"}),
}

FACTOR: Keys = {
    "path": ("The recipe field that every level sets.", _ref("path")),
    "levels": (
        "A list of values for `path`, or a mapping of names to a value or to {field: value, ...}.",
        _ref("levels"),
    ),
    "subsets": ("k members, each a mapping of fields to values; the levels are all of their subsets.", _ref("members")),
}

PROFILE: Keys = {
    "recipe": ("Changes to the base recipe; levels apply after them.", _ref("settings")),
    "levels": ("Changes to single levels or members: {FACTOR: {LEVEL: {field: value}}}.", _ref("profile_levels")),
    "exclude": ("Rules that are added to the study's.", _ref("rules")),
    "seeds": ("In place of the study's.", _ref("seeds")),
    "design": ("In place of the study's.", _ref("design")),
}

TABLE: Keys = {
    "rows": ("One factor or several; or, alone or last, epoch, class or effect.", _ref("names")),
    "columns": ("Metrics, or one factor.", _ref("names")),
    "metric": ("The number that a table with a factor in its columns shows. Default: top1.", _ref("metric")),
    "where": ("Which levels belong to the table; epoch and class pick rows.", _ref("condition")),
    "baseline": ("The table's own baseline.", _ref("levels_of_factors")),
    "reported": (
        "The paper's figures: row to figures in the columns' order, null where it has none.",
        _ref("reported"),
    ),
    "claims": ("What the paper says of these rows.", _ref("claims")),
    "test": ("How differences are tested. Default: dunnett.", _ref("test")),
    "caption": ("The line above the table.", _TEXT),
}
