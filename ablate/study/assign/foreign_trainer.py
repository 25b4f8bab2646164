"""`trainer:` in a study file: a command or a Python function in the place of the built-in trainer.

What is hashed with each run: the command as its words come out of the recipe (or the function's name), the version, the metrics
that are looked for, their units and files, what selects an epoch, how the command is called (`foreign_call`, `foreign_config`), the commit
that `source` names and what `replace` puts in, where given. Not hashed: which direction of a metric is better, what `watch` and `artifacts`
name, `source: copy`, `venv`, `epochs`, and what a later attempt goes on from (`foreign_resume`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ablate.study.assign import command_words
from ablate.study.assign.command_words import Word
from ablate.study.assign.foreign_call import KEYS as CALL_KEYS
from ablate.study.assign.foreign_call import Call, Filling, read_call, read_words
from ablate.study.assign.foreign_config import Config, read_config_block
from ablate.study.assign.foreign_recipe import Written
from ablate.study.assign.foreign_resume import CHECKPOINT, RESUME, check_resume
from ablate.study.assign.metric_files import MetricFile, read_artifacts, read_metric_file
from ablate.study.assign.script_epochs import read_epochs
from ablate.study.assign.selecting import read_select
from ablate.study.assign.source_keys import Source, read_source
from ablate.study.document.keys import METRIC, TRAINER
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Key
from ablate.study.recipes.normalise import CALLABLE
from ablate.study.values.metrics import METRICS, SPLITS, MetricName, metric_name

BETTER = ("lower", "higher", "neither")
SEED = "env"
PERCENT = "percent"
"""The unit of a metric that is told in percent and kept as a fraction."""
COUNTERS = ("epoch", "step")
"""Groups of a pattern that say where a number belongs, and keys of a JSON line that do."""
OF = "of"
"""The group of a pattern that a number is a share of."""
RATIO = "ratio"
"""The unit of such a metric: a pattern of before there were any means another number."""

FOR_COMMANDS = (*CALL_KEYS, "venv", "config", CHECKPOINT, RESUME)
"""Keys that a function has no use for."""
UNHASHED = ("venv", CHECKPOINT, RESUME)
"""Those that no hash has: an execution is told of them by its options."""

BUILT_IN = "ablate.training.trainer:fit"
"""Where ablate's own trainer is."""

_KEY: Key = ("trainer",)
_METRIC = re.compile(r"(?=.{1,80}\Z)[^\s,()=/]+(/[^\s,()=/]+)*")
_OUR_KEYS = ("epoch", "step", "split", "class", "effect")


@dataclass(frozen=True)
class Trainer:
    """A trainer as declared: `command` (words with placeholders) or `python` (`package.module:function`)."""

    command: tuple[Word, ...] = ()
    python: str = ""
    version: int = 1
    better: Mapping[str, str] = field(default_factory=dict)
    patterns: Mapping[str, str | None] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, MetricFile] = field(default_factory=dict)
    select: Mapping[str, str] = field(default_factory=dict)
    seed_by_environment: bool = False
    epochs: int | str | None = None
    declared: Mapping[str, Any] = field(default_factory=dict)
    call: Call = field(default_factory=Call)
    config: Config | None = None
    source: Source = field(default_factory=Source)

    def hashed(self, recipe: Mapping[str, Written]) -> dict[str, Any]:
        """What stands beside the recipe of one arm, JSON-ready: all that an execution needs to know. A key that is absent stands
        nowhere in it."""
        filling = self.filling(recipe)
        what = {"command": filling.words(self.command, self.call.shell)} if self.command else {"python": self.python}
        units = {"units": dict(self.units)} if self.units else {}
        files = {name: file.hashed(filling.texts) for name, file in self.files.items()}
        more = {"files": files, "select": dict(self.select)}
        config = {"config": self.config.hashed(filling, self.holes)} if self.config else {}
        around = {**{key: value for key, value in more.items() if value}, **self.call.hashed(filling), **config}
        around |= self.source.hashed(filling)
        return {**what, "version": self.version, "metrics": dict(self.patterns), **units, **around}

    def filling(self, recipe: Mapping[str, Written]) -> Filling:
        """One arm's recipe, to fill words with."""
        return Filling(recipe, tuple(name for name in ("config", "checkpoint") if self.declared.get(name) is not None))

    @property
    def words(self) -> list[Word]:
        """All that has placeholders: the command, and what is around it."""
        return [*self.command, *self.call.words(), *(self.config.words() if self.config else ()), *self.source.words()]

    @property
    def file_words(self) -> list[Word]:
        """What has placeholders in the places of metrics that stand in files."""
        return [word for file in self.files.values() for word in file.words]

    @cached_property
    def holes(self) -> list[str]:
        """The names of all placeholders that the command is called with."""
        return command_words.holes(self.words)

    @cached_property
    def all_holes(self) -> list[str]:
        """Those, and the placeholders of files that metrics stand in."""
        return command_words.holes([*self.words, *self.file_words])

    @property
    def takes_seed(self) -> bool:
        """Whether the seed has a way to reach it."""
        return bool(self.python) or self.seed_by_environment or "seed" in self.holes


def read_trainer(problems: Problems, value: object, commit_of: Callable[[str], str] = str) -> Trainer | None:
    """The `trainer` block; None for the built-in trainer. A broken one is read as far as it goes. `commit_of` says which commit a
    branch means."""
    if value is None:
        return None
    spec = problems.mapping(_KEY, value, "a mapping with `command` or `python`")
    problems.known_keys(_KEY, spec, TRAINER)
    if isinstance(value, dict) and ("command" in spec) == ("python" in spec):
        problems.add(_KEY, "missing", "needs either `command` or `python`.")
    for name in FOR_COMMANDS if "python" in spec and "command" not in spec else ():
        if spec.get(name) is not None:
            problems.add(
                (*_KEY, name),
                "unsupported",
                "is only for commands; a function has its recipe, its seed and this process.",
            )
    call = read_call(problems, _KEY, spec)
    command = read_words(problems, (*_KEY, "command"), spec["command"], call.shell) if "command" in spec else ()
    check_resume(problems, _KEY, spec)
    config = read_config_block(problems, spec.get("config"))
    python = _python(problems, spec["python"]) if "python" in spec else ""
    better, patterns, units, files = _metrics(problems, spec.get("metrics"), by_pattern="python" not in spec)
    select = read_select(problems, (*_KEY, "select"), spec.get("select"), known_names(patterns), patterns, better)
    if spec.get("artifacts") is not None:
        read_artifacts(problems, (*_KEY, "artifacts"), spec["artifacts"])
    seed = spec.get("seed")
    if seed is not None and (seed != SEED or "python" in spec):
        hint = "a function is handed its seed" if "python" in spec else f"must be {SEED}, not {show(seed)}"
        problems.add(
            (*_KEY, "seed"), "wrong-value", f"{hint}; `seed: {SEED}` means that the command reads ABLATE_SEED."
        )
    if spec.get("watch") is not None:
        _check_globs(problems, (*_KEY, "watch"), spec["watch"])
    version = _version(problems, spec.get("version"))
    epochs = read_epochs(problems, spec.get("epochs"))
    if spec.get("venv") is not None:
        problems.text((*_KEY, "venv"), "the folder of an environment, as in ../.venv")
    if isinstance(spec.get("metrics"), dict):
        spec = {**spec, "metrics": {metric_name(name): item for name, item in spec["metrics"].items()}}
    source = replace(read_source(problems, spec), commit_of=commit_of)
    takes_seed = seed == SEED
    return Trainer(
        command, python, version, better, patterns, units, files, select, takes_seed, epochs, spec, call, config, source
    )


def fit_name(trainer: Mapping[str, Any] | None) -> str:
    """Where the execution of a study's trainer is, as `package.module:function`."""
    if trainer is None:
        return BUILT_IN
    return f"ablate.training.foreign.{'command' if 'command' in trainer else 'python'}:fit"


def options_of(trainer: Mapping[str, Any] | None) -> dict[str, Any]:
    """What an execution is told beside the run, of a study's `trainer` block."""
    return {name: trainer[name] for name in UNHASHED if trainer.get(name) is not None} if trainer else {}


def known_names(declared: Mapping[str, Any]) -> set[str]:
    """The metrics that a trainer may report: those that it declares and ours, on any split."""
    names = {*METRICS, *declared}
    return {*names, *(str(MetricName(split, name)) for split in SPLITS for name in names)}


def unit_of(trainer: Mapping[str, Any] | None, metric: str) -> str:
    """`fraction` for a metric that a declared trainer tells in percent, else empty."""
    spec = ((trainer or {}).get("metrics") or {}).get(metric) or {}
    return "fraction" if spec.get("unit") == PERCENT or is_ratio(spec.get("pattern")) else ""


def _python(problems: Problems, value: object) -> str:
    if isinstance(value, str) and re.fullmatch(CALLABLE, value):
        return value
    problems.add((*_KEY, "python"), "bad-format", f"must be package.module:function, not {show(value)}.")
    return ""


def _check_globs(problems: Problems, key: Key, value: object) -> None:
    for glob in problems.names(key, value, "a glob or a list of globs, as in [model.py, 'src/**/*.py']"):
        if not glob.strip() or glob.startswith(("/", "~")):
            problems.add(
                key, "bad-format", f"{show(glob)} is not a glob relative to the study's folder, such as 'src/**/*.py'."
            )


def _version(problems: Problems, value: object) -> int:
    if value is None:
        return 1
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
        return value
    problems.add((*_KEY, "version"), "out-of-range", f"must be a whole number from 0, not {show(value)}.")
    return 1


def _metrics(
    problems: Problems, value: object, *, by_pattern: bool
) -> tuple[dict[str, str], dict[str, str | None], dict[str, str], dict[str, MetricFile]]:
    """({name: better} of metrics that are not ours, {name: pattern or None} of all, {name: unit} where one is given, {name: file} of
    those that stand in one)."""
    better: dict[str, str] = {}
    patterns: dict[str, str | None] = {}
    units: dict[str, str] = {}
    files: dict[str, MetricFile] = {}
    key: Key = (*_KEY, "metrics")
    for written, spec in problems.mapping(key, value, "a mapping of names to {better: ..., pattern: ...}").items():
        place, name = (*key, written), metric_name(written)
        if not _METRIC.fullmatch(written) or not written.isprintable() or name in _OUR_KEYS:
            problems.add(
                place,
                "bad-name",
                f"{show(written)} is not a valid metric name: no blanks, commas, parentheses or '=', and names on both sides of a slash.",
            )
            continue
        if name in patterns:
            problems.add(place, "duplicate", f"{show(written)} is the metric {name}, which is declared already.")
            continue
        spec = problems.mapping(place, spec, "a mapping such as {better: lower, pattern: 'loss (\\S+)'}")
        problems.known_keys(place, spec, METRIC)
        direction = _better(problems, place, name, spec.get("better"))
        if direction is not None:
            better[name] = direction
        patterns[name] = None
        if spec.get("pattern") is not None:
            patterns[name] = _pattern(problems, (*place, "pattern"), by_pattern)
        if spec.get("unit") is not None and _is_percent(problems, (*place, "unit"), name, spec["unit"]):
            units[name] = PERCENT
        if is_ratio(patterns[name]):
            if name in units:
                problems.add(
                    (*place, "unit"), "conflict", f"a pattern with a group named {OF} gives a fraction already."
                )
            units[name] = RATIO
        if (file := read_metric_file(problems, place, spec)) is not None:
            files[name] = file
    return better, patterns, units, files


def _better(problems: Problems, key: Key, name: str, value: object) -> str | None:
    """A declared direction; None for a metric of ours, which has its own."""
    ours = METRICS.get(name)
    if value is None:
        if ours is None:
            problems.add(
                key, "missing", f"needs `better`, one of {', '.join(BETTER)}: {name} is not a built-in metric."
            )
        return None
    if value not in BETTER:
        problems.add((*key, "better"), "wrong-value", f"must be one of {', '.join(BETTER)}, not {show(value)}.")
        return None
    if ours is not None and value != ours.better:
        message = f"{name} is a built-in metric ({ours.about}; better: {ours.better}); give yours another name."
        problems.add((*key, "better"), "conflict", message)
    return None if ours is not None else str(value)


def _is_percent(problems: Problems, key: Key, name: str, value: object) -> bool:
    ours = METRICS.get(name)
    if value != PERCENT:
        problems.add(
            key, "wrong-value", f"must be {PERCENT}, not {show(value)}; leave it out to take numbers as written."
        )
    elif ours is not None and ours.unit != "fraction":
        problems.add(key, "conflict", f"{name} is a built-in metric and not a fraction ({ours.about}).")
    else:
        return True
    return False


def _pattern(problems: Problems, key: Key, by_pattern: bool) -> str | None:
    if not by_pattern:
        problems.add(key, "unsupported", "is only for commands; a function reports its numbers itself.")
        return None
    text = problems.text(key, "a regular expression")
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        problems.add(key, "bad-format", f"is not a valid regular expression: {error}.")
        return None
    if not number_groups(pattern):
        problems.add(key, "bad-format", f"{show(text)} has no group for the number, as in 'val loss (\\S+)'.")
    return text


def is_ratio(pattern: object) -> bool:
    """Whether a pattern has a group named `of` beside that of the number."""
    try:
        compiled = re.compile(str(pattern or ""))
    except (re.error, RecursionError, OverflowError):
        return False
    return OF in compiled.groupindex and bool(number_groups(compiled))


def number_groups(pattern: re.Pattern[str]) -> list[int]:
    """The groups that are not named epoch, step or of: the number is the first of them that takes part in a match."""
    counters = {pattern.groupindex[name] for name in (*COUNTERS, OF) if name in pattern.groupindex}
    return [group for group in range(1, pattern.groups + 1) if group not in counters]
