"""What is doubtful about a study of somebody's script: settings that never reach it, and what is not where the study lies."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ablate.study.assign.foreign_call import unset_here
from ablate.study.code.command_checks import check_command
from ablate.study.code.provenance import codes_of
from ablate.study.code.scripts import globs_of, matches
from ablate.study.document.problems import Problems, show
from ablate.study.values.study import Study

_ASKED = re.compile(r"\{([^\s{}?]+)[?}]")
_PORT = re.compile(r"(--?(?:master|main[-_]process|rdzv)[-_](?:port|endpoint))(?:=|\s+)(?:[^\s:=]*:)?([1-9]\d*)(?!\S)")
"""A port of torchrun or `accelerate launch` that is written out; 0 is any that is free."""
_HEARD_IN = ("command", "setup", "cwd", "env", "config", "source", "replace")


def lint_script(problems: Problems, study: Study) -> None:
    """Warnings of a study with a trainer of its own."""
    _unheard(problems, study)
    check_command(problems, study)
    _same_port(problems, study)
    if Path(study.file).is_file():  # of a stored text it is not known where its scripts lie
        _not_here(problems, study, Path(study.file).parent.absolute())


def _unheard(problems: Problems, study: Study) -> None:
    """Settings that a factor varies and that no placeholder names: a script that reads its command line never hears of them. All that
    is not named is set in a config file, where there is one."""
    trainer = study.trainer or {}
    if "command" not in trainer or trainer.get("config"):
        return
    asked = {name for key in _HEARD_IN for text in _texts(trainer.get(key)) for name in _ASKED.findall(text)}
    for factor in study.factors:
        paths = dict.fromkeys(path for level in factor.levels for path in level.sets)
        unheard = [path for path in paths if path not in asked]
        if unheard and len(unheard) == len(paths):
            problems.warn(
                ("factors", factor.name),
                "no-effect",
                f"sets {', '.join(unheard)}, but the command does not use {{{unheard[0]}}}: "
                "unless the script reads ABLATE_RECIPE, its levels do not differ.",
            )


def _same_port(problems: Problems, study: Study) -> None:
    """A port that all runs would open: of those at the same time, one alone can."""
    trainer = study.trainer or {}
    for flag, port in _PORT.findall(" ".join(_texts(trainer.get("command")))):
        message = f"{flag} {port} is one port for all runs, which meet there when two go at a time; write {{port}} in its place"
        problems.warn(("trainer", "command"), "same-port", f"{message}, or torchrun's --standalone.")
    port = str((trainer.get("env") or {}).get("MASTER_PORT") or "")
    if port.isdigit():
        message = (
            f"{port} is one port for all runs, which meet there when two go at a time; write {{port}} in its place."
        )
        problems.warn(("trainer", "env", "MASTER_PORT"), "same-port", message)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
    elif value is not None:
        yield str(value)


def _not_here(problems: Problems, study: Study, folder: Path) -> None:
    """A program, a folder, variables or files to watch that are not here: its runs would fail, or go stale unnoticed."""
    trainer = study.trainer or {}
    absent = dict.fromkeys(code.absent for code in codes_of(study).values() if code.absent)
    if absent:
        key = "command" if "command" in trainer else "python"
        what = "names" if key == "command" else "is in"
        problems.warn(
            ("trainer", key),
            "absent-file",
            f"{what} {', '.join(absent)}, which was not found from the study's folder, {folder}.",
        )
    for glob in globs_of(trainer):
        if not matches(folder, glob):
            problems.warn(("trainer", "watch"), "absent-file", f"{show(glob)} matches no file in {folder}.")
    cwd = {str(run.trainer["cwd"]) for run in study.runs if run.trainer and run.trainer.get("cwd")}
    if gone := next((name for name in sorted(cwd) if "{" not in name and not (folder / name).is_dir()), None):
        problems.warn(("trainer", "cwd"), "absent-file", f"{show(gone)} is no folder in {folder}.")
    if trainer.get("venv") is not None and not (folder / os.path.expanduser(str(trainer["venv"])) / "bin").is_dir():
        problems.warn(
            ("trainer", "venv"),
            "absent-file",
            f"{show(trainer['venv'])} is no environment, seen from {folder}: it has no folder bin.",
        )
    env = trainer.get("env")
    for name in unset_here(env, os.environ) if isinstance(env, dict) else ():
        problems.warn(("trainer", "env", name), "missing", f"{name} is passed on, and it is not set here.")
