"""Where things lie, by the environment: read once here, so that planning and training mean the same folders."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from ablate.errors import UsageError

SQLITE = "sqlite:///"
DATABASE_URLS = (SQLITE, "postgresql://", "postgresql+psycopg://", "postgres://")
"""How a database that is no plain path begins; the last is how hosting services write the second."""

DEFAULT_DATABASE = "results.db"

HOME, DATA, DATABASE, SITE = "ABLATE_HOME", "ABLATE_DATA", "ABLATE_DB", "ABLATE_SITE"
MARKER = ".ablate-home"
_MARK = "This folder is the ABLATE_HOME of ablate: run folders, caches, logs. `ablate clean` frees what nobody needs here.\n"


def variable(name: str) -> str | None:
    """A variable of the environment; an empty one counts as unset, as a script that sets it from another leaves it."""
    return os.environ.get(name) or None


def home() -> Path:
    """ABLATE_HOME: caches, run folders, logs."""
    given = variable(HOME)
    return expand(given, HOME) if given else default_home()


def default_home() -> Path:
    """ABLATE_HOME where it is not set."""
    return expand("~/.cache/ablate", f"{HOME} is not set, and its default")


def data_root() -> Path:
    """ABLATE_DATA: where data sets lie."""
    return expand(variable(DATA) or "data", DATA)


def database(given: str | None = None) -> str:
    """The database that is meant, a path or a URL: what was `given`, else ABLATE_DB, else results.db."""
    return given or variable(DATABASE) or DEFAULT_DATABASE


def is_database_url(text: str) -> bool:
    """Whether the text is a URL; anything else is a path, whatever characters it holds."""
    return text.startswith(DATABASE_URLS)


def scheme(text: str) -> str | None:
    """`mysql` of `mysql://...`: how a URL begins, of whatever program; None where the text does not look like one."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*|)://", text)
    return match[1] if match else None


def expand(path: str, what: str) -> Path:
    """The path with a leading `~` or `~user` written out. UsageError, which says `what` named it, where no such home is known."""
    try:
        return Path(path).expanduser() if path.startswith("~") else Path(path)  # Path("./~") forgets what began it
    except RuntimeError:
        start = path.partition("/")[0]
        whose = f"there is no user {start[1:]!r}" if start != "~" else "HOME is not set, and this user has no entry"
        other = f", or write ./{path} for a file that begins with ~" if not what.startswith(HOME) else ""
        raise UsageError(
            f"{what}: the home folder in {path} is not known: {whose}. Name a folder without ~{other}."
        ) from None


def written_out(file: Path) -> Path:
    """A file as the command line names it, with a leading `~` written out; as it is where no such home is known, as a shell
    leaves it."""
    try:
        return file.expanduser()
    except RuntimeError:
        return file


def make_home() -> Path:
    """ABLATE_HOME, made where it is missing. A folder that is new or empty is marked as ours; one with other things in it is
    not. A full disk leaves out the mark, and whoever needs room for more than that says so. Raises OSError."""
    folder = home()
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        with contextlib.suppress(OSError):
            mark(folder)
    return folder


def mark(folder: Path) -> None:
    """Mark a folder as an ABLATE_HOME. Raises OSError."""
    (folder / MARKER).write_text(_MARK, encoding="utf-8")
