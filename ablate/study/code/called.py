"""The files of a command as it is called, with what its `cwd`, `env`, `setup` and `config` name besides."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ablate.study.assign.bash_line import words_of_line
from ablate.study.assign.command_words import expand
from ablate.study.code.scripts import RUN_DIR, Around, Files, Scripts
from ablate.study.recipes.digest import canonical_json

_AROUND = ("shell", "cwd", "env", "setup")


def key_of(trainer: Mapping[str, Any], seed: int) -> tuple[tuple[str, ...], str, int]:
    """What the files of a run hang on, for a trainer as it is hashed. Of the run itself only the seed may stand in a file's name."""
    around: dict[str, Any] = {name: trainer[name] for name in _AROUND if name in trainer}
    if "config" in trainer:
        around["file"] = trainer["config"]["file"]
    text = canonical_json(around) if around else ""
    given = tuple(map(str, trainer["command"]))
    return given, text, seed if any("{seed}" in word for word in (*given, text)) else 0


def files_of_call(scripts: Scripts, trainer: Mapping[str, Any], seed: int) -> Files:
    """The files of one run of a command."""
    run_dir = {"config": f"{RUN_DIR}/config", "checkpoint": f"{RUN_DIR}/checkpoint"}
    known = {"threads": "1", "port": "1", "study_dir": str(scripts.folder), **run_dir}

    def texts(*given: str) -> tuple[str, ...]:
        return tuple(expand(given, seed, RUN_DIR, known))

    def words(given: list[str]) -> tuple[str, ...]:
        if not trainer.get("shell"):
            return texts(*given)
        return tuple(words_of_line(*expand(given, seed, RUN_DIR, known, quote=shlex.quote)))

    around = Around(
        folder="".join(texts(trainer.get("cwd") or "")),
        variables=texts(*(f"{name}={text}" for name, text in (trainer.get("env") or {}).items() if text is not None)),
        before=(words(trainer["setup"]),) if "setup" in trainer else (),
        files=texts(trainer["config"]["file"]) if "config" in trainer else (),
    )
    return scripts.of_command(words(trainer["command"]), around)
