"""The public functions of the package `ablate`: a study planned, trained, read and reported from Python.

They print nothing and raise the errors of `ablate.errors`; a run that fails is a value in `GridResult`. Where a function takes a study, it
takes a `Study`, a study file, or the name of a study in the database. `db` is a URL or a file, else `ABLATE_DB`, else `results.db`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ablate.errors import Interrupted, NotFound, UsageError, nearest
from ablate.project.database import database_url, open_results, require_results
from ablate.project.engines import ReadyEngine, get_engine
from ablate.project.planning import Plan, PlannedRun, make_plan
from ablate.study.loader import Choices, load
from ablate.study.recipes.places import make_home
from ablate.study.values.study import Study

if TYPE_CHECKING:
    import pandas

    from ablate.analysis.table import Table
    from ablate.dispatch.contract.events import Event, GridReport
    from ablate.study.records import RunResult
    from ablate.study.values.resources import Resources
    from ablate.study.values.trials import TuningResult

Retry = Literal["failed", "lost", "cancelled", "stale", "all"]


@dataclass(frozen=True)
class GridResult:
    """How the runs of a study stand after `run_grid`. `seconds` is the time that this call worked."""

    plan: Plan
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether every run is done."""
        return self.plan.counts["done"] == self.plan.counts["total"]

    @property
    def failed(self) -> tuple[PlannedRun, ...]:
        """The runs that failed; `why` is the end of what each said."""
        return tuple(run for run in self.plan.runs if run.state == "failed")


def load_study(
    file: str | Path, *, profile: str | None = None, sets: Sequence[str] = (), seeds: int | Sequence[int] | None = None
) -> Study:
    """A study file, read and checked. `sets` are settings that all arms share, as "epochs=3"; `seeds` how many, or which.

    Raises `StudyError` with all mistakes of the file (`error.problems`: file, line, key, message), `NotFound` where there is none.
    """
    for item in sets:
        if "=" not in item:
            raise UsageError(f"sets: {item!r} must be PATH=VALUE, as in 'epochs=3'.", code="bad-setting")
    chosen = seeds if isinstance(seeds, int) or seeds is None else tuple(seeds)
    return load(file, Choices(profile, tuple(sets), chosen))


def plan(study: Study | str | Path, *, db: str | None = None) -> Plan:
    """A study's arms and runs, with the state of each run in the database. Nothing is written."""
    loaded = _to_train(study, db)
    store = open_results(db)
    if store is None:
        return make_plan(loaded, None)
    with store:
        return make_plan(loaded, store)


def run_grid(
    study: Study | str | Path,
    *,
    workers: int | None = None,
    threads: int | None = None,
    device: str = "auto",
    executor: str = "local",
    limit: int | None = None,
    retry: Retry | None = None,
    on_event: Callable[[Event], None] | None = None,
    db: str | None = None,
) -> GridResult:
    """Train the missing runs of a study, and return when none is left that can be trained here.

    `on_event` gets an `ablate.dispatch.contract.events` value for each thing that happens, in a worker's thread. Raises
    `Interrupted` after Ctrl-C (in the main thread; runs checkpoint first), `DatabaseGone`, and `UsageError` for what cannot work here.
    A study with a tuning is trained as written: tune it with `run_tuning`.
    """
    from ablate.project.grids import work
    from ablate.store.store import Store

    loaded = _to_train(study, db)
    engine = _engine(executor, db, workers, threads, device, limit, loaded.resources)
    make_home()

    with Store.open(database_url(db)) as store:
        worked = work(loaded, store, engine, lambda planned: _told(on_event), db=db, retry=retry)
    if worked.report is None:
        return GridResult(worked.after)
    _raise_for(worked.report)
    return GridResult(worked.after, worked.report.seconds)


def results(study: Study | str | Path, *, db: str | None = None) -> dict[str, RunResult]:
    """What is known of each run of a study, by run id: state, metrics, epochs, environment."""
    from ablate.project.results import study_results

    with require_results(db) as store:
        return study_results(_stored(study, db), store)


def frame(
    study: Study | str | Path,
    *,
    by: Literal["run", "epoch"] = "run",
    profile: str | None = None,
    set: str | Sequence[str] = (),
    db: str | None = None,
) -> pandas.DataFrame:
    """A study's results as a data frame: one row a run, or one row an epoch of a run.

    `set` names a variant by its settings: "epochs=3", or several in a list. The columns are the study, the variant, the arm, each
    factor, the seed, the state, every metric in its own unit, seconds, device and run id. Raises `NotFound` where there is no such
    study or database.
    """
    from ablate.analysis import frame as build
    from ablate.project.stored import stored_study

    with require_results(db) as store:
        sets = [set] if isinstance(set, str) else list(set)
        loaded = study if isinstance(study, Study) else stored_study(store, str(study), profile, sets)
        return build(loaded, store.results([run.run_id for run in loaded.runs]), by=by)


def table(study: Study | str | Path, name: str, *, db: str | None = None) -> Table:
    """One table of a study with what the database holds now. Raises `NotFound` for a table that it does not declare."""
    from ablate.project.results import build

    loaded = _stored(study, db)
    if name not in loaded.tables:
        known = ", ".join(loaded.tables) or "none"
        message = f"{loaded.name} has no table {name!r}.{nearest(name, loaded.tables)} Its tables: {known}."
        raise NotFound(message, code="unknown-table")
    with require_results(db) as store:
        return build(loaded, loaded.tables[name], store)


def write_report(
    study: Study | str | Path, out: str | Path = "reports", *, format: str = "html", db: str | None = None
) -> list[Path]:
    """Write a study's tables into the folder `out`, and give the files: `STUDY.html`, or the ending of another format.

    Raises `UsageError` for an unknown format, `NotFound` where the study has no run.
    """
    from ablate.project.pages import study_page
    from ablate.report.html import write_report as write

    loaded = _stored(study, db)
    with require_results(db) as store:
        name, text = study_page(loaded, store, format)
    path = Path(out) / name
    write(path, text)
    return [path]


def run_tuning(
    file: str | Path,
    *,
    profile: str | None = None,
    sets: Sequence[str] = (),
    workers: int | None = None,
    threads: int | None = None,
    device: str = "auto",
    executor: str = "local",
    limit: int | None = None,
    on_event: Callable[[Event], None] | None = None,
    db: str | None = None,
) -> TuningResult:
    """Train trials until each arm's budget is spent, and return each arm's trials and best recipe.

    A failed trial is one of the trials. Raises as `run_grid` does.
    """
    from ablate.project.tunings import train
    from ablate.study.tuning.tuning import load_tuning
    from ablate.tuning.reading import read_result

    tuning = load_tuning(file, profile, tuple(sets))
    engine = _engine(executor, db, workers, threads, device, limit, tuning.study.resources)

    tuned = train(tuning, engine, lambda session, store: _told(on_event), db=db)
    if tuned.report is not None:
        _raise_for(tuned.report)
    with require_results(db) as store:
        return read_result(tuning, store, importance=False)


def _to_train(study: Study | str | Path, db: str | None) -> Study:
    """A file as it is now, a name as it was last run."""
    if isinstance(study, Study):
        return study
    text = str(study)
    if isinstance(study, Path) or text.endswith((".yaml", ".yml")):
        return load(text)
    return _stored(text, db)


def _stored(study: Study | str | Path, db: str | None) -> Study:
    from ablate.project.stored import stored_study

    if isinstance(study, Study):
        return study
    with require_results(db) as store:
        return stored_study(store, str(study))


def _engine(
    executor: str, db: str | None, workers: int | None, threads: int | None, device: str, limit: int | None,
    resources: Resources,
) -> ReadyEngine:  # fmt: skip
    return get_engine(
        executor, db, engine_options={}, workers=workers, threads=threads, device=device, limit=limit,
        fail_fast=False, run_timeout=None, spool=False, resources=resources,
    )  # fmt: skip


def _told(on_event: Callable[[Event], None] | None) -> AbstractContextManager[Callable[[Event], None]]:
    return nullcontext(on_event or (lambda event: None))


def _raise_for(report: GridReport) -> None:
    """Raise what stopped a grid."""
    if report.gone is not None:
        raise report.gone
    if report.interrupted:
        raise Interrupted(report.interrupted)
    if report.errors:
        raise report.errors[0]
