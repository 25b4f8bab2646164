"""An unmodified script as a trainer: `trainer: {command: ...}`. No shell ever sees a word of it.

The command runs in the study file's folder, in a process group of its own, with `ABLATE_RUN_ID`, `ABLATE_RUN_DIR`, `ABLATE_RECIPE` (a
JSON file) and `ABLATE_SEED`, and without `ABLATE_DB`. What it prints goes to the attempt's log.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ablate.errors import Interrupted, NotFound, RunFailure
from ablate.study.assign.command_words import expand
from ablate.study.records import Context, Outcome
from ablate.study.values.run import Run
from ablate.training.foreign.about import about, own_folder
from ablate.training.foreign.lines import Lines
from ablate.training.foreign.measured import Measured
from ablate.training.foreign.output import Output
from ablate.training.foreign.place import ended, working_folder
from ablate.training.foreign.process import Command, Ending

GRACE = 10.0
"""Seconds that a command has to end by itself after SIGTERM."""
POLL = 0.2
_KEPT_BACK = ("ABLATE_DB",)
RECIPE_FILE = "recipe.json"


def fit(run: Run, context: Context) -> Outcome:
    """Run the command to its end. Raises Interrupted after a signal, NotFound for a program that is not there, Diverged, and
    RunFailure where it fails or leaves out a declared metric."""
    try:
        outcome = follow(run, context)
    except (RunFailure, NotFound):  # a full disk, or a signal, gives the run back
        ended(context)
        raise
    ended(context)
    return outcome


def describe(run: Run, context: Context) -> tuple[dict[str, Any], str]:
    """What the run's numbers depend on besides its recipe: this machine, and the files that the command names."""
    words = words_of(run, context)
    environment, fingerprint = about(run, context, map(Path, words[1:]))
    called = {
        "program": shutil.which(words[0], path=search_path(os.environ)),
        "command": shlex.join(words),
        "cwd": str(working_folder(run, context, own_folder(run, context))),
    }
    return {**environment, **called}, fingerprint


def words_of(run: Run, context: Context) -> list[str]:
    """The words of this run's command."""
    assert run.trainer is not None
    return expand(run.trainer["command"], run.seed, str(own_folder(run, context)))


def follow(run: Run, context: Context, *, grace: float = GRACE, clock: Callable[[], float] = time.monotonic) -> Outcome:
    """As `fit`; `grace` and `clock` are for tests."""
    words, folder = words_of(run, context), working_folder(run, context, own_folder(run, context))
    if not folder.is_dir():
        raise NotFound(f"the study's folder {folder}, in which the command runs, does not exist")
    environment = environment_of(run, context)
    measured = Measured(run, context, clock)
    output = Output(measured, shlex.join(words))
    lines = {True: Lines(), False: Lines()}
    stopped, patience = 0, float("inf")
    with Command(words, folder, environment) as command:
        while command.ending is None:
            for data, stdout in command.read(POLL):
                _log(data)
                for line in lines[stdout].take(data):
                    output.take(line, stdout=stdout)
            measured.hand_on_if_due()
            if not stopped and (stopped := context.should_stop()):
                patience = clock() + grace
                command.ask_to_end()
            if clock() >= patience:
                command.end()
        ending = command.ending
    for stdout, cut in lines.items():
        for line in cut.rest():
            if ending.well and not stopped:
                output.take(line, stdout=stdout)
            else:  # it may end inside a number
                output.keep(line)
    if ending.left:
        _log(f"ablate: ended {ending.left} processes that the command left behind\n".encode())
    if not ending.well:  # an engine may signal every process of a job, this command among them
        stopped = stopped or context.should_stop()
    if stopped:
        measured.hand_on()
        raise Interrupted(stopped)
    return _outcome(ending, measured, output)


def _outcome(ending: Ending, measured: Measured, output: Output) -> Outcome:
    """The run's numbers, or its failure with the last lines that it printed and a sentence at the end."""
    if not ending.well:
        measured.hand_on()
        last = f": {output.last[-1].strip()}" if output.last else ""
        raise RunFailure(f"{output.shown()}\nthe command {ending.said()}{last}")
    try:
        return measured.outcome(left_behind=ending.left)
    except RunFailure as failure:
        raise type(failure)(f"{output.shown()}\n{failure}") from None


def environment_of(run: Run, context: Context) -> Mapping[str, str]:
    """The command's environment; writes the recipe where `ABLATE_RECIPE` says."""
    folder = own_folder(run, context)
    recipe = folder / RECIPE_FILE
    text = json.dumps(run.recipe.json, indent=1, ensure_ascii=False)
    part = recipe.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(recipe)
    inherited = {name: value for name, value in os.environ.items() if name not in _KEPT_BACK}
    inherited.setdefault("PYTHONUNBUFFERED", "1")  # a number is seen when it is printed, and none is lost in a kill
    inherited["PATH"] = search_path(inherited)
    return {
        **inherited,
        "ABLATE_RUN_ID": run.run_id,
        "ABLATE_RUN_DIR": str(folder),
        "ABLATE_RECIPE": str(recipe),
        "ABLATE_SEED": str(run.seed),
    }


def search_path(environment: Mapping[str, str]) -> str:
    """Where programs are looked for. An active environment decides which `python` is meant; where none is, as after
    `.venv/bin/ablate`, it is the one that ablate runs in."""
    given, ours = environment.get("PATH", os.defpath), os.path.dirname(sys.executable)
    active = environment.get("VIRTUAL_ENV") or environment.get("CONDA_PREFIX")
    return os.pathsep.join((given, ours) if active else (ours, given))


def _log(data: bytes) -> None:
    """To stderr, which is the attempt's log in a worker process; stdout may be somebody's data."""
    sys.stderr.buffer.write(data)
    sys.stderr.flush()
