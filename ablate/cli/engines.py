"""The options of `grid run` and `tune run` that say how workers are started."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ablate.dispatch.declare import Engine
from ablate.dispatch.executors import ENGINES
from ablate.project.engines import ReadyEngine, elsewhere, get_engine
from ablate.study.values.resources import Resources

AskedEngine = Callable[[str | None, Resources], ReadyEngine]
"""The executor that a call asks for, made ready for a database and for what one run takes."""

_ABOUT = ", ".join(f"{engine.name} ({engine.about})" for engine in ENGINES.all().values())
_OPTIONS: dict[str, tuple[Any, typer.models.OptionInfo, Any]] = {
    "executor": (
        str,
        typer.Option(metavar="|".join(ENGINES.all()), help=f"How workers are started: {_ABOUT}."),
        "local",
    ),
    "workers": (
        int | None,
        typer.Option(
            min=1,
            help="Runs at a time; on other hosts, workers to start.  [default: one per device; one on other hosts]",
        ),
        None,
    ),
    "threads": (int | None, typer.Option(min=1, help="Threads of each worker.  [default: cores / workers]"), None),
    "device": (str, typer.Option(help="auto, cpu, cuda, or cuda:N."), "auto"),
    "limit": (int | None, typer.Option(min=1, help="Start at most this many runs."), None),
    "fail_fast": (bool, typer.Option("--fail-fast", help="Stop at the first failure."), False),
    "run_timeout": (
        float | None,
        typer.Option(min=0.001, metavar="SECONDS", help="Fail a run that takes longer."),
        None,
    ),
    "spool": (
        bool,
        typer.Option(
            "--spool",
            help=f"With {' or '.join(elsewhere())}: workers use SQLite via files in ABLATE_HOME; this command relays.",
        ),
        False,
    ),
}
"""Type, option and default by what `get_engine` calls it."""


def takes_engine(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options, and `--NAME KEY=VALUE` for each engine that has options, in the place of its `engine`: an
    `AskedEngine`."""
    signature = inspect.signature(command, eval_str=True)
    keywords = {engine.name.replace("-", "_"): engine for engine in ENGINES.all().values() if engine.options}
    for taken in keywords.keys() & {*signature.parameters, *_OPTIONS}:
        del keywords[taken]  # an engine named like one of our options can only be set in the site file

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        items = {engine.name: given.pop(keyword) or () for keyword, engine in keywords.items()}
        asked = {name: given.pop(name) for name in _OPTIONS}
        command(
            **given,
            engine=lambda db, needs: get_engine(
                asked.pop("executor"), db, engine_options=items, resources=needs, **asked
            ),
        )

    options = {name: (Annotated[kind, option], default) for name, (kind, option, default) in _OPTIONS.items()}
    options |= {keyword: (_option(engine), None) for keyword, engine in keywords.items()}
    shown: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.name != "engine":
            shown.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        shown += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in options.items()
        ]
    wrapped.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return wrapped


def _option(engine: Engine) -> Any:
    keys = ", ".join(engine.options)
    told = f"A setting of {engine.about}, overriding the site file: {keys}. May be repeated."
    return Annotated[list[str] | None, typer.Option(f"--{engine.name}", metavar="KEY=VALUE", help=told)]
