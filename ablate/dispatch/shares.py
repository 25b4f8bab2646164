"""What the executors with workers elsewhere share before any is started: is there work, who may claim
how much, and can all of them reach the database."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from ablate.dispatch.executor import GridRequest
from ablate.errors import UsageError


def work_for(request: GridRequest) -> tuple[int, int]:
    """How many workers can be of use at most, and how many of the study's runs have failed before this grid."""
    with contextlib.closing(request.open_store()) as store:
        waiting: Any = store.waiting(request.study_key)
        return waiting.open, waiting.failed


def shares(limit: int | None, count: int) -> list[int | None]:
    """A limit split among `count` workers, none of which gets nothing; no limit for all where there is none."""
    if limit is None:
        return [None] * count
    return [limit // count + (number < limit % count) for number in range(count)]


def refuse_sqlite(hosts: set[str], whose: str) -> None:
    """UsageError where workers may run on another host than the SQLite file's, which is this one."""
    here = {socket.gethostname(), socket.gethostname().partition(".")[0]}
    others = sorted(hosts - here)
    if others:
        shown = ", ".join(others[:3]) + (" and more" if len(others) > 3 else "")
        raise UsageError(
            f"{whose} ({shown}) cannot share a SQLite database with this host. Use PostgreSQL: "
            "ABLATE_DB=postgresql+psycopg://user:password@host/name."
        )
