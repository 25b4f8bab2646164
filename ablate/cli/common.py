"""What commands share: options, the results database, and output. Data goes to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablate.cli import completion, streams
from ablate.errors import UsageError
from ablate.project.calls import parse_seeds
from ablate.project.database import open_results, require_results
from ablate.project.telling import LOGGER

if TYPE_CHECKING:
    from rich.console import Console

    from ablate.dispatch.contract.events import GridReport
    from ablate.store.store import Store
    from ablate.study.values.study import Study

READERS = contextlib.ExitStack()
"""The databases that the command has open for reading; `main` closes them."""

Db = Annotated[
    str | None,
    typer.Option(
        "--db", metavar="URL", help="Results database: a file, or a URL.  [env: ABLATE_DB; default: results.db]"
    ),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="A profile of the study file, e.g. cpu; full means no profile.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a setting that all arms share. May be repeated."),
]
SeedsOption = Annotated[
    str | None, typer.Option("--seeds", metavar="N|A,B", help="Number of seeds, or a list of them: 3, or 0,5,7.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
StudyArgument = Annotated[
    str, typer.Argument(metavar="STUDY", help="A study file, here or in experiments/.", autocompletion=completion.files)
]
StoredStudyArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[STUDY]", help="A study file, or the name of a study that was run.", autocompletion=completion.studies
    ),
]


def open_reader(db: str | None) -> Store | None:
    """The database for reading, or None where there is none yet. It is closed when the command ends."""
    store = open_results(db)
    return None if store is None else READERS.enter_context(store)


def require_reader(db: str | None) -> Store:
    """The same; raises NotFound where there is none."""
    return READERS.enter_context(require_results(db))


def load_study(study: str, profile: str | None, sets: list[str] | None, seeds: str | None) -> Study:
    """The study in a file, with the changes of the command line."""
    from ablate.project.sources import check_sources
    from ablate.study.loader import Choices, load

    for item in sets or ():
        if "=" not in item:
            raise UsageError(f"--set {item}: must be PATH=VALUE, as in --set epochs=3.", code="bad-setting")
    return check_sources(load(study, Choices(profile, tuple(sets or ()), parse_seeds(seeds))))


@contextlib.contextmanager
def few_collections() -> Iterator[None]:
    """Meanwhile Python seldom looks for cycles: a large study's tables are a million objects that all live to the end, and each look
    goes through them."""
    before = gc.get_threshold()
    gc.set_threshold(500_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def stderr_console() -> Console:
    """A console on stderr; no colour where NO_COLOR is set or stderr is no terminal."""
    return _console(stderr=True)


def stdout_console() -> Console:
    """A console on stdout."""
    return _console(stderr=False)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def say(message: str) -> None:
    """Print a line to stderr."""
    print(message, file=sys.stderr, flush=True)


class _Saying(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


@contextlib.contextmanager
def saying_what_is_told() -> Iterator[None]:
    """Print to stderr what `ablate.project` logs."""
    handler = _Saying()
    before = LOGGER.level, LOGGER.propagate
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(before[0])
        LOGGER.propagate = before[1]


def say_errors(report: GridReport) -> None:
    """Print what stopped a grid. Raises DatabaseGone, since its results cannot be shown either."""
    if report.gone is not None:
        raise report.gone
    for error in report.errors:
        say(f"error: {error}")


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout; unknown is null, never NaN."""
    print_json_text(json.dumps(document, allow_nan=False, indent=1, ensure_ascii=False))


def print_json_text(text: str) -> None:
    """Print a JSON text, in ASCII if stdout cannot encode it."""
    if not streams.writes(text):
        text = "".join(letter if letter.isascii() else json.dumps(letter)[1:-1] for letter in text)
    print(text)
