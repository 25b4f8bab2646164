"""The commands of a study's runs, as they would be called."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ablate.dispatch.contract.executor import run_folder
from ablate.errors import UsageError
from ablate.project.calls import trainer_options
from ablate.project.planning import Plan
from ablate.study.recipes.places import home
from ablate.study.records import Context
from ablate.study.values.study import Study
from ablate.training.foreign.attempt import Attempt


def commands_of(study: Study) -> dict[str, list[str]]:
    """The words of each run's command, by run id, with its seed and folder filled in; `{port}` and `{threads}` are known when it runs.

    Nothing is written. Raises UsageError for a study whose trainer is no command.
    """
    return {run_id: attempt.shown() for run_id, attempt in _attempts(study).items()}


def command_lines(plan: Plan) -> Iterator[str]:
    """Two lines a run, a comment and the command quoted for a shell; one more where `setup` goes before it."""
    attempts = _attempts(plan.study)
    yield "# each with ABLATE_RUN_ID, ABLATE_RUN_DIR, ABLATE_RECIPE and ABLATE_SEED set"
    for planned in plan.runs:
        attempt = attempts[planned.run.run_id]
        yield f"# {planned.arm}, seed {planned.run.seed}, {planned.state}: {planned.run.run_id[:12]} in {attempt.folder}"
        if attempt.setup:
            yield shlex.join(attempt.setup)
        yield shlex.join(attempt.shown())


def _attempts(study: Study) -> dict[str, Attempt]:
    """The first attempt of each run, as it would be."""
    if study.trainer is None or "command" not in study.trainer:
        message = f"{study.name} runs no command: only studies with `trainer: {{command: ...}}` have commands to print."
        raise UsageError(message, code="no-commands")
    options, root = trainer_options(study), home()
    return {run.run_id: Attempt(run, Context(run_folder(root, run.run_id), options=options)) for run in study.runs}
