"""`ablate worker`: one more pair of hands for a study, started by hand on any host that reaches its database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablate.cli.common import Db, ProfileOption, database_url, say
from ablate.errors import NotFound, UsageError
from ablate.study.places import home

if TYPE_CHECKING:
    from ablate.dispatch.signals import StopFlag
    from ablate.store.store import Store


def worker(
    study: Annotated[
        str | None, typer.Option("--study", metavar="NAME|KEY", help="A study of the database, as it was last run.")
    ] = None,
    grid: Annotated[
        Path | None, typer.Option("--grid", metavar="FILE", help="A grid file, as slurm and ray write it, instead.")
    ] = None,
    name: Annotated[str, typer.Option(help="This worker's name, with --grid.")] = "by-hand",
    profile: ProfileOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time on this host.  [default: one a device]")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of each run.  [default: cores / workers]")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, or cuda:N.")] = "auto",
    limit: Annotated[int | None, typer.Option(min=1, help="Start at most this many runs.")] = None,
    db: Db = None,
) -> None:
    """Train what is left of a study on this host until nothing is left to claim.

    For a second machine beside a running `ablate grid run`, or for schedulers that ablate does not know: start as many as
    you like, on any host that reaches the database (ABLATE_DB: PostgreSQL beyond one host) and shares ABLATE_HOME. The
    study must have been run before, with `ablate grid run`, which queues its runs.

    SIGINT, SIGTERM and SIGUSR2 have it checkpoint, give its runs back and leave. Exit codes: 0 nothing left; 4 runs failed,
    were lost or are blocked; 75 lease lost, so that another worker has a run of this one; 130, 143, 140 after SIGINT,
    SIGTERM, SIGUSR2; others as everywhere.
    """
    from ablate.dispatch.remote import WORKER_SIGNALS, serve
    from ablate.dispatch.signals import StopFlag, listening

    if (study is None) == (grid is None):
        raise UsageError("name what to work on: --study NAME, or --grid FILE.")
    stop = StopFlag()
    with listening(stop, WORKER_SIGNALS):
        if grid is not None:
            code = serve(grid, name, stop, limit=limit, database=database_url(db) if db else None)
        else:
            code = _work_on(str(study), profile, workers, threads, device, limit, database_url(db), stop)
    raise typer.Exit(code)


def _work_on(study: str, profile: str | None, workers: int | None, threads: int | None, device: str, limit: int | None,
             url: str, stop: StopFlag) -> int:  # fmt: skip
    from ablate.cli.planning import make_plan
    from ablate.cli.requests import trainer_options
    from ablate.cli.stored import load_record
    from ablate.dispatch.executor import GridRequest
    from ablate.dispatch.remote import exit_code, work_here
    from ablate.dispatch.stores import opener
    from ablate.store.store import Store
    from ablate.study.provenance import code_of
    from ablate.study.trainer import fit_name

    with Store.open(url, read_only=True) as store:
        record = _record(store, study, profile)
        loaded = load_record(record)
        barred = make_plan(loaded, store).barred
        requested = store.requests(record.name, record.profile or "", record.sets)[-1].key
    request = GridRequest(
        request_key=requested,
        open_store=opener(url, barred),
        fit=fit_name(loaded.trainer),
        home=home(),
        workers=workers,
        threads=threads,
        device=device,
        options=trainer_options(loaded),
        limit=limit,
        environment=code_of(loaded.trainer),
        stop=stop,
        database=url,
    )
    report = work_here(request)
    for error in report.errors:
        say(f"error: {error}")
    return exit_code(report)


def _record(store: Store, study: str, profile: str | None) -> Any:
    """The study of that name (and profile), the one run last, or of that key. Raises NotFound."""
    if study.isdigit():
        found = next((item for item in store.studies() if item.key == int(study)), None)
        if found is None:
            known = ", ".join(f"{item.key} ({item.name})" for item in store.studies())
            raise NotFound(f"{store.url} has no study with the key {study}; it has {known or 'none yet'}.")
        return found
    return store.study_source(study, profile)
