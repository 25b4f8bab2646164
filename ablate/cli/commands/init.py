"""`ablate init [FILE]`: a commented study file to start from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ablate.cli import completion
from ablate.cli.common import Db, say
from ablate.errors import UsageError
from ablate.project.advice import command
from ablate.project.starting import DEFAULT, write_study


def init(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help=f"The file to write.  [default: {DEFAULT}]")
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="STUDY",
            help="Copy this study: a study file, or the name of one that was run.",
            autocompletion=completion.studies,
        ),
    ] = None,
    script: Annotated[
        str | None,
        typer.Option(
            "--command", metavar="'python train.py'", help="Draft a study of this command from the script's source."
        ),
    ] = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="With --command: also run the script with --help, for at most 20 seconds.")
    ] = False,
    db: Db = None,
) -> None:
    """Write a small study file to run and edit, with comments; an existing file is never replaced.

    It trains on a built-in data set in about a minute. With --from, it is a copy of another study under a name of its own. With
    --command, it is a study of your script: its options (argparse, click, typer), Hydra or YAML configuration and what it prints are
    read from its source. It is run, with --help in an empty folder, only where it has a parser whose options the source does not show.
    """
    if script is not None and from_ is not None:
        raise UsageError("--command and --from exclude each other.")
    if ask and script is None:
        raise UsageError("--ask needs --command 'python train.py'.")
    if file is None:
        file = _asked() if sys.stdin.isatty() and sys.stderr.isatty() else DEFAULT
    path = str(write_study(Path(file), from_, script=script, ask=ask, db=db))
    print(path)
    say(f"What it comes to: {command('grid', 'plan', path, db=db)}")
    say(f"To train it: {command('grid', 'run', path, db=db)}")


def _asked() -> str:
    """The file that is typed in; the default for an empty line. Raises Abort where the input ends."""
    print(f"File [{DEFAULT}]: ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()  # typer.prompt writes to stdout, too
    if not line:
        raise typer.Abort
    return line.strip() or DEFAULT
