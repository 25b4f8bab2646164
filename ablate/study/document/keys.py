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
    "trainer": ("A command or a Python function that trains, in place of the built-in trainer.", _ref("trainer")),
    "factors": ("What the study varies, by name.", _named("factor")),
    "design": ("Which combinations of levels are trained. Default: full.", _ref("design")),
    "exclude": ("Arms that are left out: a list of rules.", _ref("rules")),
    "include": ("Single arms that are added; levels left out are the baseline's.", _ref("rules")),
    "seeds": ("A number of seeds (3 is 0, 1, 2) or a list of them. Default: 3.", _ref("seeds")),
    "baseline": ("The arm that the others are compared with; a factor left out is matched.", _ref("levels_of_factors")),
    "profiles": ("The same study at other scales, by name.", _named("profile")),
    "labels": (
        "What people read in place of names: FACTOR, FACTOR=LEVEL or METRIC to a text. Not hashed.",
        {"type": ["object", "null"], "additionalProperties": _ref("label")},
    ),
    "tables": ("The tables and figures of the report, by name.", _named("table")),
    "keep": ("Which weights are kept after a run. Default: none. Not hashed.", _ref("keep")),
    "tune": ("A tuning file: each arm is tuned first, and compared as written and at its best.", _TEXT),
    "resources": ("What one run takes: GPUs, cores, memory. Counted, not enforced. Not hashed.", _ref("resources")),
}

FACTOR: Keys = {
    "path": ("The recipe field that every level sets.", _ref("path")),
    "levels": (
        "A list of values for `path`, or a mapping of names to a value or to {field: value, ...}.",
        _ref("levels"),
    ),
    "subsets": ("k members, each a mapping of fields to values; the levels are all of their subsets.", _ref("members")),
    "together": (
        "true: levels are whole settings, compared as such; that one sets several fields is no doubt.",
        {"type": ["boolean", "null"]},
    ),
}

_WORDS: Shape = {"anyOf": [{"type": "string"}, {"type": "array", "items": _TEXT, "minItems": 1}]}
_WORDS_OR_NONE: Shape = {"anyOf": [*_WORDS["anyOf"], {"type": "null"}]}

TRAINER: Keys = {
    "command": (
        "A command line, or a list of words; {path.in.recipe}, {seed} and {run_dir} are filled in. No shell unless `shell` asks for one.",
        _WORDS,
    ),
    "python": (
        "package.module:function, called as function(recipe, seed=..., run_dir=..., report=...).",
        {"type": "string"},
    ),
    "version": (
        "Hashed: raise it when the script changes its numbers. Default: 1.",
        {"type": ["integer", "null"], "minimum": 0},
    ),
    "watch": (
        "Globs, relative to the study's folder: files that are code besides the program and what it imports. Not hashed.",
        _ref("names"),
    ),
    "metrics": ("The numbers that it reports, by name.", _named("metric_declared")),
    "select": ("last, or a metric whose best epoch is reported, for all metrics with epochs. Hashed.", _TEXT),
    "artifacts": ("Globs in {run_dir}: files that are recorded with size and SHA-256. Not hashed.", _ref("names")),
    "seed": ("env: the command reads ABLATE_SEED.", {"enum": ["env", None]}),
    "epochs": (
        "How many epochs or steps a run has: a number, or the path in the recipe that holds it. Not hashed.",
        {"type": ["integer", "string", "null"], "minimum": 1},
    ),
    "cwd": ("The folder that the command runs in, relative to the study's. Default: that. Hashed.", _TEXT),
    "env": (
        "Variables by name, placeholders filled in; without a value, one is passed on and never kept. Hashed.",
        {"type": ["object", "null"], "additionalProperties": _TEXT},
    ),
    "venv": (
        "A virtual or conda environment, relative to the study's folder: its bin is first on PATH. Not hashed.",
        _TEXT,
    ),
    "shell": ("bash: the command is one line for bash, each value quoted. Hashed.", {"enum": ["bash", None]}),
    "setup": ("A command that runs before each attempt; where it fails, the run does. Hashed.", _WORDS_OR_NONE),
    "config": ("A config file of which each run gets its own copy, at {config}. Hashed.", _ref("config")),
    "checkpoint": ("A glob in {run_dir}: what a later attempt goes on from. Not hashed.", _TEXT),
    "resume": (
        "Words that are added where `checkpoint` matches, as in --resume {checkpoint}. Not hashed.",
        _WORDS_OR_NONE,
    ),
    "source": (
        "copy: runs use the code as it was when they were asked for. {git: COMMIT or BRANCH}: they use that; the commit is hashed.",
        {
            "anyOf": [
                {"enum": ["copy", None]},
                {"type": "object", "properties": {"git": _TEXT}, "required": ["git"], "additionalProperties": False},
            ]
        },
    ),
    "replace": (
        "{file: {text: other text}}: changed in a copy of the run's own; each text stands once in its file. Hashed.",
        {
            "type": ["object", "null"],
            "additionalProperties": {"type": "object", "additionalProperties": _TEXT, "minProperties": 1},
        },
    ),
}

CONFIG: Keys = {
    "file": ("The base file (.yaml, .toml, .json, .ini), relative to the study's folder.", _TEXT),
    "set": ("Paths in the file to values; placeholders are filled in.", {"type": ["object", "null"]}),
    "add": ("Paths that the base file lacks and that are added.", _ref("names")),
}

METRIC: Keys = {
    "better": (
        "Which direction is better; needed for metrics that are not ablate's own.",
        {"enum": ["lower", "higher", "neither", None]},
    ),
    "pattern": (
        "A regular expression on lines of the output; its first group is the number.",
        {"type": ["string", "null"]},
    ),
    "unit": ("percent: the numbers are percentages, and kept as fractions. Hashed.", {"enum": ["percent", None]}),
    "file": ("A file, or a glob, in {run_dir} that has the numbers. Hashed, as are the next four.", _TEXT),
    "column": ("Of a CSV or TSV file: the column's name.", _TEXT),
    "path": ("Of a .json, .jsonl or .yaml file: keys joined by dots, or a list of them.", _ref("names")),
    "tag": ("Of TensorBoard's files: the tag.", _TEXT),
    "epoch": ("What counts the file's numbers. Default: epoch, else step, else the row.", _ref("names")),
}

PROFILE: Keys = {
    "recipe": ("Changes to the base recipe; levels apply after them.", _ref("settings")),
    "levels": ("Changes to single levels or members: {FACTOR: {LEVEL: {field: value}}}.", _ref("profile_levels")),
    "exclude": ("Rules that are added to the study's.", _ref("rules")),
    "seeds": ("In place of the study's.", _ref("seeds")),
    "design": ("In place of the study's.", _ref("design")),
    "resources": ("In place of the study's.", _ref("resources")),
}

RESOURCES: Keys = {
    "gpus": ("GPUs of one run; it sees no others.", {"type": ["integer", "null"], "minimum": 0, "maximum": 1024}),
    "cpus": ("Cores of one run.", {"type": ["integer", "null"], "minimum": 1, "maximum": 65536}),
    "memory": (
        "Memory of one run, such as 20G.",
        {"type": ["string", "null"], "pattern": r"^\s*\d+(\.\d+)? ?[MGT](i?B)?\s*$"},
    ),
}

LABEL: Keys = {
    "text": ("What people read.", _TEXT),
    "short": ("The same where there is little space: terminals and figures.", _TEXT),
    "latex": ("The same in LaTeX, as it stands.", _TEXT),
    "show": ("Of a metric: percent prints fractions times 100.", {"enum": ["percent", None]}),
    "digits": ("Of a metric: decimals that are printed.", {"type": ["integer", "null"], "minimum": 0, "maximum": 12}),
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
    "test": ("How differences are tested. Default: moderated.", _ref("test")),
    "caption": ("The line above the table.", _TEXT),
}

TUNING = ("study", "profile", "arms", "recipe", "space", "metric", "sampler", "pruner", "budget", "seeds")
"""The keys of a tuning file."""
