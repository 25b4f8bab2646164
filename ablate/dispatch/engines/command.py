"""Workers that a command of yours starts: ssh, docker, or any scheduler's own program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.dispatch.declare import Engine, Option, Options, text

if TYPE_CHECKING:
    from ablate.dispatch.contract.executor import Executor


def start(value: object) -> str:
    """A command line with the worker in it."""
    if "{worker}" not in text(value):
        raise ValueError("must have {worker} where the worker's command goes")
    return text(value)


def _make(options: Options) -> Executor:
    from ablate.dispatch.clusters.command import CommandExecutor

    return CommandExecutor(options)


ENGINE = Engine(
    name="command",
    about="workers started by your own command, such as ssh",
    make=_make,
    options={
        "start": Option(
            start,
            "starts a worker and ends with it; {worker} is the worker's command, {number} counts from 0",
            "{worker}",
        ),
    },
    example="'start=ssh gpu{number} {worker}'",
)
