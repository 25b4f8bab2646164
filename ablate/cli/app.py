"""All commands, and how errors are printed.

Heavy libraries are imported by the commands that need them, so `ablate --help` answers at once.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import sys
from typing import Annotated, NoReturn

import typer

from ablate.cli import streams
from ablate.cli.commands import clean, data, db, doctor, grid, init, predict, report, runs, status, tune, watch, worker
from ablate.cli.common import READERS, print_json, saying_what_is_told
from ablate.cli.groups import HELP, Group
from ablate.errors import AblateError, Interrupted, NoSpaceOrPermission, StudyError
from ablate.version import __version__

ADVICE = {
    "absent-report": "Write one with ablate report STUDY --format json --out FILE.json.",
    "bad-report": "Write one with ablate report STUDY --format json --out FILE.json.",
    "no-database": "Run a study first (ablate grid run STUDY.yaml), or choose another database with --db.",
    "no-runs": "Or choose another database with --db.",
    "no-study-files": "Choose the folder with --experiments.",
    "not-a-folder": "Choose the folder with --out.",
    "no-styles": "Write --format latex --style paper.",
    "nothing-done": "Or choose another database with --db.",
    "own-trainer": "To train stale runs again: ablate grid run STUDY --retry stale.",
    "spool-unsupported": "Leave out --spool.",
    "timeout-unsupported": "Leave out --run-timeout, or use --executor local.",
    "unknown-variant": "Repeat its settings with --set.",
    "would-overwrite": "Choose the folder with --out.",
}
"""Command-line options to advise for an error's code: the Python API raises the same errors, so their messages name none."""
NO_SPACE_OR_PERMISSION = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

app = typer.Typer(
    name="ablate",
    cls=Group,
    context_settings=HELP,
    help="Run an ablation study from one YAML file and get the paper's table back, with error bars.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("init", short_help="Write a study file to start from.")(init.init)
app.add_typer(grid.app, name="grid")
app.command("status", short_help="Show how many runs are done, running, failed and left.")(status.status)
app.command("watch", short_help="Show what is running, with losses and times left.")(watch.watch)
app.add_typer(runs.app, name="runs")
app.command("report", short_help="Write a study's tables beside the paper's figures.")(report.report)
app.command("predict", short_help="Predict the classes of unlabelled images, as CSV.")(predict.predict)
app.add_typer(tune.app, name="tune")
app.add_typer(data.app, name="data")
app.add_typer(db.app, name="db")
app.command("clean", short_help="Show what ABLATE_HOME holds, and free what is not needed.")(clean.clean)
app.command("doctor", short_help="Check this machine for problems.")(doctor.doctor)
app.command("worker", short_help="Start another worker for a study on this host.")(worker.worker)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        print(f"ablate {__version__}")
        raise typer.Exit


def main() -> NoReturn:
    """Run the command line; every expected error is a sentence on stderr and an exit code."""
    streams.prepare()
    try:
        with saying_what_is_told(), READERS:
            app()
    except SystemExit as end:
        _leave(end.code)
    except StudyError as error:
        count = len(error.problems)
        files = {problem.file for problem in error.problems if not problem.file.startswith("--")}
        place = f" in {files.pop()}" if len(files) == 1 else ""
        _fail(error, f"{count} mistake{'' if count == 1 else 's'}{place}\n{error}")
    except AblateError as error:
        _fail(error, str(error))
    except Interrupted as stop:
        _leave(stop.exit_code)
    except KeyboardInterrupt:
        _leave(130)
    except OSError as error:
        if error.errno not in NO_SPACE_OR_PERMISSION:
            raise
        place = f"{error.filename}: " if error.filename else ""
        message = f"{place}{error.strerror}. Free some space or grant access there, then start again."
        _fail(NoSpaceOrPermission(message), message)
    _leave(0)


def _fail(error: AblateError, message: str) -> NoReturn:
    """The error as a sentence on stderr; under `--json` as a document on stdout, too."""
    if "--json" in sys.argv:
        print_json({"error": error.document()})
    print(" ".join(filter(None, [f"error: {message}", ADVICE.get(error.code, "")])), file=sys.stderr)
    _leave(error.exit_code)


def _leave(code: int | str | None) -> NoReturn:
    """Exit, once everything is written."""
    try:
        sys.stdout.flush()
    except OSError as error:
        print(f"error: the output cannot be written: {error.strerror}", file=sys.stderr)
        code = 8
    else:
        gc.freeze()  # nothing that is left is looked at for cycles: of a large report that was a tenth of its time
        sys.exit(code)
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)
