"""A Python function as a trainer: `trainer: {python: package.module:function}`.

    def train(recipe, *, seed, run_dir, report):
        for epoch in range(1, recipe["epochs"] + 1):
            ...
            report(epoch=epoch, split="val", loss=loss)
        return {"accuracy": accuracy}

`report` raises `ablate.StopRun` where the run should end. The function runs in the worker process, which trains one run after the
other: what a module keeps, the next run finds.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ablate.errors import Interrupted, NotFound, RunFailure, StopRun, nearest
from ablate.study.code.provenance import Code
from ablate.study.records import Context, Outcome
from ablate.study.values.metrics import SPLIT_WORDS, split_of
from ablate.study.values.run import Run
from ablate.training.foreign.about import about, code, own_folder
from ablate.training.foreign.artifacts import recorded
from ablate.training.foreign.files.reader import MetricFiles
from ablate.training.foreign.measured import Measured
from ablate.training.foreign.place import study_folder

SIGNATURE = "function(recipe, *, seed, run_dir, report)"


def fit(run: Run, context: Context) -> Outcome:
    """Call the function. Raises Interrupted after a signal, NotFound for a function that is not there, Diverged, RunFailure."""
    measured = Measured(run, context)
    files = MetricFiles(run, measured, own_folder(run, context))
    report = Reporter(measured, context, files)
    name = _name(run)
    _note_code(run, context)
    with _importing_from(study_folder(context)), contextlib.redirect_stdout(sys.stderr):
        function = find(name, study_folder(context))
        given = {"seed": run.seed, "run_dir": own_folder(run, context), "report": report}
        _check_signature(name, function, given)
        try:
            returned = function(copy.deepcopy(dict(run.recipe.json)), **given)
        except StopRun:
            if not report.stopped:
                raise RunFailure(f"{name} raised StopRun, but the run was not asked to end; return instead") from None
            returned = None
    if report.stopped:
        with contextlib.suppress(RunFailure):
            files.look()
        measured.hand_on()
        raise Interrupted(report.stopped)
    if returned is not None:
        measured.take(_numbers(name, returned, measured, "returned"))
    files.look(ended=True)
    return recorded(measured.outcome(), run, context)


def describe(run: Run, context: Context) -> tuple[dict[str, Any], str]:
    """What the run's numbers depend on besides its recipe: this machine, and the module with what it imports."""
    _note_code(run, context)
    return about(run, context)


_imported: dict[tuple[str, Path], Code] = {}


def _note_code(run: Run, context: Context) -> None:
    """A process imports a module once: its code is what lay there before the first run, whatever was edited since."""
    context.code = _imported.setdefault((_name(run), study_folder(context)), code(run, context))


class Reporter:
    """`report(epoch=..., split=..., **metrics)`; `stopped` is the signal that it told the function of, or 0."""

    def __init__(self, measured: Measured, context: Context, files: MetricFiles) -> None:
        self._measured, self._files = measured, files
        self._context = context
        self.stopped = 0

    def __call__(
        self, *, epoch: int | None = None, step: int | None = None, split: str | None = None, **metrics: Any
    ) -> None:
        """Numbers of an epoch or step, counted as the function likes; without one, final ones. Raises StopRun."""
        count = epoch if epoch is not None else step
        if count is not None and (isinstance(count, bool) or not hasattr(count, "__index__") or int(count) < 0):
            raise RunFailure(f"report(epoch={count!r}): an epoch or step must be a whole number from 0")
        where = split_of(split) if isinstance(split, str) else None
        if split is not None and where is None:
            raise RunFailure(
                f"report(split={split!r}): the split must be one of {', '.join(SPLIT_WORDS)}.{nearest(str(split), SPLIT_WORDS)}"
            )
        numbers = _numbers("report", metrics, self._measured, "was given", where)
        by = "step" if epoch is None else "epoch"
        self._measured.take(numbers, None if count is None else int(count), where, by=by)
        self._files.look_if_due()
        self.stopped = self.stopped or self._context.should_stop()
        if self.stopped:
            raise StopRun(f"asked to end by signal {self.stopped}")


def find(name: str, folder: Path) -> Callable[..., Any]:
    """The function that `package.module:function` names. Raises NotFound with where it was looked for."""
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, and something that it needs is not
        raise NotFound(f"cannot find module {error.name!r} of {name}; looked in {folder} first") from None
    function = getattr(module, attribute, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise NotFound(f"the module {module_name} has no function {attribute!r}.{nearest(attribute, known)}")
    return function  # type: ignore[no-any-return]


def _name(run: Run) -> str:
    assert run.trainer is not None
    return str(run.trainer["python"])


@contextlib.contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """The study's folder comes first, as it does for a script that is started there."""
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = before


def _check_signature(name: str, function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin does not tell
        return
    try:
        signature.bind({}, **given)
    except TypeError as error:
        raise RunFailure(
            f"{name}{signature} cannot be called as a trainer: {error}; a trainer is {SIGNATURE}"
        ) from None


def _numbers(who: str, metrics: Any, measured: Measured, verb: str, split: str | None = None) -> dict[str, float]:
    """Metrics as plain numbers. Raises RunFailure for what is no mapping, no number, or no metric of the study's."""
    if not isinstance(metrics, Mapping):
        raise RunFailure(
            f"{who} {verb} {type(metrics).__name__}; a trainer returns a mapping of final metrics, or None"
        )
    found = {}
    for name, value in metrics.items():
        if not isinstance(name, str) or not measured.knows(name, split):
            known = [*measured.declared]
            raise RunFailure(
                f"{who} {verb} the metric {name!r}, which is neither declared in trainer.metrics nor built in."
                f"{nearest(str(name), known)} Declare it: metrics: {{{name}: {{better: higher}}}}."
            )
        try:
            found[name] = float(_refuse_text(value))
        except (TypeError, ValueError, OverflowError):
            raise RunFailure(f"{who} {verb} {name}={value!r:.80}, which is not a number") from None
    return found


def _refuse_text(value: Any) -> Any:
    if isinstance(value, str | bytes | bool):
        raise TypeError
    return value
