"""Placeholders of a trainer's block, once all arms are known: each has a text in every arm, and a flag a truth value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ablate.errors import nearest
from ablate.study.assign import command_words
from ablate.study.assign.foreign_config import check_config
from ablate.study.assign.foreign_recipe import Written, sections_of
from ablate.study.assign.foreign_trainer import Trainer
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Key, Node

KEYS = ("command", "setup", "cwd", "env", "config")
"""The keys of a trainer's block in which the recipe's placeholders stand."""
_NEEDS = {
    "config": "{config} is the run's own config file, and the trainer has no `config`: write config: {file: base.yaml}.",
    "checkpoint": "{checkpoint} only stands in `resume`, whose words are added where `checkpoint` matches.",
}


def check_holes(
    problems: Problems, trainer: Trainer, arms: Mapping[str, Mapping[str, Written]], folder: Path | None = None
) -> None:
    """One problem for each placeholder that an arm (name -> settings) has nothing for. `folder` is where base config files lie;
    None: they are not looked at."""
    paths = list(dict.fromkeys(path for flat in arms.values() for path in flat))
    own = trainer.filling({}).own
    for hole in trainer.holes:
        if command_words.is_of_the_run(hole, paths, own):
            _check_of_the_run(problems, trainer, hole, paths)
            continue
        without = next((name for name, flat in arms.items() if hole not in flat), None)
        unfit = next((flat[hole] for flat in arms.values() if hole in flat and flat[hole].text is None), None)
        if unfit is not None:
            message = f"{{{hole}}} is {show(unfit.value)}, which cannot be written into a command."
            problems.add(_place(problems, hole), "wrong-type", message)
        elif hole not in paths:
            problems.add(_place(problems, hole), "unknown-field", _unknown(hole, paths))
        elif without is not None:
            message = f"{{{hole}}}: arm {without} does not set it; give it a value in `recipe`."
            problems.add(_place(problems, hole), "missing", message)
    _check_flags(problems, trainer, arms)
    if trainer.config and folder is not None and not problems.errors:
        fillings = {name: trainer.filling(flat) for name, flat in arms.items()}
        check_config(problems, trainer.config, trainer.holes, fillings, folder)


def _check_of_the_run(problems: Problems, trainer: Trainer, hole: str, paths: Sequence[str]) -> None:
    if hole in command_words.OF_THE_RUN and hole in paths:
        message = f"{{{hole}}} in a command is set by the run; rename this setting."
        problems.add(("recipe", hole), "bad-name", message)
    elif hole == "checkpoint" or (hole == "config" and not trainer.config):
        problems.add(_place(problems, hole), "missing", _NEEDS[hole])


def _check_flags(problems: Problems, trainer: Trainer, arms: Mapping[str, Mapping[str, Written]]) -> None:
    for flag in command_words.flags(trainer.words):
        for name, flat in arms.items():
            value = flat[flag].value if flag in flat else None
            if not isinstance(value, bool | int | float | None):
                message = f"{{{flag}?...}} asks whether {flag} is true, and it is {show(value)} in arm {name}; write true or false."
                problems.add(_place(problems, flag), "wrong-type", message)
                break


def _unknown(hole: str, paths: Sequence[str]) -> str:
    if hole in {section for path in paths for section in sections_of(path)}:
        inner = [path for path in paths if path.startswith(f"{hole}.")]
        return f"{{{hole}}} is a section; name a setting in it: {', '.join(inner)}."
    known = [*paths, *command_words.OF_THE_RUN]
    hint = nearest(hole, [*known, *command_words.OFFERED])
    return f"{{{hole}}}: the recipe has no {hole!r}.{hint} Known: {', '.join(known)}."


def _place(problems: Problems, hole: str) -> Key:
    """Where a placeholder stands: its word, where that is one of a list or a value of its own."""
    asked = re.compile(rf"\{{{re.escape(hole)}[}}?]")
    for name in KEYS:
        key: Key = ("trainer", name)
        for place, text in _texts(key, problems.document.node(key)):
            if asked.search(text):
                return place
    return ("trainer", "command")


def _texts(key: Key, node: Node | None) -> Iterator[tuple[Key, str]]:
    if node is None:
        return
    if node.kind == "scalar":
        yield key, node.text
    for index, item in enumerate(node.items):
        yield from _texts((*key, index), item)
    for name, item in node.named.items():
        yield from _texts((*key, name), item)
