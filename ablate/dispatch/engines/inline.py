"""Runs in this process, one after the other: for debugging."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.dispatch.declare import Engine, Options

if TYPE_CHECKING:
    from ablate.dispatch.contract.executor import Executor


def _make(options: Options) -> Executor:
    from ablate.dispatch.processes.inline import InlineExecutor

    return InlineExecutor()


ENGINE = Engine(name="inline", about="this process", where="this process", make=_make)
