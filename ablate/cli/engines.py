"""How workers are started: the options that `grid run` and `tune run` share, and the executor that they come to."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablate.dispatch.executors import ENGINES
from ablate.project.engines import EngineSettings, elsewhere, get_engine

if TYPE_CHECKING:
    from ablate.dispatch.declare import Engine


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


__all__ = ["EngineSettings", "get_engine", "takes_engine_settings"]

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
        "--spool", help=f"With {' or '.join(elsewhere())}: workers reach SQLite through ABLATE_HOME, by this command."
    ),
]
