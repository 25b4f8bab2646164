"""What all commands share: the options that every one has, where things lie, and how people are spoken to.

Data goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablate.errors import NotFound, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ablate.store.store import Store
    from ablate.study.study import Study

DEFAULT_DB = "sqlite:///results.db"
DEFAULT_HOME = "~/.cache/ablate"
DEFAULT_DATA = "data"

Db = Annotated[
    str | None,
    typer.Option(
        "--db", metavar="URL", help="Results database: a URL or a file.  [env: ABLATE_DB; default: results.db]"
    ),
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="Another scale of the study, as its file names it.")
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
    """The database that is meant: `--db`, else ABLATE_DB, else results.db; a bare path becomes a SQLite URL."""
    given = db or os.environ.get("ABLATE_DB") or DEFAULT_DB
    return given if "://" in given else f"sqlite:///{given}"


def home() -> Path:
    """ABLATE_HOME: caches, run folders, logs."""
    return Path(os.environ.get("ABLATE_HOME", DEFAULT_HOME)).expanduser()


def data_root() -> Path:
    """ABLATE_DATA: where data sets lie."""
    return Path(os.environ.get("ABLATE_DATA", DEFAULT_DATA)).expanduser()


def open_reader(db: str | None) -> Store | None:
    """The database for reading, or None where there is none yet."""
    from ablate.store.store import Store

    try:
        return Store.open(database_url(db), read_only=True)
    except NotFound:
        return None


def require_reader(db: str | None) -> Store:
    """The database for reading. Raises NotFound with what to do where there is none."""
    store = open_reader(db)
    if store is None:
        raise NotFound(
            f"There is no results database at {safe_url(database_url(db))}. "
            "Run a study first (ablate grid run STUDY.yaml), or name another with --db."
        )
    return store


def safe_url(url: str) -> str:
    """A database URL without its password, a SQLite file as its path."""
    if url.startswith("sqlite:///"):
        return url.removeprefix("sqlite:///")
    scheme, _, rest = url.partition("://")
    return f"{scheme}://***@{rest.rpartition('@')[2]}" if "@" in rest else url


def load_study(study: str, profile: str | None, sets: list[str] | None, seeds: str | None) -> Study:
    """The study in a file, as the command line changes it."""
    from ablate.study.loader import Settings, load

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


def stderr_console() -> Console:
    """A console on stderr; no colour where NO_COLOR is set or stderr is no terminal."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def stdout_console() -> Console:
    """A console on stdout."""
    from rich.console import Console

    return Console(highlight=False)


def say(message: str) -> None:
    """A sentence to a person, on stderr."""
    print(message, file=sys.stderr)


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout; unknown is null, never NaN."""
    print(json.dumps(document, allow_nan=False, indent=1, ensure_ascii=False))


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def plural(count: int, noun: str) -> str:
    """`1 run`, `3 runs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
