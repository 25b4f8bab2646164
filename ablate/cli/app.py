"""The command line's front door: the commands, and what an error looks like.

Heavy libraries are imported by the commands that need them, so `ablate --help` answers at once.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from ablate.cli import data, db, doctor, grid, report, runs, status
from ablate.errors import AblateError, Interrupted, StudyError
from ablate.version import __version__

app = typer.Typer(
    name="ablate",
    help="Run an ablation study from one YAML file and get the paper's table back, with error bars.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(grid.app, name="grid")
app.command("status")(status.status)
app.add_typer(runs.app, name="runs")
app.command("report")(report.report)
app.add_typer(data.app, name="data")
app.add_typer(db.app, name="db")
app.command("doctor")(doctor.doctor)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        print(f"ablate {__version__}")
        raise typer.Exit


def main() -> NoReturn:
    """Run the command line; every expected error is a sentence on stderr and an exit code."""
    try:
        app()
    except StudyError as error:
        count = len(error.problems)
        print(f"error: {count} mistake{'' if count == 1 else 's'} in the study file\n{error}", file=sys.stderr)
        _leave(error.exit_code)
    except AblateError as error:
        print(f"error: {error}", file=sys.stderr)
        _leave(error.exit_code)
    except Interrupted as stop:
        _leave(stop.exit_code)
    except KeyboardInterrupt:
        _leave(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _leave(0)
    _leave(0)


def _leave(code: int) -> NoReturn:
    sys.exit(code)
