"""The executor that a call asks for, ready to work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.dispatch.executors import ENGINES, get_executor
from ablate.errors import UsageError
from ablate.project.database import database_url
from ablate.project.telling import tell
from ablate.project.text import plural
from ablate.study.recipes.places import home
from ablate.study.values.resources import UNSAID, Resources

if TYPE_CHECKING:
    from ablate.dispatch.contract.executor import Executor
    from ablate.dispatch.declare import Engine

EngineOptions = Mapping[str, Sequence[str]]
"""KEY=VALUE items by engine."""


def elsewhere() -> list[str]:
    """The executors whose workers may be on other hosts."""
    return [name for name, engine in ENGINES.all().items() if engine.where == "elsewhere"]


@dataclass(frozen=True)
class ReadyEngine:
    """An executor that can work here. `given` are the fields of the request that the call names."""

    engine: Engine
    executor: Executor
    given: Mapping[str, Any]

    @property
    def slots(self) -> int:
        """Runs at a time; on other hosts the number that was asked for, or one."""
        from ablate.dispatch.contract.slots import plan_slots

        if self.engine.where == "this host":
            given = self.given
            return len(plan_slots(given["device"], given["workers"], given["threads"], needs=given["resources"]))
        return 1 if self.engine.where == "this process" else self.given["workers"] or 1


def get_engine(
    name: str, db: str | None, *, engine_options: EngineOptions, resources: Resources = UNSAID, **given: Any
) -> ReadyEngine:
    """The executor of that name, before anything is written. `resources` is what one run takes. Raises UsageError for settings that
    contradict each other, and for what cannot work on this host."""
    from ablate.dispatch.contract.slots import crowded, plan_slots
    from ablate.dispatch.elsewhere.gridfile import is_sqlite
    from ablate.dispatch.elsewhere.queues import SPOOL

    url = database_url(db)
    executor = get_executor(name, engine_options, home(), resources)
    engine = ENGINES.get(name)
    if given["run_timeout"] is not None and engine.where == "this process":
        message = f"the executor {name} cannot stop a run after a time, since it starts no worker processes."
        raise UsageError(message, code="timeout-unsupported")
    if given["spool"] and (engine.where != "elsewhere" or not is_sqlite(url)):
        message = f"a spool works only with a SQLite database and the executors {', '.join(elsewhere())}."
        raise UsageError(message, code="spool-unsupported")
    placed = (given["device"], given["workers"], given["threads"])
    executor.check(*placed, SPOOL if given["spool"] else url)
    if engine.where != "elsewhere":
        slots = plan_slots(*placed, needs=resources)
        if busy := crowded(slots):
            tell(f"warning: {busy}")
        if engine.where == "this host" and len(slots) < (given["workers"] or 0):
            tell(f"{plural(len(slots), 'run')} at a time, not {given['workers']}: a run takes {resources}.")
    return ReadyEngine(engine, executor, {**given, "resources": resources})
