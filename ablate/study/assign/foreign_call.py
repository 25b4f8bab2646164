"""How a command is called: its words, `cwd`, `env`, `shell` and `setup` of `trainer:`. All of them are hashed, filled by the recipe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ablate.study.assign import bash_line, command_words
from ablate.study.assign.command_words import Word
from ablate.study.assign.foreign_recipe import Text, Written
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Key

BASH = "bash"
KEYS = ("cwd", "env", "shell", "setup")
REFUSED = re.compile(r"ABLATE_.*|CUDA_VISIBLE_DEVICES")
"""Variables that are ours to set."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_EXAMPLE = "python train.py --lr {lr} --seed {seed}"
_NO_WORDS = f"has no program; write, for example, {_EXAMPLE}."


@dataclass(frozen=True)
class Filling:
    """One arm's recipe, to fill words with; `own` are the placeholders that the trainer has keys for."""

    recipe: Mapping[str, Written]
    own: tuple[str, ...] = ()

    @cached_property
    def texts(self) -> dict[str, Text]:
        return {path: written.text for path, written in self.recipe.items()}

    @cached_property
    def values(self) -> dict[str, object]:
        return {path: written.value for path, written in self.recipe.items()}

    def words(self, words: Sequence[Word], shell: str = "") -> list[str]:
        """Words, or the one line of a shell, with all that the recipe knows."""
        if shell:
            return [bash_line.fill_line(line, self.texts, self.values, self.own) for line in words]
        return command_words.fill(command_words.chosen(words, self.values), self.texts, self.own)

    def text(self, word: Word) -> str | None:
        """One text; None where it is a flag's word that is left out."""
        kept = command_words.chosen([word], self.values)
        return "".join(command_words.fill_part(part, self.texts, self.own) for part in kept[0]) if kept else None

    def is_of_the_run(self, name: str) -> bool:
        return command_words.is_of_the_run(name, self.recipe, self.own)


@dataclass(frozen=True)
class Call:
    """What is around a command's words. An `env` of None is passed on from the caller, and its value is never kept."""

    shell: str = ""
    setup: tuple[Word, ...] = ()
    cwd: Word = ()
    env: Mapping[str, Word | None] = field(default_factory=dict)

    def words(self) -> list[Word]:
        """All that has placeholders."""
        return [
            *self.setup,
            *([self.cwd] if self.cwd else []),
            *(word for word in self.env.values() if word is not None),
        ]

    def hashed(self, filling: Filling) -> dict[str, object]:
        """What stands in the hashed text; nothing of a key that is absent."""
        hashed: dict[str, object] = {}
        if self.shell:
            hashed["shell"] = self.shell
        if self.setup:
            hashed["setup"] = filling.words(self.setup, self.shell)
        if self.cwd:
            hashed["cwd"] = filling.text(self.cwd)
        env: dict[str, str | None] = {}
        for name, word in self.env.items():
            text = filling.text(word) if word is not None else None
            if word is None or text is not None:  # a flag's word that is left out is no variable
                env[name] = text
        return {**hashed, "env": env} if env else hashed


def read_call(problems: Problems, place: Key, spec: Mapping[str, object]) -> Call:
    """`cwd`, `env`, `shell` and `setup` of a trainer's block."""
    shell = spec.get("shell")
    if shell is not None and shell != BASH:
        problems.add(
            (*place, "shell"),
            "wrong-value",
            f"must be {BASH}, not {show(shell)}; leave it out to call the words themselves.",
        )
    shell = BASH if shell is not None else ""
    setup = read_words(problems, (*place, "setup"), spec["setup"], shell) if spec.get("setup") is not None else ()
    cwd = _cwd(problems, (*place, "cwd")) if spec.get("cwd") is not None else ()
    return Call(shell, setup, cwd, _env(problems, (*place, "env"), spec.get("env")))


def read_words(
    problems: Problems, key: Key, value: object, shell: str = "", empty: str = _NO_WORDS
) -> tuple[Word, ...]:
    """A command line or a list of words as words; for a shell its one line."""
    if shell:
        return _line(problems, key, value, empty)
    if isinstance(value, list):
        texts = problems.names(key, value, "a command line, or a list of words")
        places: list[Key] = [(*key, index) for index in range(len(texts))]
    else:
        line = problems.text(key, "a command line, or a list of words")
        try:
            texts = command_words.split(line)
        except ValueError as error:
            problems.add(key, "bad-format", f"{error}.")
            return ()
        places = [key] * len(texts)
    if not texts or not texts[0]:
        _say_empty(problems, key, empty)
        return ()
    return tuple(word for place, text in zip(places, texts, strict=True) if (word := read_word(problems, place, text)))


def read_word(problems: Problems, key: Key, text: str) -> Word:
    """One word with its placeholders; an empty text is a word, too."""
    try:
        return command_words.parse_word(text) or ("",)
    except ValueError as error:
        problems.add(key, "bad-format", f"{error}.")
        return ()


def unset_here(env: Mapping[str, object], there: Iterable[str]) -> list[str]:
    """The variables that are passed on and are not there."""
    known = set(there)
    return [name for name, value in env.items() if value is None and name not in known]


def _line(problems: Problems, key: Key, value: object, empty: str) -> tuple[Word, ...]:
    if isinstance(value, list):
        problems.add(
            key, "wrong-type", "must be one text for bash, not a list of words, since the trainer has `shell: bash`."
        )
        return ()
    text = problems.text(key, "a line for bash")
    if not text.strip():
        _say_empty(problems, key, empty)
        return ()
    try:
        return (bash_line.parse_line(text),)
    except ValueError as error:
        problems.add(key, "bad-format", f"{error}.")
        return ()


def _say_empty(problems: Problems, key: Key, message: str) -> None:
    if not problems.errors or problems.errors[-1].key != ".".join(map(str, key)):
        problems.add(key, "missing", message)


def _cwd(problems: Problems, key: Key) -> Word:
    text = problems.text(key, "a folder, relative to the study's")
    if not text:
        return ()
    if text.startswith(("/", "~")):
        message = f"{show(text)} must be relative to the study's folder, as in ../repo or {{run_dir}}; results would hang on this machine's paths."
        problems.add(key, "bad-format", message)
        return ()
    return read_word(problems, key, text)


def _env(problems: Problems, key: Key, value: object) -> dict[str, Word | None]:
    found: dict[str, Word | None] = {}
    for name, given in problems.mapping(
        key, value, "a mapping of variables to texts, as in {OMP_NUM_THREADS: 1}"
    ).items():
        place = (*key, name)
        if not _NAME.fullmatch(name):
            problems.add(place, "bad-name", f"{show(name)} is no name of a variable; write letters, digits and _.")
        elif REFUSED.fullmatch(name):
            hint = (
                "give GPUs by `ablate grid run --device` and `--workers`"
                if name.startswith("CUDA")
                else "ABLATE_* say which run it is"
            )
            problems.add(place, "bad-name", f"{name} is set by ablate; {hint}.")
        elif given is None:
            found[name] = None
        elif (text := problems.text(place, "a text")) or problems.document.is_scalar(place):
            found[name] = read_word(problems, place, text)
    return found
