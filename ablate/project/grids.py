"""Run a grid: queue the missing runs of a study, have an executor train them, and return how the study stands then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ablate.dispatch.contract.events import Event, GridReport
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.contract.signals import StopFlag, listening
from ablate.project.blocked import train_parents_again
from ablate.project.calls import folder_of, options_of_call, trainer_options
from ablate.project.database import database_url
from ablate.project.engines import ReadyEngine
from ablate.project.planning import Plan, make_plan
from ablate.project.sources import begin_anew, codes_of_sources, take_sources
from ablate.store.store import Store
from ablate.study.assign.foreign_trainer import fit_name
from ablate.study.code.provenance import digest_of
from ablate.study.recipes.places import home
from ablate.study.values.study import Study

Shown = Callable[[Plan], AbstractContextManager[Callable[[Event], None]]]
"""Gives the event handler, for as long as the grid works on a plan."""


@dataclass(frozen=True)
class Worked:
    """How a study stood before and after a call. `report` is None where nothing was left that could be done."""

    before: Plan
    after: Plan
    report: GridReport | None

    def complete(self, *, limited: bool = False) -> bool:
        """Whether all that was asked for is done; a limit may leave what is still to run."""
        left = self.after.counts["total"] - self.after.counts["done"]
        if limited:
            left -= self.after.counts["to_run"] + self.after.counts["running"]
        return not left


def work(
    study: Study,
    store: Store,
    engine: ReadyEngine,
    shown: Shown,
    *,
    db: str | None = None,
    call_options: Mapping[str, object] | None = None,
    retry: str | None = None,
    announce: Callable[[Plan, int], None] = lambda plan, again: None,
) -> Worked:
    """Work on one request until no run is left that can be trained here.

    `announce` gets the plan before anything trains, and how many parents train again because their weights are gone. Raises
    DatabaseGone: nothing can be read of the results either.
    """
    folder = str(folder_of(study))
    sources = take_sources(study)
    call_options = {
        **(options_of_call(study) if call_options is None else call_options),
        **({"sources": sources} if sources else {}),
    }
    codes = codes_of_sources(study, sources)
    if retry:
        begin_anew(study, store)
    key = store.save_study(study, call_options=call_options, folder=folder, retry=retry, code=codes)
    again = train_parents_again(study, store, home(), key)
    before = make_plan(study, store, workers=engine.given.get("workers") or 1)
    announce(before, len(again))
    report = None
    if before.to_run or before.counts["running"] or any(parent.state != "done" for parent in before.parents):
        report = _train(study, before, key, db, engine, shown, digest_of(codes), sources)
        if report.gone is not None:
            raise report.gone
    return Worked(before, make_plan(study, store), report)


def _train(study: Study, planned: Plan, key: int, db: str | None, engine: ReadyEngine, shown: Shown, code: str | None,
           sources: Mapping[str, Mapping[str, str]]) -> GridReport:  # fmt: skip
    """Hand the request to the executor."""
    stop = StopFlag()
    url = database_url(db)
    with shown(planned) as handle:
        request = GridRequest(
            request_key=key,
            open_store=lambda: Store.open(url, barred=planned.barred),
            fit=fit_name(study.trainer),
            home=home(),
            total=planned.to_run,
            options=trainer_options(study, sources=sources),
            code=code,
            on_event=handle,
            stop=stop,
            database=url,
            barred=planned.barred,
            runs=(*study.parents, *study.runs),
            **engine.given,
        )
        with listening(stop):
            return engine.executor.run(request)
