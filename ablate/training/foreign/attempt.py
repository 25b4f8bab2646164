"""One attempt of a run as its command is called: the words, the folder and the environment, from what is hashed and `Context.options`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ablate.errors import NotFound
from ablate.study.assign.bash_line import words_of_line
from ablate.study.assign.command_words import expand
from ablate.study.assign.foreign_call import unset_here
from ablate.study.assign.foreign_config import written_config
from ablate.study.assign.foreign_resume import CHECKPOINT, RESUME, newest, resume_words
from ablate.study.records import Context
from ablate.study.values.run import Run
from ablate.training.foreign.about import own_folder
from ablate.training.foreign.place import code_folder, study_folder

RECIPE_FILE = "recipe.json"
_KEPT_BACK = ("ABLATE_DB",)
_PATIENCE = 20.0
"""Seconds that an interpreter has to tell its version."""


class Attempt:
    """`run_dir` is the run's own folder, `port` what `{port}` stands for, `place` the study's folder or what stands for it, a snapshot
    or a copy of the run's own; only `write` changes anything."""

    def __init__(self, run: Run, context: Context, port: int | None = None, place: Path | None = None) -> None:
        assert run.trainer is not None
        self._run, self._context, self._trainer = run, context, run.trainer
        self.run_dir, self._place = own_folder(run, context, make=False), place or code_folder(run, context)
        self._known = {
            "run_dir": str(self.run_dir),
            "study_dir": str(self._place),
            "threads": str(context.threads),
            "port": "{port}" if port is None else str(port),
        }
        if config := self._trainer.get("config"):
            self._known["config"] = str(self.run_dir / Path(*self._expand(config["file"])).name)
        if checkpoint := self.checkpoint:
            self._known["checkpoint"] = checkpoint

    @property
    def needs_port(self) -> bool:
        return "{port}" in json.dumps([self._trainer, self._context.options.get(RESUME)])

    @cached_property
    def folder(self) -> Path:
        """Where the command runs."""
        (text,) = self._expand(self._trainer.get("cwd") or ".")
        return Path(os.path.normpath(self._place / text))

    @cached_property
    def checkpoint(self) -> str | None:
        """What the run goes on from; None in its first attempt, and where it has left nothing."""
        options = self._context.options
        if RESUME not in options or int(options.get("attempt", 1)) < 2:
            return None
        return newest(str(options[CHECKPOINT]), self._run.seed, str(self.run_dir), self.folder)

    @property
    def added(self) -> list[str]:
        """The words that are added to the command to go on from there."""
        if self.checkpoint is None:
            return []
        return resume_words(self._context.options[RESUME], self._run.seed, self._known)

    def words(self, *, resume: bool = True) -> list[str]:
        """The command's words."""
        added = self.added if resume else []
        return (
            self._line(self._trainer["command"], added)
            if self._shell
            else [*self._expand(*self._trainer["command"]), *added]
        )

    def shown(self) -> list[str]:
        """The words for people, behind `env` with what the study sets. What only a worker knows stands as `{port}`, `{threads}`."""
        self._known |= {"port": "{port}", "threads": "{threads}"}
        given = {name: text for name, text in self._env.items() if text is not None}
        env = [f"{name}={text}" for name, text in zip(given, self._expand(*given.values()), strict=True)]
        return [*(["env", *env] if env else []), *self.words()]

    @property
    def setup(self) -> list[str]:
        """The words of what runs before; none where nothing does."""
        given = self._trainer.get("setup") or []
        return self._line(given) if given and self._shell else self._expand(*given)

    @property
    def secrets(self) -> list[str]:
        """Values that are passed on and never shown."""
        return [os.environ[name] for name, text in self._env.items() if text is None and os.environ.get(name)]

    @cached_property
    def environment(self) -> dict[str, str]:
        """The command's whole environment. Raises NotFound for an environment (`venv`) or a variable that is not there."""
        found = {name: value for name, value in os.environ.items() if name not in _KEPT_BACK}
        found.setdefault("PYTHONUNBUFFERED", "1")  # a number is seen when it is printed, and none is lost in a kill
        if absent := unset_here(self._env, os.environ):
            raise NotFound(
                f"trainer.env passes {', '.join(absent)} on, which is not set here; set it where workers start"
            )
        if self.venv is not None:
            found = activated(found, self.venv)
        found["PATH"] = search_path(found)
        given = {name: text for name, text in self._env.items() if text is not None}
        return {
            **found,
            **dict(zip(given, self._expand(*given.values()), strict=True)),
            "ABLATE_RUN_ID": self._run.run_id,
            "ABLATE_RUN_DIR": str(self.run_dir),
            "ABLATE_RECIPE": str(self.run_dir / RECIPE_FILE),
            "ABLATE_SEED": str(self._run.seed),
        }

    @property
    def venv(self) -> Path | None:
        """The prefix of the environment that the study names."""
        given = self._context.options.get("venv")
        return (
            None
            if given is None
            else Path(os.path.normpath(study_folder(self._context) / os.path.expanduser(str(given))))
        )

    def write(self) -> None:
        """The run's recipe and its config file, and its own working folder. Raises NotFound for another folder that is not there."""
        if not self._place.is_dir():
            raise NotFound(f"the study's folder {self._place}, in which the command runs, does not exist")
        self.run_dir.mkdir(parents=True, exist_ok=True)
        if self.folder.is_relative_to(self.run_dir):
            self.folder.mkdir(parents=True, exist_ok=True)
        if not self.folder.is_dir():
            raise NotFound(f"trainer.cwd: the folder {self.folder} does not exist")
        recipe = self._run.recipe.json
        _write(self.run_dir / RECIPE_FILE, json.dumps(recipe, indent=1, ensure_ascii=False))
        if block := self._trainer.get("config"):
            name, text = written_config(block, recipe, self._place, self._known, self._run.seed)
            _write(self.run_dir / name, text)

    def told(self) -> dict[str, Any]:
        """What an attempt's environment keeps: the program, the command with its folder, the interpreter of a `venv`, what it goes on from."""
        path = self.environment["PATH"]
        words = self.words()
        found: dict[str, Any] = {
            "program": shutil.which(words[0], path=path),
            "command": shlex.join(words),
            "cwd": str(self.folder),
        }
        if self.venv is not None:
            python = str(self.venv / "bin" / "python")
            version = version_of(python, self.environment)
            found["venv"] = {"folder": str(self.venv), "python": python if version else None, "version": version}
        if self.checkpoint is not None:
            found["resumed"] = {"checkpoint": os.path.relpath(self.checkpoint, self.run_dir), "words": self.added}
        return found

    @property
    def _shell(self) -> bool:
        return bool(self._trainer.get("shell"))

    @property
    def _env(self) -> Mapping[str, str | None]:
        return self._trainer.get("env") or {}

    def _expand(self, *words: str) -> list[str]:
        return expand(words, self._run.seed, self._known["run_dir"], self._known)

    def _line(self, given: list[str], added: list[str] | None = None) -> list[str]:
        (line,) = expand(given, self._run.seed, self._known["run_dir"], self._known, quote=shlex.quote)
        return words_of_line(line, added or [])


def activated(environment: Mapping[str, str], prefix: Path) -> dict[str, str]:
    """An environment as if a virtual or conda environment were active. Raises NotFound where there is none."""
    programs = prefix / "bin"
    if not programs.is_dir():
        raise NotFound(f"trainer.venv: {prefix} is no environment, as it has no folder bin")
    ours = "CONDA_PREFIX" if (prefix / "conda-meta").is_dir() else "VIRTUAL_ENV"
    kept = {
        name: value for name, value in environment.items() if name not in ("PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX")
    }
    path = os.pathsep.join((str(programs), environment.get("PATH", os.defpath)))
    return {**kept, ours: str(prefix), "PATH": path}


def version_of(python: str, environment: Mapping[str, str]) -> str | None:
    """The version of an interpreter; None where it is not there, or does not tell."""
    asked = [python, "-I", "-S", "-c", "import platform; print(platform.python_version())"]
    try:
        done = subprocess.run(
            asked, capture_output=True, text=True, timeout=_PATIENCE, env=dict(environment), check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def search_path(environment: Mapping[str, str]) -> str:
    """Where programs are looked for. An active environment decides which `python` is meant; where none is, as after
    `.venv/bin/ablate`, it is the one that ablate runs in."""
    given, ours = environment.get("PATH", os.defpath), os.path.dirname(sys.executable)
    active = environment.get("VIRTUAL_ENV") or environment.get("CONDA_PREFIX")
    return os.pathsep.join((given, ours) if active else (ours, given))


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
