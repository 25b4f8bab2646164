"""An unmodified script as a trainer: `trainer: {command: ...}`. No shell ever sees a word of it, unless the study asks for one.

The command runs in the study file's folder or in `cwd`, in a process group of its own, with `ABLATE_RUN_ID`, `ABLATE_RUN_DIR`, `ABLATE_RECIPE`
(a JSON file) and `ABLATE_SEED`, and without `ABLATE_DB`. What it prints goes to the attempt's log.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ablate.errors import Interrupted, NotFound, RunFailure
from ablate.study.records import Context, Outcome
from ablate.study.values.run import Run
from ablate.training.foreign.about import about, own_folder
from ablate.training.foreign.artifacts import recorded
from ablate.training.foreign.attempt import Attempt
from ablate.training.foreign.files.reader import MetricFiles
from ablate.training.foreign.last_lines import last_line
from ablate.training.foreign.lines import Lines
from ablate.training.foreign.measured import Measured
from ablate.training.foreign.output import Output
from ablate.training.foreign.place import ended, working_folder
from ablate.training.foreign.ports import free_port
from ablate.training.foreign.process import Command, Ending
from ablate.training.foreign.secrets import Blot

GRACE = 10.0
"""Seconds that a command has to end by itself after SIGTERM."""
POLL = 0.2

Clock = Callable[[], float]


def fit(run: Run, context: Context) -> Outcome:
    """Run the command to its end. Raises Interrupted after a signal, NotFound for a program that is not there, Diverged, and
    RunFailure where it fails or leaves out a declared metric."""
    try:
        outcome = recorded(follow(run, context), run, context)
    except (RunFailure, NotFound):  # a full disk, or a signal, gives the run back
        ended(context)
        raise
    ended(context)
    return outcome


def describe(run: Run, context: Context) -> tuple[dict[str, Any], str]:
    """What the run's numbers depend on besides its recipe: this machine, and the files that the command names."""
    place = working_folder(run, context, own_folder(run, context))
    attempt = Attempt(run, context, place=place)
    named = [Path(word) for word in attempt.words()[1:] if not word.startswith(str(attempt.run_dir))]
    changed = {(place / file).resolve() for file in (run.trainer or {}).get("replace", ())}  # code, before the change
    others = [name for name in named if (attempt.folder / name).resolve() not in changed]
    environment, fingerprint = about(run, context, others, attempt.folder)
    return {**environment, **attempt.told()}, fingerprint


def follow(run: Run, context: Context, *, grace: float = GRACE, clock: Clock = time.monotonic) -> Outcome:
    """As `fit`; `grace` and `clock` are for tests."""
    with _attempt(run, context) as attempt:
        attempt.write()
        watch = _Watch(attempt, run, context, grace, clock)
        if attempt.setup:
            watch.prepare(Output(Measured(run, context, clock), shlex.join(attempt.setup)))
        measured = Measured(run, context, clock)
        try:
            return watch.train(measured)
        except RunFailure as failure:
            if not attempt.added or not measured.empty:
                raise
            said = f"ablate: without any number after {shlex.join(attempt.added)}; once more without it"
            _log(f"{failure}\n{said}\n".encode())
        return watch.train(Measured(run, context, clock), resume=False)


@contextlib.contextmanager
def _attempt(run: Run, context: Context) -> Iterator[Attempt]:
    """The attempt, with a port where it asks for one."""
    place = working_folder(run, context, own_folder(run, context))
    attempt = Attempt(run, context, place=place)
    if not attempt.needs_port:
        yield attempt
        return
    with free_port() as port:
        yield Attempt(run, context, port, place)


class _Watch:
    """Starts the commands of an attempt and follows each to its end."""

    def __init__(self, attempt: Attempt, run: Run, context: Context, grace: float, clock: Clock) -> None:
        self._attempt, self._new, self._context, self._grace, self._clock = attempt, run, context, grace, clock

    def prepare(self, output: Output) -> None:
        """What runs before; none of its lines is read for numbers. Raises RunFailure, Interrupted."""
        ending = self._run(self._attempt.setup, lambda line, stdout: output.keep(line), output.keep)
        if not ending.well:
            raise RunFailure(_failed(output, "setup", ending))

    def train(self, measured: Measured, *, resume: bool = True) -> Outcome:
        """The run's numbers. Raises RunFailure with the last lines that it printed and a sentence at the end, Interrupted."""
        words = self._attempt.words(resume=resume)
        output = Output(measured, shlex.join(words))
        files = MetricFiles(self._new, measured, own_folder(self._new, self._context), self._clock)

        def tick() -> None:
            with _saying(output, measured):
                files.look_if_due()
            measured.hand_on_if_due()

        def take(line: str, stdout: bool) -> None:
            output.take(line, stdout=stdout)

        try:
            ending = self._run(words, take, output.keep, tick)
        except Interrupted:
            _last_look(files, measured)
            raise
        if not ending.well:
            _last_look(files, measured)
            raise RunFailure(_failed(output, "the command", ending))
        with _saying(output, measured):
            files.look(ended=True)
        again = {} if resume or not self._attempt.added else {"started_again": True}
        try:
            return measured.outcome(left_behind=ending.left, **again)
        except RunFailure as failure:
            raise type(failure)(f"{output.shown()}\n{failure}") from None

    def _run(
        self,
        words: Sequence[str],
        take: Callable[[str, bool], object],
        keep: Callable[[str], object],
        tick: Callable[[], None] = lambda: None,
    ) -> Ending:
        """Follow one command. `take` gets its lines and whether they came by stdout, `keep` a last one that may be cut."""
        context, clock, blots = (
            self._context,
            self._clock,
            {True: Blot(self._attempt.secrets), False: Blot(self._attempt.secrets)},
        )
        lines = {True: Lines(), False: Lines()}

        def hear(data: bytes, stdout: bool) -> None:
            _log(data)
            for line in lines[stdout].take(data):
                take(line, stdout)

        stopped, patience = 0, float("inf")
        with Command(words, self._attempt.folder, self._attempt.environment) as command:
            while command.ending is None:
                for data, stdout in command.read(POLL):
                    hear(blots[stdout].take(data), stdout)
                tick()
                if not stopped and (stopped := context.should_stop()):
                    patience = clock() + self._grace
                    command.ask_to_end()
                if clock() >= patience:
                    command.end()
            ending = command.ending
        for stdout, cut in lines.items():
            hear(blots[stdout].rest(), stdout)
            for line in cut.rest():
                if ending.well and not stopped:
                    take(line, stdout)
                else:  # it may end inside a number
                    keep(line)
        if ending.left:
            _log(f"ablate: ended {ending.left} processes that the command left behind\n".encode())
        if not ending.well:  # an engine may signal every process of a job, this command among them
            stopped = stopped or context.should_stop()
        if stopped:
            raise Interrupted(stopped)
        return ending


@contextlib.contextmanager
def _saying(output: Output, measured: Measured) -> Iterator[None]:
    """What is wrong with a file, with the last lines that the command printed; what came before it is handed on."""
    try:
        yield
    except RunFailure as failure:
        measured.hand_on()
        raise type(failure)(f"{output.shown()}\n{failure}") from None


def _last_look(files: MetricFiles, measured: Measured) -> None:
    """What a command that did not end well has left; how it ended says more than what is wrong with a file."""
    with contextlib.suppress(RunFailure):
        files.look()
    measured.hand_on()


def _failed(output: Output, what: str, ending: Ending) -> str:
    """The last lines, and how it ended."""
    last = last_line(output.last)
    return f"{output.shown()}\n{what} {ending.said()}{': ' if last else ''}{last}"


def _log(data: bytes) -> None:
    """To stderr, which is the attempt's log in a worker process; stdout may be somebody's data."""
    sys.stderr.buffer.write(data)
    sys.stderr.flush()
