"""A program's own `--help`: asked for in an empty folder, for a short time, and nothing that it starts outlives it."""

from __future__ import annotations

import itertools
import os
import posixpath
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ablate.errors import NotFound, RunFailure
from ablate.training.foreign.attempt import search_path
from ablate.training.foreign.process import Command

PATIENCE = 20.0
"""Seconds that a program has to print its help."""
_MOST = 1 << 20
_INTERPRETER = re.compile(r"Rscript|julia|perl|ruby|node|(ba|z|da|k)?sh")


def ask_help(words: Sequence[str], program: str, folder: Path, patience: float = PATIENCE) -> str | None:
    """What `--help` prints. `words` are those of a command up to its program, which lies in `folder` under the name `program`, empty
    where it is no Python file. None where it fails or takes too long."""
    environment = {name: value for name, value in os.environ.items() if name != "ABLATE_DB"}
    environment |= {
        "PATH": search_path(environment),
        "COLUMNS": "200",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(folder), environment.get("PYTHONPATH")))),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    asked = [*_called(words, program, folder), "--help"]
    pieces: list[bytes] = []
    until = time.monotonic() + patience
    with tempfile.TemporaryDirectory(prefix="ablate-help-") as empty:
        try:
            with Command(asked, Path(empty), environment) as command:
                while command.ending is None:
                    pieces += [data for data, stdout in command.read(0.1) if stdout]
                    if time.monotonic() > until or sum(map(len, pieces)) > _MOST:
                        return None
                return b"".join(pieces).decode("utf-8", "replace") if command.ending.well else None
        except (NotFound, RunFailure):
            return None


def _called(words: Sequence[str], program: str, folder: Path) -> list[str]:
    """A Python program alone, without what launches several of it; any other as the command begins."""
    if not program:
        own = 2 if _INTERPRETER.fullmatch(posixpath.basename(words[0])) else 1
        return [_whole(word, folder) for word in words[:own]]
    python = next((word for word in words if re.fullmatch(r"python[\d.]*", posixpath.basename(word))), "python")
    module = next((after for before, after in itertools.pairwise(words) if before in ("-m", "--module")), "")
    if module and program.endswith((f"{module.replace('.', '/')}.py", "__main__.py")):
        return [_whole(python, folder), "-m", module]
    return [_whole(python, folder), str(folder / program)]


def _whole(word: str, folder: Path) -> str:
    """A file's absolute path, as the folder is another; a word that is none stays."""
    return str(folder / word) if (folder / word).is_file() else word
