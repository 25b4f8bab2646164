"""Command lines to copy, for messages and pages."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from ablate.project.database import safe_url


def command(*words: str, profile: str | None = None, sets: Iterable[str] = (), seeds: str | None = None,
            db: str | None = None) -> str:  # fmt: skip
    """An ablate command line to copy, quoted for a shell. A database's password is left for the reader to fill in."""
    options = ["--profile", profile] if profile else []
    for item in sets:
        options += ["--set", item]
    options += ["--seeds", seeds] if seeds else []
    options += ["--db", safe_url(db)] if db else []
    return shlex.join(["ablate", *words, *options])
