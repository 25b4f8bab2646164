"""`ablate grid plan | check | run`: what a study means, whether it is sound, and doing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli import engines
from ablate.cli.common import (
    Db,
    JsonOption,
    ProfileOption,
    SeedsOption,
    SetOption,
    StudyArgument,
    database_url,
    load_study,
    open_reader,
    plural,
    print_json,
    safe_url,
    say,
    say_errors,
    stdout_console,
)
from ablate.cli.engines import Engine, get_engine
from ablate.cli.requests import trainer_options
from ablate.cli.screens import TROUBLES, expected, next_step, print_plan, say_troubles, trained_again
from ablate.errors import UsageError
from ablate.study.places import home, make_home

if TYPE_CHECKING:
    from ablate.cli.planning import Plan
    from ablate.store.store import Store
    from ablate.study.study import Study

app = typer.Typer(no_args_is_help=True, help="Plan, check and run the grid of a study.")

RETRY = ("failed", "lost", "all", "stale")


@app.command(short_help="What a study comes to; nothing is trained.")
def plan(
    study: StudyArgument,
    profile: ProfileOption = None,
    set_: SetOption = None,
    seeds: SeedsOption = None,
    power: Annotated[
        bool, typer.Option("--power", help="Say too how large a difference so many seeds can show.")
    ] = False,
    db: Db = None,
    json_: JsonOption = False,
) -> None:
    """Say what a study comes to: arms, what is excluded and merged and why, what is done, what will run.

    Nothing is written and nothing is trained.
    """
    from ablate.cli.planning import make_plan, plan_document

    loaded = load_study(study, profile, set_, seeds)
    store = open_reader(db)
    planned = make_plan(loaded, store)
    if json_:
        print_json(plan_document(planned))
    else:
        print_plan(planned, stdout_console())
        if power:
            from ablate.cli.power import print_power

            print_power(loaded, stdout_console())
        if loaded.tune:
            from ablate.cli.tuning import tuning_of

            tuning = tuning_of(loaded, set_ or ())
            say(f"before it, {loaded.tune} tunes {plural(len(tuning.arms), 'arm')} with {tuning.budget} each")
        say_troubles(planned, db)
        say(next_step(planned, study, set_ or (), seeds, db))


@app.command(short_help="Every mistake and every doubt about a study file.")
def check(
    study: StudyArgument, profile: ProfileOption = None, set_: SetOption = None, seeds: SeedsOption = None
) -> None:
    """Read a study file and report every mistake (exit 3) and every doubt (exit 0)."""
    loaded = load_study(study, profile, set_, seeds)
    if loaded.tune:
        from ablate.cli.tuning import tuning_of

        tuning_of(loaded, set_ or ())
    others = [name for name in loaded.profiles if name != profile] if profile is None else []
    for name in others:
        load_study(study, name, set_, seeds)
    for warning in loaded.warnings:
        print(f"warning: {warning}")
    runs, tables = plural(len(loaded.runs), "run"), plural(len(loaded.tables), "table")
    profiles = f", profiles {', '.join(loaded.profiles)}" if loaded.profiles else ""
    print(f"{loaded.name}: no mistakes; {plural(len(loaded.warnings), 'warning')}; {runs}, {tables}{profiles}.")


@app.command()
def run(
    study: StudyArgument,
    profile: ProfileOption = None,
    set_: SetOption = None,
    seeds: SeedsOption = None,
    executor: engines.ExecutorOption = "local",
    workers: engines.WorkersOption = None,
    threads: engines.ThreadsOption = None,
    device: engines.DeviceOption = "auto",
    retry: Annotated[
        str | None, typer.Option(metavar="|".join(RETRY), help="Run again what failed, was lost, both, or is stale.")
    ] = None,
    limit: engines.LimitOption = None,
    fail_fast: engines.FailFastOption = False,
    run_timeout: engines.RunTimeoutOption = None,
    slurm: engines.SlurmOption = None,
    ray: engines.RayOption = None,
    spool: engines.SpoolOption = False,
    db: Db = None,
    json_: JsonOption = False,
) -> None:
    """Train whatever of a study is missing, and print its first table.

    Kill it at any moment: the next `grid run` picks up exactly what is missing. With slurm or ray, Ctrl-C tells the
    jobs to checkpoint, give their runs back and end; again, and they are ended at once.
    """
    from ablate.cli.planning import plan_document
    from ablate.store.store import Store

    if retry is not None and retry not in RETRY:
        raise UsageError(f"--retry {retry}: must be one of {', '.join(RETRY)}.")
    loaded = load_study(study, profile, set_, seeds)
    engine = get_engine(
        executor, db, slurm=slurm, ray=ray, workers=workers, threads=threads, device=device, limit=limit,
        fail_fast=fail_fast, run_timeout=run_timeout, spool=spool,
    )  # fmt: skip
    make_home()
    if loaded.tune:
        _tune_first(loaded, set_ or [], db, engine)
    code, after = _run(loaded, engine, set_ or [], seeds, retry, db)
    if json_:
        print_json(plan_document(after))
    else:
        with Store.open(database_url(db), read_only=True) as store:
            _finish(loaded, after, store, study, set_, seeds, db, table=code < 128)
    if code == 0 and any(after.counts[state] for state in TROUBLES):
        code = 4
    raise typer.Exit(code)


def _run(
    loaded: Study, engine: Engine, sets: list[str], seeds: str | None, retry: str | None, db: str | None
) -> tuple[int, Plan]:
    """Queue what is missing and have it trained; the exit code so far, and the plan as it stands then."""
    from ablate.cli.parents import train_parents_again
    from ablate.cli.planning import make_plan
    from ablate.store.store import Store
    from ablate.study.provenance import code_of

    with Store.open(database_url(db)) as store:
        _say_other_file(loaded, store)
        settings = {"set": sets, "seeds": seeds}
        key = store.save_study(loaded, settings=settings, retry=retry, code=code_of(loaded.trainer)["code"])
        again = train_parents_again(loaded, store, home(), key)
        before = make_plan(loaded, store, workers=engine.given["workers"] or 1)
        _announce(before, db)
        if again:
            say(trained_again(len(again)))
        code = 0
        if before.to_run or before.counts["running"] or any(parent.state != "done" for parent in before.parents):
            code = _train(loaded, before, key, db, engine)
        if loaded.tune and code == 0:
            code = _compare(loaded, sets, store, db, engine)
        return code, make_plan(loaded, store)


def _train(study: Study, planned: Plan, key: int, db: str | None, engine: Engine) -> int:
    """Hand the study to the executor with a live display; the exit code that its report asks for."""
    from ablate.cli.live import LiveDisplay
    from ablate.dispatch.executor import GridRequest
    from ablate.dispatch.signals import StopFlag, listening
    from ablate.store.store import Store
    from ablate.study.provenance import code_of
    from ablate.study.trainer import fit_name

    stop = StopFlag()
    url = database_url(db)
    with LiveDisplay(planned) as display:
        request = GridRequest(
            request_key=key,
            open_store=lambda: Store.open(url, barred=planned.barred),
            fit=fit_name(study.trainer),
            home=home(),
            total=planned.to_run,
            options=trainer_options(study),
            environment=code_of(study.trainer),
            on_event=display.handle,
            stop=stop,
            database=url,
            barred=planned.barred,
            runs=(*study.parents, *study.runs),
            **engine.given,
        )
        with listening(stop):
            report = engine.executor.run(request)
    say_errors(report)
    return report.exit_code


def _tune_first(study: Study, sets: list[str], db: str | None, engine: Engine) -> None:
    """Tune every arm that the study's tuning file names, within the same budget each. Leaves where that was interrupted."""
    from ablate.cli.tuning import train, tuning_of

    code, _ = train(tuning_of(study, sets), db, engine)
    if code:
        raise typer.Exit(code)


def _compare(study: Study, sets: list[str], store: Store, db: str | None, engine: Engine) -> int:
    """Train each tuned arm as written and at its best, under the tuning's recipe; the exit code."""
    from ablate.cli.planning import make_plan
    from ablate.cli.tuning import comparison

    both, _ = comparison(study, sets, store)
    key = store.save_study(both, settings={"tune": study.tune, "keep": both.keep})
    planned = make_plan(both, store, workers=engine.given["workers"] or 1)
    say(f"as written and at their best: {plural(planned.counts['total'], 'run')}, {planned.counts['to_run']} to run")
    if not planned.to_run and not planned.counts["running"]:
        return 0
    return _train(both, planned, key, db, engine)


def _say_other_file(study: Study, store: Store) -> None:
    """Two files may claim one name; the one run last is what the name means."""
    for record in store.studies():
        if (record.name, record.profile) == (study.name, study.profile):
            if Path(record.file).resolve() != Path(study.file).resolve():
                say(f"warning: {study.name} was last run from {record.file}; from now on that name means {study.file}.")
            return


def _announce(planned: Plan, db: str | None) -> None:
    study, counts = planned.study, planned.counts
    scale = f" (profile {study.profile})" if study.profile else ""
    estimate = f", {expected(planned, planned.seconds)}" if planned.seconds else ""
    blocked = f", {counts['blocked']} blocked" if counts["blocked"] else ""
    say(
        f"{study.name}{scale}: {plural(counts['total'], 'run')}, {counts['done']} done, "
        f"{counts['to_run']} to run{estimate}{blocked}; results in {safe_url(database_url(db))}"
    )
    for warning in study.warnings:
        say(f"warning: {warning}")
    left_alone = [f"{counts[state]} {state}" for state in ("failed", "lost", "cancelled") if counts[state]]
    if left_alone:
        say(f"{', '.join(left_alone)}: left alone; --retry all runs them again.")


def _finish(study: Study, after: Plan, store: Store, name: str, sets: list[str] | None, seeds: str | None,
            db: str | None, *, table: bool) -> None:  # fmt: skip
    """The first table for people, unless they have just interrupted the grid, and what to do next."""
    from ablate.cli.tables import build, print_tables

    if after.counts["done"] and study.tables and table:
        first = next(iter(study.tables))
        tables = [build(study, study.tables[first], store)]
        if study.tune:
            from ablate.cli.tuning import comparison_tables

            tables += comparison_tables(study, sets or (), store)[0][:1]
        print_tables(tables, stdout_console())
    say_troubles(after, db)
    say(next_step(after, name, sets or (), seeds, db))


@app.command()
def schema() -> None:
    """Print the JSON Schema of study files, for editors."""
    from ablate.study.grammar import json_schema

    print_json(json_schema())
