"""Command lines to copy, for messages and pages."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.project.database import safe_url

if TYPE_CHECKING:
    from ablate.study.values.study import Study


def command(*words: str, profile: str | None = None, sets: Iterable[str] = (), seeds: str | None = None,
            db: str | None = None) -> str:  # fmt: skip
    """An ablate command line to copy, quoted for a shell. A database's password is left for the reader to fill in."""
    options = ["--profile", profile] if profile else []
    for item in sets:
        options += ["--set", item]
    options += ["--seeds", seeds] if seeds else []
    options += ["--db", safe_url(db)] if db else []
    return shlex.join(["ablate", *words, *options])


def shown_file(study: Study) -> str:
    """A study's file as a page that is sent may name it: from here, or by its name alone. Home folders stay at home."""
    path = Path(study.file).absolute()
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else path.name
