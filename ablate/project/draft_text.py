"""A drafted study as the text of a file, with comments that say what was read where and what to edit."""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Iterable, Mapping

from ablate.errors import few
from ablate.project.drafting import Draft
from ablate.study.code.options import UNKNOWN, Option
from ablate.study.code.printed import Printed
from ablate.study.recipes.recipe import nest

WIDTH = 110
_PLAIN = re.compile(r"[A-Za-z_][\w./+-]*")
_LEVEL = re.compile(r"[\w.+-]+")


def study_text(draft: Draft, name: str, commands: Mapping[str, str]) -> str:
    """The study. `commands` has the lines for `plan`, `run` and `report` to copy."""
    factors, baseline = _factors(draft)
    said = f"options read from {draft.program} ({draft.reader})" if draft.reader else "its options could not be read"
    lines = [
        f"# Drafted from a command: {said}{', and from its --help' if draft.asked and draft.reader != '--help' else ''}.",
        *(f"#   {line}" for line in commands.values()),
        "# The whole grammar: docs/study-files.md",
        "",
        f"study: {name}",
        "about: What does each setting do to the result?     # the question, in a sentence",
        "",
        *_recipe(draft),
        "trainer:                            # how the script is called; {NAME} is a setting of the recipe",
        "  command: >-",
        *(f"    {line}" for line in _wrapped(draft.words)),
        *_config(draft),
        *(["  seed: env                         # the script reads ABLATE_SEED"] if draft.seed == "env" else []),
        *_metrics(draft.metrics),
        *_resources(draft.words),
        "",
        *factors,
        *_seeds(draft),
        *([f"baseline: {{{baseline}}}"] if baseline else []),
        *_more(draft.more),
    ]
    return "\n".join(lines) + "\n"


def _recipe(draft: Draft) -> list[str]:
    if not draft.recipe:
        return [
            "recipe: {}                          # settings by name, as in {lr: 0.1}; then --lr {lr} in the command",
            "",
        ]
    lines = ["recipe:                             # what all arms share, as the script has it"]
    nested = nest(draft.recipe)
    for key, value in nested.items():
        option = draft.options.get(key)
        notes = ["FILL IN"] if key in draft.unset else []
        if option is not None and option.choices:
            notes.append(f"one of {few(list(map(str, option.choices)), 8)}")
        text = f"  {key}: {_flow(value)}"
        lines.append(f"{text:<35} # {'; '.join(notes)}" if notes else text)
    return [*lines, ""]


def _config(draft: Draft) -> list[str]:
    if not draft.config:
        return []
    values = ", ".join(f"{_scalar(path)}: {_scalar(text)}" for path, text in draft.config_set.items())
    more = f", set: {{{values}}}" if values else ""
    return [f"  config: {{file: {_scalar(draft.config)}{more}}}     # each run gets a copy with its own settings"]


def _resources(words: Iterable[str]) -> list[str]:
    """A comment where the command launches several processes, which usually take a GPU each."""
    found = re.search(r"--nproc[_-]per[_-]node[= ](\d+)", " ".join(words))
    if found is None or int(found[1]) < 2:
        return []
    return [
        f"# resources: {{gpus: {found[1]}}}             # GPUs of one run; as many runs as fit go at a time, each sees its own"
    ]


def _metrics(metrics: Iterable[Printed]) -> list[str]:
    lines = ["  metrics:"]
    for metric in metrics:
        parts = [f"better: {metric.better}"]
        parts += [f"pattern: {_quoted(metric.pattern)}"] if metric.pattern else []
        parts += ["unit: percent"] if metric.unit else []
        lines.append(
            f"    {metric.name}: {{{', '.join(parts)}}}{'' if metric.pattern else '     # a key of its JSON lines'}"
        )
    if len(lines) > 1:
        return lines
    return [
        "  metrics:                          # GUESSED: nothing that the script prints looks like a metric; docs/study-files.md, Patterns and Metrics from files",
        "    loss: {better: lower, pattern: 'loss\\W+(\\S+)'}",
    ]


def _factors(draft: Draft) -> tuple[list[str], str]:
    """The lines of `factors`, and the baseline's level: the first setting that has another value to try, others as comments."""
    tried = [(path, levels) for path, value in draft.recipe.items() if (levels := _levels(draft.options[path], value))]
    tried.sort(key=lambda pair: 0 if re.search(r"(^|[._])(lr|learning_rate)$", pair[0]) else 1)
    if not tried:
        return ["# factors: {lr: {path: lr, levels: [0.1, 0.03]}}     # what varies; then baseline: {lr: 0.1}"], ""
    lines = ["factors:                            # what varies; each level is an arm"]
    for place, (path, levels) in enumerate(tried[:4]):
        name = path.rpartition(".")[2]
        lines.append(f"  {'# ' if place else ''}{name}: {{path: {path}, levels: [{', '.join(levels)}]}}")
    if len(tried) > 1:
        lines[2] += "     # one factor more: twice the arms, and a level of it in the baseline"
    path, levels = tried[0]
    return lines, f"{path.rpartition('.')[2]}: {levels[0]}"


def _levels(option: Option, value: object) -> list[str]:
    """The value and another one to try; none where nothing is known of others."""
    if option.kind in ("switch", "truth") and isinstance(value, bool):
        return [_scalar(value), _scalar(not value)]
    if option.choices:
        other = next((choice for choice in option.choices if str(choice) != str(value)), None)
        pair = [_scalar(value), _scalar(other)]
        return pair if other is not None and all(_LEVEL.fullmatch(text) for text in pair) else []
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0 or not math.isfinite(value):
        return []
    if re.search(r"epoch|step|iter", option.name):
        return []  # more training is no setting to compare
    other = value * 2 if isinstance(value, int) else float(f"{value / 3:.1g}")
    return [_scalar(value), _scalar(other)]


def _seeds(draft: Draft) -> list[str]:
    if draft.seed:
        return ["seeds: 3                            # replicates of each arm; below 3 nothing is decided"]
    return [
        "seeds: 1                            # the script takes no seed: let it take one (--seed {seed}), or `replace` one that it has, then write 3; below 3 nothing is decided",
    ]


def _more(options: Iterable[Option]) -> list[str]:
    told = []
    for option in options:
        shown = "" if option.kind == "switch" or option.default in (None, UNKNOWN) else f" {option.default}"
        told.append(f"{option.flag}{shown}")
    if not told:
        return []
    text = textwrap.wrap(", ".join(told), WIDTH - 4, break_long_words=False, break_on_hyphens=False)
    return ["", "# More options of the script, which stay as it has them:", *(f"#   {line}" for line in text)]


def _wrapped(words: Iterable[str]) -> list[str]:
    """A command's words in lines, a flag and its value never apart. Quotes are for what holds a blank."""
    lines = [""]
    for word in words:
        text = word if re.fullmatch(r"[^\s'\"\\]+", word) else "'" + word.replace("'", "'\"'\"'") + "'"
        begins = word.startswith("-") or not lines[-1]
        if lines[-1] and begins and len(lines[-1]) + len(text) > 80:
            lines.append(text)
        else:
            lines[-1] = f"{lines[-1]} {text}".strip()
    return lines


def _flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    return _scalar(value)


def _scalar(value: object) -> str:
    """A value as YAML 1.2."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    plain = _PLAIN.fullmatch(text) and text.lower() not in ("true", "false", "null")
    return text if plain else _quoted(text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
