"""How workers are started: the options that `grid run` and `tune run` share, and the executor that they come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablate.cli.common import database_url, say
from ablate.errors import UsageError
from ablate.study.places import home

if TYPE_CHECKING:
    from ablate.dispatch.executor import Executor

HERE = ("inline", "local")
"""Executors whose workers are processes of this host."""

ExecutorOption = Annotated[str, typer.Option(help="How workers are started: inline (this process), local, slurm or ray.")]  # fmt: skip
WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, help="Runs at a time; jobs of Slurm, tasks of Ray.  [default: one a device; one job]"),
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Threads of each worker.  [default: cores / workers]")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, or cuda:N.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Start at most this many runs.")]
FailFastOption = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failure.")]
RunTimeoutOption = Annotated[
    float | None, typer.Option(min=0.001, metavar="SECONDS", help="The longest that a run may take; then it fails.")
]
SlurmOption = Annotated[
    list[str] | None,
    typer.Option("--slurm", metavar="KEY=VALUE", help="A setting of Slurm jobs, over the site file's: partition, time, gres ... May be repeated."),
]  # fmt: skip
RayOption = Annotated[
    list[str] | None,
    typer.Option("--ray", metavar="KEY=VALUE", help="A setting of Ray workers, over the site file's: address, num_gpus ... May be repeated."),
]  # fmt: skip
SpoolOption = Annotated[
    bool, typer.Option("--spool", help="With slurm or ray: workers reach SQLite through ABLATE_HOME, by this command.")
]


@dataclass(frozen=True)
class Engine:
    """An executor that can work here. `given` are the fields of the request that the command line names."""

    name: str
    executor: Executor
    given: Mapping[str, Any]

    @property
    def slots(self) -> int:
        """Runs at a time; of executors elsewhere what was asked for, else one."""
        from ablate.dispatch.slots import plan_slots

        if self.name == "local":
            return len(plan_slots(self.given["device"], self.given["workers"], self.given["threads"]))
        return 1 if self.name == "inline" else self.given["workers"] or 1


def get_engine(
    name: str, db: str | None, *, slurm: Sequence[str] | None, ray: Sequence[str] | None, **given: Any
) -> Engine:
    """The executor of that name, before anything is written. Raises UsageError for options that do not go together, and for
    what cannot work on this host."""
    from ablate.dispatch.executors import get_executor
    from ablate.dispatch.gridfile import is_sqlite
    from ablate.dispatch.slots import crowded, plan_slots
    from ablate.dispatch.stores import SPOOL

    url = database_url(db)
    if given["run_timeout"] is not None and name == "inline":
        raise UsageError(
            "--run-timeout needs worker processes: a run in this process cannot be ended. Use --executor local."
        )
    executor = get_executor(name, slurm=slurm or (), ray=ray or (), home=home())
    if given["spool"] and (name in HERE or not is_sqlite(url)):
        raise UsageError("--spool is for --executor slurm or ray with a SQLite database; leave it out.")
    placed = (given["device"], given["workers"], given["threads"])
    executor.check(*placed, SPOOL if given["spool"] else url)
    if name in HERE and (busy := crowded(plan_slots(*placed))):
        say(f"warning: {busy}")
    return Engine(name, executor, given)
