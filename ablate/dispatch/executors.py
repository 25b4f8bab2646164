"""The executors by name: those of `ablate/dispatch/engines/`, and those of other packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.dispatch.declare import Engine
from ablate.errors import UsageError
from ablate.parts.discover import Catalog
from ablate.study.values.resources import UNSAID, Resources

if TYPE_CHECKING:
    from ablate.dispatch.contract.executor import Executor

ENGINES = Catalog("executor", Engine, "ablate.dispatch.engines", "ablate.executors", "ENGINE")


def get_executor(
    name: str, given: Mapping[str, Sequence[str]] | None = None, home: Path = Path("."), needs: Resources = UNSAID
) -> Executor:
    """The executor of that name. `given` are the command line's KEY=VALUE items by engine; `home` may hold a site file; `needs` is
    what one run takes.

    Raises UsageError for one that is unknown or not installed, and for options that are unknown or another executor's.
    """
    from ablate.dispatch.site import options

    for other, items in (given or {}).items():
        if items and name != other:
            raise UsageError(f"--{other} {items[0]}: needs --executor {other}, not {name}.")
    engine = ENGINES.get(name)
    said = options(name, (given or {}).get(name, ()), home, needs) if engine.options else {}
    return engine.make(engine.complete(said))
