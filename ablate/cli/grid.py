"""`ablate grid plan | check | run`: what a study means, whether it is sound, and doing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablate.cli.common import (
    Db,
    JsonOption,
    ProfileOption,
    SeedsOption,
    SetOption,
    StudyArgument,
    data_root,
    database_url,
    duration,
    home,
    load_study,
    open_reader,
    plural,
    print_json,
    safe_url,
    say,
    stdout_console,
)
from ablate.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ablate.cli.planning import Plan
    from ablate.store.store import Store
    from ablate.study.study import Study

app = typer.Typer(no_args_is_help=True, help="Plan, check and run the grid of a study.")

FIT = "ablate.training.trainer:fit"
RETRY = ("failed", "lost", "all", "stale")
SHOWN_ARMS = 64
MARKS = {"done": "✓", "queued": "·", "running": "▸", "failed": "✗", "lost": "?", "cancelled": "-", "pruned": "/", "blocked": "!"}  # fmt: skip


@app.command()
def plan(
    study: StudyArgument,
    profile: ProfileOption = None,
    set_: SetOption = None,
    seeds: SeedsOption = None,
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


@app.command()
def check(
    study: StudyArgument, profile: ProfileOption = None, set_: SetOption = None, seeds: SeedsOption = None
) -> None:
    """Read a study file and report every mistake (exit 3) and every doubt (exit 0)."""
    loaded = load_study(study, profile, set_, seeds)
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
    executor: Annotated[str, typer.Option(help="How workers are started: inline or local.")] = "local",
    workers: Annotated[int | None, typer.Option(help="Runs at a time.  [default: one a device]")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of each worker.  [default: cores / workers]")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, or cuda:N.")] = "auto",
    retry: Annotated[
        str | None, typer.Option(metavar="|".join(RETRY), help="Run again what failed, was lost, both, or is stale.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Start at most this many runs.")] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failure.")] = False,
    db: Db = None,
    json_: JsonOption = False,
) -> None:
    """Train whatever of a study is missing, and print its first table.

    Kill it at any moment: the next `grid run` picks up exactly what is missing.
    """
    from ablate.cli.parents import train_parents_again
    from ablate.cli.planning import make_plan, plan_document
    from ablate.dispatch.executors import get_executor
    from ablate.store.store import Store
    from ablate.study.provenance import code_version

    if retry is not None and retry not in RETRY:
        raise UsageError(f"--retry {retry}: must be one of {', '.join(RETRY)}.")
    loaded = load_study(study, profile, set_, seeds)
    get_executor(executor)
    home().mkdir(parents=True, exist_ok=True)
    settings = {"set": list(set_ or ()), "seeds": seeds}
    with Store.open(database_url(db)) as store:
        key = store.save_study(loaded, settings=settings, retry=retry, code=code_version()["code"])
        again = train_parents_again(loaded, store, home())
        before = make_plan(loaded, store)
        _announce(before, db)
        if again:
            say(
                f"{plural(len(again), 'parent run')} to train again: done, but without the weights that other runs start from."
            )
        code = 0
        if before.to_run or before.counts["running"] or before.parents:
            code = _train(loaded, before, key, db, executor, workers, threads, device, limit, fail_fast)
        after = make_plan(loaded, store)
        if json_:
            print_json(plan_document(after))
        else:
            _finish(loaded, after, store, study, db)
    if code == 0 and any(after.counts[state] for state in ("failed", "lost", "blocked", "cancelled")):
        code = 4
    raise typer.Exit(code)


def _train(
    study: Study,
    planned: Plan,
    key: int,
    db: str | None,
    executor: str,
    workers: int | None,
    threads: int | None,
    device: str,
    limit: int | None,
    fail_fast: bool,
) -> int:
    """Hand the study to the executor with a live display; the exit code that its report asks for."""
    from ablate.cli.live import LiveDisplay
    from ablate.dispatch.executor import GridRequest
    from ablate.dispatch.executors import get_executor
    from ablate.dispatch.signals import StopFlag, listening
    from ablate.store.store import Store
    from ablate.study.provenance import code_version

    stop = StopFlag()
    url = database_url(db)
    options: dict[str, Any] = {
        "keep": study.keep,
        "home": str(home().resolve()),
        "data_root": str(data_root().resolve()),
        "study_dir": str(Path(study.file).resolve().parent),
        "parent_study_dirs": [str(Path(folder).resolve()) for folder in study.parent_folders],
    }
    with LiveDisplay(planned) as display:
        request = GridRequest(
            study_key=key,
            open_store=lambda: Store.open(url),
            fit=FIT,
            home=home(),
            total=planned.to_run,
            workers=workers,
            threads=threads,
            device=device,
            options=options,
            limit=limit,
            fail_fast=fail_fast,
            environment=code_version(),
            on_event=display.handle,
            stop=stop,
        )
        with listening(stop):
            report = get_executor(executor).run(request)
    for error in report.errors:
        say(f"error: {error}")
    return report.exit_code


def _announce(planned: Plan, db: str | None) -> None:
    study, counts = planned.study, planned.counts
    scale = f" (profile {study.profile})" if study.profile else ""
    estimate = f", about {duration(planned.seconds)}" if planned.seconds else ""
    say(
        f"{study.name}{scale}: {plural(counts['total'], 'run')}, {counts['done']} done, "
        f"{counts['to_run']} to run{estimate}; results in {safe_url(database_url(db))}"
    )
    for warning in study.warnings:
        say(f"warning: {warning}")
    if counts["failed"] or counts["lost"]:
        say(f"{counts['failed']} failed, {counts['lost']} lost: they are left alone; --retry all runs them again.")


def _finish(study: Study, after: Plan, store: Store, name: str, db: str | None) -> None:
    """The first table for people, and what to do next."""
    from ablate.cli.tables import build, print_tables

    counts = after.counts
    if counts["done"]:
        first = next(iter(study.tables))
        print_tables([build(study, study.tables[first], store)], stdout_console())
    with_db = f" --db {db}" if db else ""
    for planned in after.runs:
        if planned.state in ("failed", "lost", "blocked"):
            say(
                f"{planned.state}: {planned.arm}, seed {planned.run.seed}: {planned.why.splitlines()[-1] if planned.why else 'no reason'}"
            )
            say(f"  ablate runs show {planned.run.run_id[:12]}{with_db}")
    left = counts["to_run"] + counts["running"]
    profile = f" --profile {study.profile}" if study.profile else ""
    if left:
        say(f"{plural(left, 'run')} left: ablate grid run {name}{profile}{with_db}")
    else:
        say(f"Nothing left to run. The report: ablate report {name}{profile}{with_db}")


def print_plan(planned: Plan, console: Console) -> None:
    """A plan for people, at most 80 columns wide where names allow it."""
    study, counts = planned.study, planned.counts
    scale = f"  (profile {study.profile})" if study.profile else ""
    console.print(f"[bold]{study.name}[/bold]{scale}  {Path(study.file)}", soft_wrap=True)
    if study.about:
        console.print(study.about)
    console.print(
        f"\n{plural(counts['arms_before'], 'arm')} by design {study.design}, {counts['excluded']} excluded, "
        f"{counts['merged']} merged; {plural(len(study.seeds), 'seed')}: [bold]{plural(counts['total'], 'run')}[/bold]"
    )
    for rule in study.excluded:
        console.print(f"  excluded {rule.count} by {rule.text}  (line {rule.line})", markup=False)
    for why in dict.fromkeys(arm.why for arm in study.arms if arm.merged_into):
        same = [arm for arm in study.arms if arm.merged_into and arm.why == why]
        console.print(f"  merged {len(same)}, as in {same[0].name} = {same[0].merged_into}: {why}", markup=False)
    if study.baseline:
        console.print(f"  baseline {'/'.join(study.baseline.values())}", markup=False)
    states = ", ".join(
        f"{counts[state]} {state.replace('_', ' ')}"
        for state in ("done", "running", "failed", "lost", "cancelled", "blocked", "to_run")
        if counts[state] or state in ("done", "to_run")
    )
    console.print(f"  {states}" + (f", {plural(counts['parents'], 'parent run')}" if counts["parents"] else ""))
    console.print(
        f"  about {duration(planned.seconds)} on one worker, from past runs"
        if planned.seconds
        else "  no time estimate: nothing of this shape has run here yet"
    )
    print_arms(planned, console)
    for warning in study.warnings:
        console.print(f"warning: {warning}", markup=False)


def print_arms(planned: Plan, console: Console) -> None:
    """One line an arm with a mark for each seed."""
    marks: dict[str, list[str]] = {}
    labels: dict[str, str] = {}
    for item in planned.runs:
        marks.setdefault(item.run.arm_id, []).append(MARKS[item.state])
        labels[item.run.arm_id] = item.arm + (f"  = {', '.join(item.aliases)}" if item.aliases else "")
    console.print()
    for identity in list(labels)[:SHOWN_ARMS]:
        console.print(
            f"  {''.join(marks[identity])[:20]:<6} {labels[identity]}", markup=False, overflow="ellipsis", no_wrap=True
        )
    if len(labels) > SHOWN_ARMS:
        console.print(f"  ... and {len(labels) - SHOWN_ARMS:,} arms more; --json lists every run")
    console.print(
        "  "
        + "  ".join(
            f"{MARKS[state]} {state if state != 'queued' else 'to run'}"
            for state in ("done", "queued", "running", "failed", "lost")
        )
    )


@app.command()
def schema() -> None:
    """Print the JSON Schema of study files, for editors."""
    from ablate.study.grammar import json_schema

    print_json(json_schema())
