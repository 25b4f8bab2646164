"""The executors by name."""

from __future__ import annotations

from ablate.dispatch.executor import Executor
from ablate.dispatch.inline import InlineExecutor
from ablate.dispatch.local import LocalExecutor
from ablate.errors import UsageError, nearest

EXECUTORS = ("inline", "local")
PLANNED = ("slurm", "ray")


def get_executor(name: str) -> Executor:
    """The executor of that name. Raises UsageError for one that is unknown or not there."""
    allowed = ", ".join(EXECUTORS)
    if name == "inline":
        return InlineExecutor()
    if name == "local":
        return LocalExecutor()
    if name in PLANNED:
        raise UsageError(f"the executor {name!r} is not available in this version; allowed: {allowed}")
    raise UsageError(f"unknown executor {name!r}; allowed: {allowed}.{nearest(name, EXECUTORS)}")
