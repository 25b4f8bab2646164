"""How workers are started: the options that `grid run` and `tune run` share, and the executor that they come to."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablate.cli.common import database_url, say
from ablate.dispatch.executors import ENGINES, get_executor
from ablate.errors import UsageError
from ablate.study.recipes.places import home

if TYPE_CHECKING:
    from ablate.dispatch.contract.executor import Executor
    from ablate.dispatch.declare import Engine

EngineSettings = Mapping[str, Sequence[str]]
"""KEY=VALUE items of the command line by engine."""


def _elsewhere() -> list[str]:
    return [name for name, engine in ENGINES.all().items() if engine.where == "elsewhere"]


def takes_engine_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option `--NAME KEY=VALUE` for each engine that has settings; it gets them all as `engine_settings`."""
    signature = inspect.signature(command, eval_str=True)
    keywords = {engine.name.replace("-", "_"): engine for engine in ENGINES.all().values() if engine.options}
    for taken in keywords.keys() & signature.parameters.keys():
        del keywords[taken]  # an engine called like an option of ours is set by the site file alone

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        items = {engine.name: given.pop(keyword) or () for keyword, engine in keywords.items()}
        command(**given, engine_settings=items)

    shown: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.name != "engine_settings":
            shown.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        shown += [
            inspect.Parameter(keyword, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(engine))
            for keyword, engine in keywords.items()
        ]
    wrapped.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return wrapped


def _option(engine: Engine) -> Any:
    keys = ", ".join(engine.options)
    told = f"A setting of {engine.about}, over the site file's: {keys}. May be repeated."
    return Annotated[list[str] | None, typer.Option(f"--{engine.name}", metavar="KEY=VALUE", help=told)]


ExecutorOption = Annotated[
    str,
    typer.Option(
        metavar="|".join(ENGINES.all()),
        help=f"How workers are started: {', '.join(f'{engine.name} ({engine.about})' for engine in ENGINES.all().values())}.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="Runs at a time; elsewhere, the workers to start.  [default: one a device; one elsewhere]"
    ),
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Threads of each worker.  [default: cores / workers]")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, or cuda:N.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Start at most this many runs.")]
FailFastOption = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failure.")]
RunTimeoutOption = Annotated[
    float | None, typer.Option(min=0.001, metavar="SECONDS", help="The longest that a run may take; then it fails.")
]
SpoolOption = Annotated[
    bool,
    typer.Option(
        "--spool", help=f"With {' or '.join(_elsewhere())}: workers reach SQLite through ABLATE_HOME, by this command."
    ),
]


@dataclass(frozen=True)
class ReadyEngine:
    """An executor that can work here. `given` are the fields of the request that the command line names."""

    engine: Engine
    executor: Executor
    given: Mapping[str, Any]

    @property
    def slots(self) -> int:
        """Runs at a time; of executors elsewhere what was asked for, else one."""
        from ablate.dispatch.contract.slots import plan_slots

        if self.engine.where == "this host":
            return len(plan_slots(self.given["device"], self.given["workers"], self.given["threads"]))
        return 1 if self.engine.where == "this process" else self.given["workers"] or 1


def get_engine(name: str, db: str | None, *, engine_settings: EngineSettings, **given: Any) -> ReadyEngine:
    """The executor of that name, before anything is written. Raises UsageError for options that do not go together, and for
    what cannot work on this host."""
    from ablate.dispatch.contract.slots import crowded, plan_slots
    from ablate.dispatch.elsewhere.gridfile import is_sqlite
    from ablate.dispatch.elsewhere.queues import SPOOL

    url = database_url(db)
    executor = get_executor(name, engine_settings, home())
    engine = ENGINES.get(name)
    if given["run_timeout"] is not None and engine.where == "this process":
        raise UsageError(
            "--run-timeout needs worker processes: a run in this process cannot be ended. Use --executor local."
        )
    if given["spool"] and (engine.where != "elsewhere" or not is_sqlite(url)):
        raise UsageError(f"--spool is for --executor {' or '.join(_elsewhere())} with a SQLite database; leave it out.")
    placed = (given["device"], given["workers"], given["threads"])
    executor.check(*placed, SPOOL if given["spool"] else url)
    if engine.where != "elsewhere" and (busy := crowded(plan_slots(*placed))):
        say(f"warning: {busy}")
    return ReadyEngine(engine, executor, given)
