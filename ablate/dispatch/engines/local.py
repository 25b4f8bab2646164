"""Worker processes of this host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.dispatch.declare import Engine, Options

if TYPE_CHECKING:
    from ablate.dispatch.contract.executor import Executor


def _make(options: Options) -> Executor:
    from ablate.dispatch.processes.local import LocalExecutor

    return LocalExecutor()


ENGINE = Engine(name="local", about="processes of this host", where="this host", make=_make)
