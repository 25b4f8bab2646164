"""The commands of a study's runs, as they would be called."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ablate.dispatch.contract.executor import run_folder
from ablate.errors import UsageError
from ablate.project.calls import folder_of
from ablate.project.planning import Plan
from ablate.study.assign.command_words import expand
from ablate.study.code.provenance import codes_of, own_folder_in
from ablate.study.recipes.places import home
from ablate.study.values.study import Study


def commands_of(study: Study) -> dict[str, list[str]]:
    """The words of each run's command, by run id, with the seed and the run's folder filled in. Nothing is written.

    Raises UsageError for a study whose trainer is no command.
    """
    if study.trainer is None or "command" not in study.trainer:
        message = f"{study.name} runs no command: only studies with `trainer: {{command: ...}}` have commands to print."
        raise UsageError(message, code="no-commands")
    codes, root = codes_of(study), home()
    return {
        run.run_id: expand((run.trainer or {})["command"], run.seed, str(own_folder_in(run_folder(root, run.run_id), codes[run.run_id])))
        for run in study.runs
    }  # fmt: skip


def command_lines(plan: Plan) -> Iterator[str]:
    """Two lines a run, a comment and the command quoted for a shell, after a comment with the folder."""
    yield f"# in {folder_of(plan.study)}, with ABLATE_RUN_ID, ABLATE_RUN_DIR, ABLATE_RECIPE and ABLATE_SEED set"
    commands = commands_of(plan.study)
    for planned in plan.runs:
        yield f"# {planned.arm}, seed {planned.run.seed}, {planned.state}: {planned.run.run_id[:12]}"
        yield shlex.join(commands[planned.run.run_id])
