"""The executors by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ablate.dispatch.executor import Executor
from ablate.dispatch.inline import InlineExecutor
from ablate.dispatch.local import LocalExecutor
from ablate.errors import UsageError, nearest

EXECUTORS = ("inline", "local", "slurm", "ray")


def get_executor(name: str, *, slurm: Sequence[str] = (), ray: Sequence[str] = (), home: Path = Path(".")) -> Executor:
    """The executor of that name. `slurm` and `ray` are KEY=VALUE items of the command line; `home` may hold a site file.

    Raises UsageError for one that is unknown or not installed, and for settings that are unknown or another executor's.
    """
    for engine, items in (("slurm", slurm), ("ray", ray)):
        if items and name != engine:
            raise UsageError(f"--{engine} {items[0]}: needs --executor {engine}, not {name}.")
    if name == "inline":
        return InlineExecutor()
    if name == "local":
        return LocalExecutor()
    if name == "slurm":
        from ablate.dispatch.site import settings
        from ablate.dispatch.slurm import SlurmExecutor

        return SlurmExecutor(settings("slurm", slurm, home))
    if name == "ray":
        from ablate.dispatch.ray import RayExecutor
        from ablate.dispatch.site import settings

        return RayExecutor(settings("ray", ray, home))
    raise UsageError(f"unknown executor {name!r}; allowed: {', '.join(EXECUTORS)}.{nearest(name, EXECUTORS)}")
