"""What all commands share: the options that every one has, where things lie, and how people are spoken to.

Data goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablate.cli import streams
from ablate.errors import NotFound, UsageError
from ablate.study.recipes import places

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
        help="Another scale of the study, as its file names it; full: the one without a profile.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a setting that all arms share. May be repeated."),
]
SeedsOption = Annotated[
    str | None, typer.Option("--seeds", metavar="N|A,B", help="How many seeds, or which: 3, or 0,5,7.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="A study file, here or in experiments/.")]


def database_url(db: str | None) -> str:
    """The database that is meant: `--db`, else ABLATE_DB, else results.db. A path stays a path."""
    return places.database(db)


def open_reader(db: str | None) -> Store | None:
    """The database for reading, or None where there is none yet. It is closed when the command ends."""
    from ablate.store.store import Store

    try:
        return READERS.enter_context(Store.open(database_url(db), read_only=True))
    except NotFound:
        return None


def require_reader(db: str | None, first: str = "ablate grid run STUDY.yaml") -> Store:
    """The database for reading. Raises NotFound with what to do where there is none: the command that comes `first`."""
    store = open_reader(db)
    if store is None:
        raise NotFound(
            f"There is no results database at {safe_url(database_url(db))}. "
            f"Run something first ({first}), or name another with --db."
        )
    return store


def safe_url(url: str) -> str:
    """A database URL without its password, a SQLite file as its path."""
    if url.startswith(places.SQLITE) or places.scheme(url) is None:
        return url.removeprefix(places.SQLITE)
    scheme, mark, rest = url.partition("://")
    account, at, place = rest.rpartition("@")
    user, colon, _ = account.partition(":")
    place, _, query = place.partition("?")
    options = "&".join(option for option in query.split("&") if option and "pass" not in option.lower())
    return f"{scheme}{mark}{user}{':***' if colon else ''}{at}{place}{'?' + options if options else ''}"


def load_study(study: str, profile: str | None, sets: list[str] | None, seeds: str | None) -> Study:
    """The study in a file, as the command line changes it."""
    from ablate.study.loader import Settings, load

    for item in sets or ():
        if "=" not in item:
            raise UsageError(f"--set {item}: must be PATH=VALUE, as in --set epochs=3.")
    return load(study, Settings(profile, tuple(sets or ()), parse_seeds(seeds)))


def parse_seeds(text: str | None) -> int | tuple[int, ...] | None:
    """`3` is three seeds, `0,5` are these two. Raises UsageError."""
    if text is None:
        return None
    try:
        if "," in text:
            return tuple(int(part) for part in text.split(",") if part.strip())
        return int(text)
    except ValueError:
        raise UsageError(f"--seeds {text}: must be a number of seeds such as 3, or a list such as 0,5,7.") from None


def command(*words: str, profile: str | None = None, sets: Iterable[str] = (), seeds: str | None = None,
            db: str | None = None) -> str:  # fmt: skip
    """An ablate command line to copy, quoted for a shell. A database's password is left for the reader to fill in."""
    options = ["--profile", profile] if profile else []
    for item in sets:
        options += ["--set", item]
    options += ["--seeds", seeds] if seeds else []
    options += ["--db", safe_url(db)] if db else []
    return shlex.join(["ablate", *words, *options])


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
    """A sentence to a person, on stderr; lost where nobody reads it."""
    print(message, file=sys.stderr, flush=True)


def say_errors(report: GridReport) -> None:
    """What kept a grid from going on. Raises DatabaseGone: nothing can be shown of its results either."""
    if report.gone is not None:
        raise report.gone
    for error in report.errors:
        say(f"error: {error}")


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout; unknown is null, never NaN."""
    print_json_text(json.dumps(document, allow_nan=False, indent=1, ensure_ascii=False))


def print_json_text(text: str) -> None:
    """A JSON document as text; where stdout cannot take its letters, as the same document in ASCII."""
    if not streams.writes(text):
        text = "".join(letter if letter.isascii() else json.dumps(letter)[1:-1] for letter in text)
    print(text)


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def plural(count: int, noun: str) -> str:
    """`1 run`, `3 runs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
