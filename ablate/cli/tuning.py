"""Training the trials of a tuning: what `tune run` does, and `grid run` for a study that is tuned first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ablate.analysis import build_table
from ablate.analysis.table import Table
from ablate.cli.common import database_url, plural, safe_url, say, say_errors
from ablate.cli.engines import ReadyEngine
from ablate.cli.live import LiveDisplay
from ablate.cli.parents import train_parents_again
from ablate.cli.planning import make_plan
from ablate.cli.requests import trainer_options
from ablate.cli.tables import looks_of, study_results
from ablate.dispatch.contract import events
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.contract.signals import StopFlag, listening
from ablate.errors import NotFound, Problem, StudyError
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


def train(tuning: Tuning, db: str | None, engine: ReadyEngine, retry: Sequence[str] = ()) -> tuple[int, bool]:
    """Tune to the end with a live display; the exit code of an interrupted or broken tuning, else 0, and whether every
    budget is spent.

    Failed trials are part of a tuning, so they do not make it fail.
    """
    make_home()
    url = database_url(db)
    with Store.open(url) as store:
        session = Session(tuning, store, prepare=lambda study, key: train_parents_again(study, store, home(), key))
        if retry and (again := session.retry(retry)):
            say(f"{plural(again, 'failed trial')} to try again")
        _announce(session, url)
        if session.over:
            return 0, True
        _check(tuning, store)
        with LiveDisplay(make_plan(session.runs, store), figures=(tuning.metric,)) as display:
            display.names |= session.names()
            display.total = session.runs_left
            request = _request(session, url, display, engine)
            with listening(request.stop):
                report = tune(session, request, engine.executor, engine.slots)
    say_errors(report)
    if session.found:
        say(f"{plural(session.found, 'run')} of trials had been trained before: not trained again")
    return replace(report, failed=0, lost=0, blocked=0).exit_code, session.over


def _check(tuning: Tuning, store: Store) -> None:
    """Raises NotFound for an arm that cannot start."""
    tuned = {arm.arm_id: arm.name for arm in tuning.arms}
    for planned in make_plan(tuning.study, store).runs:
        if planned.state == "blocked" and planned.run.arm_id in tuned:
            raise NotFound(f"{tuned[planned.run.arm_id]} cannot be tuned: {planned.why}")


def _request(session: Session, url: str, display: LiveDisplay, engine: ReadyEngine) -> GridRequest:
    study, total = session.tuning.study, display.total

    def show(event: events.Event) -> None:
        if isinstance(event, events.RunStarted) and event.run.run_id not in display.names:
            display.names |= session.names()
        display.total = max(0, total - session.found)
        display.handle(event)

    return GridRequest(
        request_key=session.key,
        open_store=lambda: Store.open(url),
        fit=fit_name(study.trainer),
        home=home(),
        options=trainer_options(study),
        on_event=show,
        stop=StopFlag(),
        database=url,
        **{**engine.given, "workers": engine.slots},
    )


def _announce(session: Session, url: str) -> None:
    tuning = session.tuning
    ended = sum(done for done, _ in session.counts().values())
    say(
        f"tuning {tuning.study.full_name}: {plural(len(tuning.arms), 'arm')}, {tuning.budget} each, {tuning.sampler}"
        f"{'' if tuning.pruner == 'none' else ' with ' + tuning.pruner}; {plural(ended, 'trial')} done; "
        f"results in {safe_url(url)}"
    )
    for warning in tuning.warnings:
        say(f"warning: {warning}")


def tuning_of(study: Study) -> Tuning:
    """The tuning that a study names. Raises NotFound or StudyError, also where it tunes another study."""
    assert study.tune is not None
    beside = Path(study.file).parent / study.tune
    tuning = load_tuning(beside if beside.is_file() else study.tune, study.profile, study.sets)
    if tuning.study.name != study.name:
        message = (
            f"{study.tune} tunes the arms of {tuning.study.name}, not of {study.name}; its `study` must be this file."
        )
        raise StudyError([Problem(study.file, None, "tune", message)])
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
    tables = [replace(build_table(both, spec, runs, **looks), study=study.name) for spec in both.tables.values()]
    return [replace(table, notes=(*table.notes, *costs(result))) for table in tables], runs
