"""`ablate grid plan | check | run`: show, check and run a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.common import (
    Db,
    JsonOption,
    ProfileOption,
    SeedsOption,
    SetOption,
    StudyArgument,
    load_study,
    open_reader,
    print_json,
    require_reader,
    say,
    stdout_console,
)
from ablate.cli.engines import AskedEngine, takes_engine
from ablate.cli.groups import Group
from ablate.cli.screens import OF_SCRIPTS, next_step, print_plan, say_stale, say_troubles
from ablate.errors import UsageError
from ablate.project.text import plural

if TYPE_CHECKING:
    from ablate.project.planning import Plan
    from ablate.study.values.study import Study

app = typer.Typer(cls=Group, no_args_is_help=True, help="Plan, check and run the grid of a study.")

RETRY = ("failed", "lost", "all", "stale")


@app.command(short_help="Show the arms and runs of a study; train nothing.")
def plan(
    study: StudyArgument,
    profile: ProfileOption = None,
    set_: SetOption = None,
    seeds: SeedsOption = None,
    power: Annotated[
        bool, typer.Option("--power", help="Also show how small a difference these seeds can detect.")
    ] = False,
    commands: Annotated[
        bool, typer.Option("--commands", help="Print the command of each run instead; with --json, add it.")
    ] = False,
    db: Db = None,
    json_: JsonOption = False,
) -> None:
    """Show a study's arms, what is excluded or merged and why, what is done, and what will run.

    Nothing is written or trained.
    """
    from ablate.project.planning import make_plan, plan_document

    loaded = load_study(study, profile, set_, seeds)
    store = open_reader(db)
    planned = make_plan(loaded, store)
    if commands and not json_:
        from ablate.project.commands import command_lines

        for line in command_lines(planned):
            print(line)
    elif json_:
        document = plan_document(planned)
        if commands:
            from ablate.project.commands import commands_of

            words = commands_of(loaded)
            document["runs"] = [{**item, "command": words[item["run_id"]]} for item in document["runs"]]
        print_json(document)
    else:
        print_plan(planned, stdout_console())
        if power:
            from ablate.cli.power import print_power

            print_power(loaded, stdout_console())
        if loaded.tune:
            from ablate.project.tunings import tuning_of

            tuning = tuning_of(loaded)
            say(f"first, {loaded.tune} tunes {plural(len(tuning.arms), 'arm')} with {tuning.budget} each")
        say_troubles(planned, db)
        say_stale(planned)
        say(next_step(planned, study, seeds, db))


@app.command(short_help="Report errors and warnings of a study file.")
def check(
    study: StudyArgument,
    profile: ProfileOption = None,
    set_: SetOption = None,
    seeds: SeedsOption = None,
    json_: JsonOption = False,
) -> None:
    """Read a study file and report every mistake (exit 3) and every warning (exit 0)."""
    from ablate.project.planning import check_document

    loaded = load_study(study, profile, set_, seeds)
    if loaded.tune:
        from ablate.project.tunings import tuning_of

        tuning_of(loaded)
    others = [name for name in loaded.profiles if name != profile] if profile is None else []
    for name in others:
        load_study(study, name, set_, seeds)
    if json_:
        print_json(check_document(loaded))
        return
    for warning in loaded.warnings:
        print(f"warning: {warning}")
    runs, tables = plural(len(loaded.runs), "run"), plural(len(loaded.tables), "table")
    profiles = f", profiles {', '.join(loaded.profiles)}" if loaded.profiles else ""
    print(f"{loaded.name}: no mistakes; {plural(len(loaded.warnings), 'warning')}; {runs}, {tables}{profiles}.")


@app.command()
@takes_engine
def run(
    study: StudyArgument,
    profile: ProfileOption = None,
    set_: SetOption = None,
    seeds: SeedsOption = None,
    *,
    engine: AskedEngine,
    retry: Annotated[
        str | None, typer.Option(metavar="|".join(RETRY), help="Run again what failed, was lost, both, or is stale.")
    ] = None,
    db: Db = None,
    json_: JsonOption = False,
) -> None:
    """Train the missing runs of a study, and print its first table.

    You can kill it at any time: the next `grid run` trains what is still missing. With workers on other hosts, Ctrl-C asks
    them to save a checkpoint and stop; a second Ctrl-C stops them at once.
    """
    from ablate.project.planning import plan_document

    if retry is not None and retry not in RETRY:
        raise UsageError(f"--retry {retry}: must be one of {', '.join(RETRY)}.")
    loaded = load_study(study, profile, set_, seeds)
    if retry == "stale" and loaded.trainer is not None:
        say(OF_SCRIPTS)
    ready = engine(db, loaded.resources)
    from ablate.cli.running import run_grid

    code, after = run_grid(loaded, ready, seeds, retry, db)
    if json_:
        print_json(plan_document(after))
    else:
        _finish(loaded, after, study, seeds, db, table=code < 128)
    raise typer.Exit(code)


def _finish(study: Study, after: Plan, name: str, seeds: str | None, db: str | None, *, table: bool) -> None:
    """The first table for people, unless they have just interrupted the grid, and what to do next."""
    from ablate.analysis.layout import tables_of
    from ablate.cli.screens import print_tables
    from ablate.project.results import build

    if after.counts["done"] and table and (shown := tables_of(study)):
        store = require_reader(db)
        tables = [build(study, shown[0], store)]
        if study.tune:
            from ablate.project.tunings import comparison_tables

            tables += comparison_tables(study, store)[0][:1]
        print_tables(tables, stdout_console())
    say_troubles(after, db)
    say_stale(after)
    say(next_step(after, name, seeds, db))


@app.command()
def schema() -> None:
    """Print the JSON Schema of study files, for editors."""
    from ablate.study.grammar import json_schema

    print_json(json_schema())
