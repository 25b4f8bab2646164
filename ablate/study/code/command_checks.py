"""What is doubtful in a command before it runs: flags that its program does not know, and syntax that only a shell would read."""

from __future__ import annotations

import itertools
import posixpath
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from ablate.errors import nearest
from ablate.study.code.hydra_options import read_hydra
from ablate.study.code.options import Options, read_options
from ablate.study.code.provenance import codes_of
from ablate.study.document.problems import Problems
from ablate.study.document.source import Key
from ablate.study.values.study import Study

_KEY: Key = ("trainer", "command")
_HOLE = re.compile(r"(?<!\$)\{[^{}]*\}")
_SIGNS = ("&&", "||", "|", "&", ";", ">", ">>", "<", "2>", "2>&1", "&>")
_VARIABLE = re.compile(r"\$(\w+|\{\w+\}|\()")
_MAKES_OPTIONS = ("add_argument", "click", "typer", "ArgumentParser", "hydra")


def check_command(problems: Problems, study: Study) -> None:
    """Warn of each flag that the program does not take, and of each kind of shell syntax."""
    trainer = study.trainer or {}
    command = trainer.get("command")
    if command is None or trainer.get("shell"):
        return
    listed = isinstance(command, list)
    try:
        words = [str(word) for word in command] if listed else shlex.split(str(command))
    except ValueError:
        return
    _shell_syntax(problems, words, None if listed else str(command))
    if Path(study.file).is_file():  # of a stored text nobody knows where its scripts lie
        _unknown_flags(problems, study, words)


def _shell_syntax(problems: Problems, words: Sequence[str], line: str | None) -> None:
    if not words or _has_own_reader(words):
        return
    signs = _signs(words) if line is None else _signs_of_line(line)
    if re.match(r"[A-Za-z_]\w*=", words[0]):
        name, _, value = words[0].partition("=")
        message = f"{words[0]} is taken for the program, since no shell reads the command. Write `env: {{{name}: {value}}}` under `trainer`."
        problems.warn(_KEY, "shell-syntax", message)
    if words[0] == "cd":
        message = f"`cd` is taken for the program, since no shell reads the command. Write `cwd: {' '.join(words[1:2])}` under `trainer`."
        problems.warn(_KEY, "shell-syntax", message)
        signs = [sign for sign in signs if sign != "&&"]
    if signs:
        shown = ", ".join(f"`{sign}`" for sign in signs)
        message = f"no shell reads the command, so {shown} would be passed on as text. Write `shell: bash` under `trainer` to have one read it."
        logged = " What a command prints is in the run's log anyway." if {"|", ">", ">>"} & set(signs) else ""
        problems.warn(_KEY, "shell-syntax", message + logged)


def _has_own_reader(words: Sequence[str]) -> bool:
    """Whether a shell that the command names, or `python -c`, reads its words."""
    return any(
        re.fullmatch(r"-[a-z]*c", word) and re.fullmatch(r"(ba|z|da|k)?sh|python[\d.]*", posixpath.basename(before))
        for before, word in itertools.pairwise(words)
    )


def _signs_of_line(line: str) -> list[str]:
    """The signs of a shell in a line; what is quoted holds none, but for variables in double quotes."""
    plain = _HOLE.sub("_", line.replace("{{", "{").replace("}}", "}"))
    single = re.sub(r"'[^']*'", "_", plain)
    bare = re.sub(r'"[^"]*"', "_", single)
    return list(dict.fromkeys([*_signs(bare.split()), *(found[0] for found in _VARIABLE.finditer(single))]))


def _signs(words: Iterable[str]) -> list[str]:
    """`&&`, `|`, `>` and the like by themselves, `>log`, a word that ends in `;`, and `$HOME`."""
    found: list[str] = []
    for word in words:
        begins = re.match(r"[12&]?>>?(?=.)", word)
        found += [word] if word in _SIGNS else [begins[0]] if begins else [";"] if word.endswith(";") else []
        found += [variable[0] for variable in _VARIABLE.finditer(word)]
    return list(dict.fromkeys(found))


def _unknown_flags(problems: Problems, study: Study, words: Sequence[str]) -> None:
    folder = Path(study.file).parent.absolute()
    names = list(dict.fromkeys(name for code in codes_of(study).values() for name in code.files))
    program, rest = split_at_program(words, names)
    if not program:
        return
    known = options_of(folder, program, names)
    if not known.whole:
        return
    flags, spelt = known.flags, _flags_in(rest)
    if known.reader == "hydra":
        keys = {option.name for option in known.options}
        flags = tuple(sorted(keys))
        spelt = [word.partition("=")[0] for word in rest if re.match(r"[A-Za-z_][\w./]*=", word)]
        spelt = [key for key in spelt if not _is_key(key, keys)]
    else:
        spelt = [flag for flag in spelt if not _is_known(flag, flags, known.reader)]
    for flag in dict.fromkeys(spelt):
        shown = ", ".join(flags[:12]) + (", ..." if len(flags) > 12 else "")
        message = f"{program} takes no {flag}.{nearest(flag, flags)} It takes: {shown}."
        problems.warn(_KEY, "unknown-flag", message)


def split_at_program(words: Sequence[str], names: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The Python program of a command, by its name among the files that make it up, and the words behind it; an empty name where
    no word is one."""
    files = [name for name in names if name.endswith(".py")]
    for index, word in enumerate(words):
        meant = posixpath.normpath(word)
        if index and words[index - 1] in ("-m", "--module"):
            meant = word.replace(".", "/")
            found = next((name for name in files if name in (f"{meant}.py", f"{meant}/__main__.py")), "")
        else:
            found = next(
                (name for name in files if name == meant or (word.endswith(".py") and name.endswith(f"/{meant}"))), ""
            )
        if found:
            return found, words[index + 1 :]
    return "", ()


def options_of(folder: Path, program: str, names: Sequence[str]) -> Options:
    """The options of a program in a study's folder; `names` are the files that make it up."""
    hydra = read_hydra(folder / program)
    if hydra is not None:
        return hydra
    return read_options(sources_of(folder, program, names))


def sources_of(folder: Path, program: str, names: Sequence[str]) -> list[str]:
    """The texts of the files that may declare options, the program's first."""
    texts = []
    for name in dict.fromkeys((program, *names)):
        try:
            text = (folder / name).read_text(encoding="utf-8") if name.endswith(".py") else ""
        except (OSError, ValueError):
            continue
        if name == program or any(word in text for word in _MAKES_OPTIONS):
            texts.append(text)
    return texts


def _flags_in(words: Sequence[str]) -> list[str]:
    """The flags among the words behind a program, those that a truth value chooses too: `{amp?--amp}`."""
    found: list[str] = []
    for word in words:
        if word == "--":
            break
        chosen = re.fullmatch(r"\{[^{}?]+\?([^{}]*)\}", word)
        for part in chosen[1].split("|") if chosen else [word]:
            if re.match(r"--?[A-Za-z]", part):
                found.append(part.partition("=")[0])
    return found


def _is_known(flag: str, flags: Sequence[str], reader: str) -> bool:
    """Whole, one letter with its value behind it, or, with argparse, the beginning of a long one."""
    if "{" in flag or flag in flags or flag in ("-h", "--help"):
        return True
    if flag.startswith("--"):
        return reader == "argparse" and any(known.startswith(flag) for known in flags)
    return flag[:2] in flags


def _is_key(key: str, keys: Iterable[str]) -> bool:
    return key.startswith("hydra") or any(known == key or known.startswith(f"{key}.") for known in keys)
