"""A study of somebody's script, drafted from what its source says of itself: its options, its configuration, what it prints."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ablate.errors import NotFound, UsageError
from ablate.project.asking import ask_help
from ablate.project.likely import is_out, is_seed, likely
from ablate.study.assign.command_words import doubled
from ablate.study.code.command_checks import options_of, split_at_program
from ablate.study.code.hydra_options import read_config
from ablate.study.code.options import Option, Options, help_options
from ablate.study.code.printed import Printed, read_printed
from ablate.study.code.scripts import Scripts

CONFIGS = (".yaml", ".yml", ".json", ".toml", ".ini")


@dataclass
class Draft:
    """What is written: the command's words (placeholders in place), the recipe, and what was found besides.

    `more` are options that stay as the script has them. `seed` is how the seed reaches the script: `word`, `env`, `config` or empty.
    """

    words: list[str]
    recipe: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Option] = field(default_factory=dict)
    more: tuple[Option, ...] = ()
    metrics: tuple[Printed, ...] = ()
    seed: str = ""
    config: str = ""
    config_set: dict[str, str] = field(default_factory=dict)
    reader: str = ""
    program: str = ""
    asked: bool = False
    unset: tuple[str, ...] = ()


def draft(command: str, folder: Path, *, ask: bool = False) -> Draft:
    """The draft of a command that runs in a folder. Nothing is executed, but for `--help` where a parser's options cannot all be
    read from its source, or with `ask`. Raises UsageError for a line that cannot be split, NotFound for a script that is not there."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"the command {command!r} cannot be split into words: {str(error).lower()}.") from None
    if not words:
        raise UsageError("the command is empty; give one such as 'python train.py'.")
    files = Scripts(folder).of_command(words)
    if files.absent:
        message = f"the command's {files.absent} was not found from {folder}, where the command will run; write the study beside the script."
        raise NotFound(message, code="absent-script")
    names = list(files.digests)
    program, rest = split_at_program(words, names)
    if not program:
        rest = words[2:] if len(words) > 1 and words[1] in names else words[1:]
    head = [doubled(word) for word in words[: len(words) - len(rest)]]
    options = options_of(folder, program, names) if program else Options()
    asked = ask or (bool(options.reader) and not options.whole and options.reader != "hydra")
    told = ask_help(words[: len(words) - len(rest)], program, folder) if asked else None
    if told is not None:
        options = _joined(options, help_options(told))
    sources = [
        text for name in dict.fromkeys((program, *names)) if name.endswith(".py") for text in _text(folder / name)
    ]
    found = Draft(
        head, reader=options.reader, program=program, asked=told is not None, metrics=read_printed(sources)[:4]
    )
    _fill(found, options, rest, folder)
    if not found.seed and any("ABLATE_SEED" in text for text in sources):
        found.seed = "env"
    return found


def _text(path: Path) -> Iterator[str]:
    try:
        yield path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return


def _joined(options: Options, told: Sequence[Option]) -> Options:
    """The options of the source, with those that only `--help` names."""
    known = set(options.flags)
    new = [option for option in told if not known & set(option.flags)]
    return Options((*options.options, *new), options.reader or "--help", options.whole)


def _fill(found: Draft, options: Options, rest: Sequence[str], folder: Path) -> None:
    """Place what the command gives, then the settings that are likely to matter."""
    hydra = options.reader == "hydra"
    names = {option.name for option in options.options}
    given = _overrides(found, rest, names) if hydra else _given(found, options, rest, folder)
    if not found.config and not hydra:
        _default_config(found, options, folder)
    if found.config:
        _from_config(found, folder)
    left = [option for option in options.options if option.name not in given]
    sections = {name for name in names if any(other.startswith(f"{name}.") for other in names)}
    chosen = likely(option for option in left if option.name not in sections)
    for option in sorted(left, key=lambda one: bool(one.flags) or not one.required):  # words by place come first
        if is_seed(option.name) and option.kind != "switch" and not found.seed:
            found.seed = "word"
            found.words += _spelt(option, "{seed}", hydra)
        elif option.kind == "text" and is_out(option.name) and (option.flags or option.required):
            found.words += _spelt(option, _in_run_dir(option.default), hydra)
        elif option.required and not hydra:
            found.unset += (option.name,)
            _place(found, option, "FILL_IN", hydra)
        elif option in chosen:
            _place(found, option, option.default, hydra)
    if hydra and not any(word.startswith("hydra.run.dir=") for word in found.words):
        found.words.append("hydra.run.dir={run_dir}")
    placed = {*found.recipe, *given}
    others = (option for option in left if option.name not in placed and option.flags)
    found.more = tuple(option for option in others if option.flag not in found.words)


def _given(found: Draft, options: Options, rest: Sequence[str], folder: Path) -> set[str]:
    """Take the words behind the program: values of known options, and numbers behind unknown flags, become settings."""
    by_flag = {flag: option for option in options.options for flag in (*option.flags, option.off) if flag}
    names: set[str] = set()
    waiting = list(rest)
    while waiting:
        word = waiting.pop(0)
        flag, equals, value = word.partition("=") if word.startswith("-") else (word, "", "")
        option = by_flag.get(flag)
        follows = waiting[0] if waiting else ""
        if option is None and re.match(r"--?[A-Za-z]", flag) and _number(value or follows) is not None:
            option = Option(flag.lstrip("-").replace("-", "_"), (flag,), "number")
        if option is None:
            if not _assignment(found, word):
                found.words.append(_config_word(found, word, folder))
            continue
        names.add(option.name)
        if option.kind == "switch":
            _place(found, option, flag != option.off, False)
        elif option.kind == "list" or not (equals or waiting):
            found.words.append(doubled(word))
        else:
            value = value if equals else waiting.pop(0)
            _take(found, option, flag, value, folder)
    return names


def _assignment(found: Draft, word: str) -> bool:
    """Take `LR=0.1`, as make and configurations take them; False where a word is none."""
    name, _, text = word.partition("=")
    number = _number(text)
    if number is None or not re.fullmatch(r"[A-Za-z_][\w.]*", name):
        return False
    if is_seed(name.lower()):
        found.seed = "word"
        found.words.append(f"{name}={{seed}}")
    else:
        _place(found, Option(name, (), "number"), number, True)
    return True


def _take(found: Draft, option: Option, flag: str, value: str, folder: Path) -> None:
    """One option with the value that the command gives it."""
    if is_seed(option.name):
        found.seed = "word"
        found.words += [flag, "{seed}"]
    elif Path(value).suffix in CONFIGS and (folder / value).is_file() and not found.config:
        found.words += [flag, _config_word(found, value, folder)]
    elif option.kind == "text" and is_out(option.name):
        found.words += [flag, _in_run_dir(value)]
    else:
        _place(found, replace(option, flags=(flag,)), _value(value), False)


def _overrides(found: Draft, rest: Sequence[str], known: set[str]) -> set[str]:
    """Hydra's words: `lr=0.1` becomes a setting; others stay, and so does the choice of a group, `model=large`."""
    names: set[str] = set()
    for word in rest:
        key, equals, value = word.partition("=")
        plain = (
            re.fullmatch(r"[A-Za-z_][\w.]*", key) and re.fullmatch(r"[\w.+-]+", value) and not key.startswith("hydra")
        )
        names.add(key)
        if not equals or not plain or any(name.startswith(f"{key}.") for name in known):
            found.words.append(doubled(word))
        elif is_seed(key):
            found.seed = "word"
            found.words.append(f"{key}={{seed}}")
        else:
            _place(found, Option(key), _value(value), True)
    return names


def _place(found: Draft, option: Option, value: object, hydra: bool) -> None:
    """A setting of the recipe, with its word."""
    found.recipe[option.name] = value
    found.options[option.name] = option
    if option.kind == "switch":
        shown = option.flag or option.off
        found.words.append(f"{{{option.name}?{shown}|{option.off}}}" if option.off else f"{{{option.name}?{shown}}}")
    else:
        found.words += _spelt(option, f"{{{option.name}}}", hydra)


def _spelt(option: Option, text: str, hydra: bool) -> list[str]:
    if hydra:
        return [f"{option.name}={text}"]
    return [option.flag, text] if option.flags else [text]


def _config_word(found: Draft, word: str, folder: Path) -> str:
    """A word that names a configuration file becomes `{config}`, the first one; others stay."""
    if not found.config and Path(word).suffix in CONFIGS and not Path(word).is_absolute() and (folder / word).is_file():
        found.config = word
        return "{config}"
    return doubled(word)


def _default_config(found: Draft, options: Options, folder: Path) -> None:
    """The configuration file that an option names where it is not given."""
    for option in options.options:
        value = option.default
        if option.flags and isinstance(value, str) and Path(value).suffix in CONFIGS and (folder / value).is_file():
            found.words += [option.flag, _config_word(found, value, folder)]
            return


def _from_config(found: Draft, folder: Path) -> None:
    """The likely settings of the configuration file; its seed and its folder for results are set in each run's copy."""
    settings = read_config(folder / found.config)
    for option in settings:
        if is_seed(option.name) and option.kind != "truth" and not found.seed:
            found.seed = "config"
            found.config_set[option.name] = "{seed}"
        elif option.kind == "text" and is_out(option.name) and isinstance(option.default, str):
            found.config_set[option.name] = _in_run_dir(option.default)
    for option in likely(settings):
        if option.name not in found.config_set and option.name not in found.recipe:
            found.recipe[option.name] = option.default
            found.options[option.name] = option


def _in_run_dir(value: object) -> str:
    """`{run_dir}`, or a file in it where the script expects one."""
    name = Path(value).name if isinstance(value, str) else ""
    return f"{{run_dir}}/{doubled(name)}" if Path(name).suffix else "{run_dir}"


def _value(text: str) -> int | float | str:
    """The number that a text is; else the text."""
    number = _number(text)
    return text if number is None else number


def _number(text: str) -> int | float | None:
    if re.fullmatch(r"[-+]?\d+", text):
        return int(text)
    return float(text) if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text) else None
