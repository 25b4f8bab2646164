"""Tunings: trials asked for and trained, and tuned arms beside untuned ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from ablate.analysis import build_table
from ablate.analysis.layout import tables_of
from ablate.analysis.table import Table
from ablate.dispatch.contract.events import Event, GridReport
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.contract.signals import StopFlag, listening
from ablate.errors import NotFound, Problem, StudyError
from ablate.project.blocked import train_parents_again
from ablate.project.calls import trainer_options
from ablate.project.database import database_url
from ablate.project.engines import ReadyEngine
from ablate.project.planning import make_plan
from ablate.project.results import looks_of, study_results
from ablate.project.sources import take_sources
from ablate.project.telling import tell
from ablate.project.text import plural
from ablate.store.store import Store
from ablate.study.assign.foreign_trainer import fit_name
from ablate.study.recipes.places import home, make_home
from ablate.study.records import RunResult
from ablate.study.tuning.tuning import load_tuning
from ablate.study.values.study import Study
from ablate.study.values.trials import Tuning, TuningResult
from ablate.tuning.compare import compared, costs
from ablate.tuning.loop import tune
from ablate.tuning.reading import read_result
from ablate.tuning.session import Session

Shown = Callable[[Session, Store], AbstractContextManager[Callable[[Event], None]]]
"""Gives the event handler, for as long as the tuning works."""


@dataclass(frozen=True)
class Tuned:
    """`report` is None where nothing was left to train; `over`: every budget is spent; `found`: trials' runs that were done already."""

    report: GridReport | None
    over: bool
    found: int


def train(
    tuning: Tuning,
    engine: ReadyEngine,
    shown: Shown,
    *,
    db: str | None = None,
    retry: Sequence[str] = (),
    announce: Callable[[Session], None] = lambda session: None,
) -> Tuned:
    """Tune until every budget is spent, or until stopped. Failed trials are part of a tuning. Raises NotFound for an arm that
    cannot start."""
    make_home()
    url = database_url(db)
    with Store.open(url) as store:
        sources = take_sources(tuning.study)
        session = Session(tuning, store, lambda study, key: train_parents_again(study, store, home(), key), sources)
        if retry and (again := session.retry(retry)):
            tell(f"{plural(again, 'failed trial')} to retry")
        announce(session)
        if session.over:
            return Tuned(None, True, session.found)
        _check(tuning, store)
        with shown(session, store) as handle:
            request = _request(session, url, handle, engine)
            with listening(request.stop):
                report = tune(session, request, engine.executor, engine.slots)
    return Tuned(report, session.over, session.found)


def _check(tuning: Tuning, store: Store) -> None:
    """Raises NotFound for an arm that cannot start."""
    tuned = {arm.arm_id: arm.name for arm in tuning.arms}
    for planned in make_plan(tuning.study, store).runs:
        if planned.state == "blocked" and planned.run.arm_id in tuned:
            raise NotFound(f"{tuned[planned.run.arm_id]} cannot be tuned: {planned.why}")


def _request(session: Session, url: str, handle: Callable[[Event], None], engine: ReadyEngine) -> GridRequest:
    tuning, study = session.tuning, session.tuning.study
    judged = {"judged": tuning.metric} if study.trainer is not None and tuning.pruner != "none" else {}
    return GridRequest(
        request_key=session.key,
        open_store=lambda: Store.open(url),
        fit=fit_name(study.trainer),
        home=home(),
        options={**trainer_options(study, sources=session.sources), **judged},
        on_event=handle,
        stop=StopFlag(),
        database=url,
        **{**engine.given, "workers": engine.slots},
    )


def tuning_of(study: Study) -> Tuning:
    """The tuning that a study names. Raises NotFound or StudyError, also where it tunes another study."""
    assert study.tune is not None
    beside = Path(study.file).parent / study.tune
    tuning = load_tuning(beside if beside.is_file() else study.tune, study.profile, study.sets)
    if tuning.study.name != study.name:
        message = (
            f"{study.tune} tunes the arms of {tuning.study.name}, not of {study.name}; its `study` must be this file."
        )
        raise StudyError([Problem(study.file, None, "tune", message, "unsupported")])
    return tuning


def comparison(study: Study, store: Store) -> tuple[Study, TuningResult]:
    """The arms of a study as written and at their best so far, and what the tuning has come to."""
    tuning = tuning_of(study)
    result = read_result(tuning, store, importance=False)
    return compared(tuning, result, study.seeds), result


def comparison_tables(study: Study, store: Store) -> tuple[list[Table], dict[str, RunResult]]:
    """Tuned and untuned side by side, with what the tuning cost, and the runs behind them."""
    both, result = comparison(study, store)
    runs = study_results(both, store)
    looks = looks_of(both, store)
    tables = [replace(build_table(both, spec, runs, **looks), study=study.name) for spec in tables_of(both)]
    return [replace(table, notes=(*table.notes, *costs(result))) for table in tables], runs
