"""`ablate worker`: another worker for a study, started by hand on any host that reaches its database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablate.cli import completion
from ablate.cli.common import Db, ProfileOption, SetOption, say, say_errors
from ablate.errors import LeaseLost, NotFound, UsageError
from ablate.project.database import database_url
from ablate.study.recipes.places import home

if TYPE_CHECKING:
    from ablate.dispatch.contract.signals import StopFlag
    from ablate.store.store import Store
    from ablate.store.values import StoredRequest, StoredStudy


def worker(
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            metavar="NAME|KEY",
            help="A study in the database: train its open requests.",
            autocompletion=completion.names,
        ),
    ] = None,
    grid: Annotated[
        Path | None,
        typer.Option("--grid", metavar="FILE", help="Or a grid file that an executor on another host wrote."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of this worker, with --grid.")] = "by-hand",
    profile: ProfileOption = None,
    set_: SetOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time on this host.  [default: one per device]")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of each run.  [default: cores / workers]")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, or cuda:N.")] = "auto",
    limit: Annotated[int | None, typer.Option(min=1, help="Start at most this many runs.")] = None,
    db: Db = None,
) -> None:
    """Train what is left of a study on this host.

    Use it for a second machine beside a running `ablate grid run`, or with schedulers that ablate does not support. Start as
    many as you like, on any host that reaches the database (ABLATE_DB; PostgreSQL for several hosts) and shares ABLATE_HOME.
    `ablate grid run` must have queued the study's runs. Open requests are served oldest first, each in the folder where it
    was made if that has the same scripts, otherwise in the current folder.

    On SIGINT, SIGTERM and SIGUSR2 it saves checkpoints, returns its runs to the queue and exits. Exit codes: 0 nothing left;
    4 runs failed, were lost or are blocked; 5 the scripts of a request are in neither folder; 75 another worker took over a
    run; 130, 143, 140 after SIGINT, SIGTERM, SIGUSR2; other exit codes: see README.
    """
    from ablate.dispatch.contract.signals import StopFlag, listening
    from ablate.dispatch.elsewhere.host_worker import WORKER_SIGNALS, serve

    if (study is None) == (grid is None):
        raise UsageError("give either --study NAME or --grid FILE.")
    if grid is not None and (profile or set_):
        raise UsageError("--profile and --set go with --study; a grid file names its study.")
    stop = StopFlag()
    with listening(stop, WORKER_SIGNALS):
        if grid is not None:
            code = serve(grid, name, stop, limit=limit, database=database_url(db) if db else None)
        else:
            given = {"workers": workers, "threads": threads, "device": device}
            code = _Hand(str(study), profile, set_ or (), limit, given, database_url(db), stop).work()
    raise typer.Exit(code)


@dataclass
class _Hand:
    """Serves the open requests of a study, oldest first. `limit` bounds the runs of all of them."""

    study: str
    profile: str | None
    sets: Sequence[str]
    limit: int | None
    given: Mapping[str, Any]
    url: str
    stop: StopFlag

    def work(self) -> int:
        """Until no request is open; the exit code. Raises NotFound where the scripts of one are not here, once the others are done."""
        served: set[int] = set()
        codes: list[int] = []
        refused: list[NotFound] = []
        while (request := self._next(served)) is not None:
            served.add(request.key)
            try:
                codes.append(self._serve(request))
            except NotFound as error:
                refused.append(error)
            if self.stop.signal or self.limit == 0:
                break
        if refused and not self.stop.signal:
            raise NotFound("\n".join(dict.fromkeys(map(str, refused))))
        return max(codes, key=lambda code: (code >= 128, code == LeaseLost.exit_code, code), default=0)

    def _next(self, served: set[int]) -> StoredRequest | None:
        from ablate.store.store import Store

        with Store.open(self.url, read_only=True) as store:
            records = self._records(store)
            open_ones = [
                request
                for record in records
                for request in store.requests(record.name, record.profile or "", record.sets, open_only=True)
                if request.key not in served
            ]
        return min(open_ones, key=lambda request: request.key, default=None)

    def _records(self, store: Store) -> list[StoredStudy]:
        """What is stored under the name, or under the key. Raises NotFound."""
        from ablate.project.stored import records_of
        from ablate.study.values.study import full_name

        if not self.study.isdigit():
            return records_of(store, self.study, self.sets, self.profile)
        every = [*store.studies(), *store.tunings()]
        found = [item for item in every if item.key == int(self.study)]
        if not found:
            known = ", ".join(
                f"{item.key} ({full_name(item.name, item.profile, item.sets)})" for item in store.studies()
            )
            message = f"{store.url} has no study with the key {self.study}; it has {known or 'none yet'}."
            raise NotFound(message, code="unknown-study")
        return found

    def _serve(self, request: StoredRequest) -> int:
        """Train what is left of one request; the exit code."""
        from ablate.dispatch.contract.executor import GridRequest
        from ablate.dispatch.elsewhere.host_worker import exit_code, work_here
        from ablate.dispatch.elsewhere.queues import opener
        from ablate.dispatch.worker.folders import sources_here, working_folder
        from ablate.project.calls import trainer_options
        from ablate.project.planning import make_plan
        from ablate.project.records import load_record, place_of
        from ablate.project.sources import take_sources
        from ablate.store.store import Store
        from ablate.study.assign.foreign_trainer import fit_name
        from ablate.study.code.scripts import globs_of

        loaded = load_record(request)
        runs, watch = (*loaded.parents, *loaded.runs), globs_of(loaded.trainer)
        try:
            sources = sources_here(request.call_options.get("sources") or {}, request.folder, home(), place_of(request))
            scripts = () if sources else runs  # runs of snapshots need none in the folder
            folder = working_folder(scripts, watch, request.code, request.folder, place_of(request))
        except NotFound as refusal:
            raise NotFound(f"{loaded.full_name}: {refusal}") from None
        loaded = replace(loaded, file=str(folder / Path(loaded.file).name))
        with Store.open(self.url, read_only=True) as store:
            barred = make_plan(loaded, store).barred
        say(f"{loaded.full_name}: request {request.key}, made in {request.folder or 'an unknown folder'}")
        report = work_here(
            GridRequest(
                request_key=request.key,
                open_store=opener(self.url, barred),
                fit=fit_name(loaded.trainer),
                home=home(),
                options=trainer_options(loaded, folder, sources or take_sources(loaded)),
                limit=self.limit,
                stop=self.stop,
                database=self.url,
                resources=loaded.resources,
                **self.given,
            )
        )
        say_errors(report)
        if self.limit is not None:
            self.limit = max(0, self.limit - report.started)
        return exit_code(report)
