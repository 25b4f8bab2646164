"""What a trainer is called where people read of it: the program and its script, without options."""

from __future__ import annotations

import contextlib
import itertools
import re
import shlex
from collections.abc import Mapping
from typing import Any

_SHELLS = ("sh", "bash", "zsh", "dash")
_SCRIPT = re.compile(r"\.(py|sh|R|r|jl|ipynb)\Z")
_LAUNCHERS = ("torch.distributed.run", "torch.distributed.launch", "accelerate.commands.launch")
_WITH_VALUE = ("-u", "-C", "--unset", "--chdir")  # options of `env` whose value is a word of its own


def trainer_title(trainer: Mapping[str, Any]) -> str:
    """A declared trainer in a few words, for the line that says how a table was measured: `own command python train.py`."""
    if "python" in trainer:
        return f"own trainer {trainer['python']}"
    command = trainer["command"]
    line = ["bash", "-c", str(command)] if trainer.get("shell") else None
    given = _program(line or (list(map(str, command)) if isinstance(command, list) else shlex.split(str(command))))
    head = list(itertools.takewhile(lambda word: not word.startswith("-") and "{" not in word, given)) or given[:1]
    text = " ".join([*head, *_script(given, len(head))])
    return f"own command {text if len(text) <= 60 else text[:57] + '...'}"


def _script(given: list[str], after: int) -> list[str]:
    """The script that a program is started with, behind its options: `python -m pkg.mod`, `torchrun --standalone train.py`."""
    if any(map(_SCRIPT.search, given[:after])):
        return []
    for index, word in enumerate(given[after:], after):
        if word == "-m" and index + 1 < len(given) and given[index + 1] not in _LAUNCHERS:
            return given[index : index + 2]
        name = word.rpartition("/")[2] if "{" in word else word
        if _SCRIPT.search(name) and "{" not in name:
            return [name]
    return []


def _program(given: list[str]) -> list[str]:
    """The words from the program on that `env` or a shell starts."""
    first = given[0].rpartition("/")[2] if given else ""
    rest = given[1:]
    if first == "env":
        while rest and (rest[0].startswith("-") or "=" in rest[0]):
            rest = rest[2:] if rest[0] in _WITH_VALUE else rest[1:]
        return _program(rest) if rest else given
    if first in _SHELLS and len(rest) > 1 and re.fullmatch("-[a-z]*c", rest[0]):
        line = next(iter(rest[1].strip().splitlines()), "")
        with contextlib.suppress(ValueError):  # a quote that goes on in the next line
            return _program(shlex.split(line)) or given
    return given
