"""`ablate runs list | show | logs | diff | cancel | verify`: single runs, by unique prefixes of their ids."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from ablate.cli import completion
from ablate.cli.common import Db, JsonOption, ProfileOption, SetOption, print_json, require_reader, say, stdout_console
from ablate.cli.groups import Group
from ablate.errors import UsageError, check_choice
from ablate.project.database import database_url
from ablate.project.runs import FAILED, details_document, differences, finite, list_runs, log_of, names_of, run_document
from ablate.project.text import plural
from ablate.study.values.run import STATES

app = typer.Typer(cls=Group, no_args_is_help=True, help="List, show, compare, cancel and verify runs; read their logs.")

LOOK_EVERY = 0.5
"""Seconds between two looks at a log that is followed."""

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run id, or the beginning of one.", autocompletion=completion.runs)
]


@app.command("list")
def list_(
    study: Annotated[
        str | None, typer.Option("--study", help="Only runs of this study.", autocompletion=completion.names)
    ] = None,
    state: Annotated[str | None, completion.choice("--state", STATES, "Only runs in this state.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only runs that failed or were lost, and why.")] = False,
    arm: Annotated[
        str | None, typer.Option("--arm", metavar="NAME", help="Only runs of this arm.", autocompletion=completion.arms)
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="COLUMN",
            help="Sort by a column or metric, the best first.",
            autocompletion=completion.columns,
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most this many, the newest first.")] = None,
    db: Db = None,
    json_: JsonOption = False,
) -> None:
    """List runs with their state and final metrics."""
    if state is not None:
        check_choice(f"--state {state}", state, STATES, code="unknown-state")
    if failed and state is not None:
        raise UsageError("--failed cannot be combined with --state.")
    store = require_reader(db)
    states = FAILED if failed else [state] if state else None
    found, names = list_runs(store, study=study, states=states, arm=arm, sort=sort, limit=limit)
    if json_:
        asked = store.asked_by([result.run.run_id for result in found])
        print_json({"schema": 1, "runs": [run_document(result, names, asked) for result in found]})
        return
    from ablate.cli.run_screens import print_list

    print_list(found, names, sort, errors=failed)
    if not found:
        say("No matching runs." if study or states or arm else "No runs yet: ablate grid run STUDY.yaml")
    elif len(found) == limit:
        say(f"Only the {'first' if sort else 'newest'} {plural(limit, 'run')} shown (--limit).")
    else:
        say(f"{plural(len(found), 'run')}. To show one: ablate runs show RUN")


@app.command(short_help="Show one run: recipe, epochs, environment, error, log.")
def show(run: RunArgument, db: Db = None, json_: JsonOption = False) -> None:
    """Show everything about one run: recipe, attempts, epochs, environment, error, log."""
    from ablate.cli.run_screens import print_run

    store = require_reader(db)
    result = store.find(run)
    names = names_of(store, [result])
    if not json_:
        print_run(result, names, stdout_console())
        return
    document = run_document(result, names, store.asked_by([result.run.run_id]))
    print_json(finite({"schema": 1, **document, **details_document(result), "log": log_of(result)}))


@app.command(short_help="Print a run's log, or follow it.")
def logs(
    run: RunArgument,
    follow_: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is printed, until the run has ended.")
    ] = False,
    attempt: Annotated[
        int | None, typer.Option("--attempt", min=1, metavar="N", help="Of this attempt.  [default: the newest]")
    ] = None,
    db: Db = None,
) -> None:
    """Print what an attempt printed, whole. With --follow also what comes, of later attempts too, until the run has ended."""
    from ablate.project.logs import follow, read_log

    store = require_reader(db)
    run_id = store.find(run).run.run_id
    if follow_:
        pieces = follow(lambda: store.find(run_id), attempt, lambda: time.sleep(LOOK_EVERY), say)
    else:
        pieces = read_log(store.find(run_id), attempt)
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()


@app.command(short_help="Show where two runs differ.")
def diff(
    first: RunArgument,
    second: RunArgument,
    all_: Annotated[bool, typer.Option("--all", help="Also show what is the same.")] = False,
    db: Db = None,
) -> None:
    """Show where two runs differ: recipe, seed, environment, data, final metrics."""
    from ablate.cli.run_screens import print_differences

    store = require_reader(db)
    one, other = store.find(first), store.find(second)
    if rows := differences(one, other, everything=all_):
        print_differences(rows, one, other, stdout_console())
    else:
        stdout_console().print("no difference")


@app.command(short_help="Remove runs from the queue.")
def cancel(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Run ids, or beginnings of them.", autocompletion=completion.runs),
    ],
    db: Db = None,
) -> None:
    """Remove queued runs from the queue; `grid run --retry all` puts them back. Done runs are not touched."""
    from ablate.store.store import Store

    reader = require_reader(db)
    found = list(dict.fromkeys(reader.find(run).run.run_id for run in runs))
    states = reader.states(found)
    with Store.open(database_url(db)) as store:
        cancelled = store.cancel(found)
    say(
        f"{len(cancelled)} of {plural(len(found), 'run')} cancelled"
        + ("; `grid run STUDY --retry all` puts them back" if cancelled else "")
    )
    for run_id in found:
        if run_id not in cancelled:
            say(f"{run_id[:12]} is {states[run_id].state}: not changed")


@app.command(short_help="Check whether the current code gives the same numbers.")
def verify(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY",
            help="A study file, or the name of a study that was run.",
            autocompletion=completion.studies,
        ),
    ],
    profile: ProfileOption = None,
    set_: SetOption = None,
    sample: Annotated[
        int, typer.Option("--sample", min=0, metavar="N", help="Check at least N runs, even if fewer use all parts.")
    ] = 0,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="OTHER.db", help="Compare with a database that the old code trained on this machine."
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="Train this run again, and no other: an id or its beginning."),
    ] = None,
    db: Db = None,
    json_: JsonOption = False,
) -> None:
    """Train some done runs again with the current code, and compare every number with the stored one, bit for bit.

    These are the cheapest runs that together use every part of the study, after the runs that they start from. Stored results
    do not change. Runs whose parts all gave equal numbers are no longer stale. Exits with 4 if a run differs, or cannot be
    compared on this machine.
    """
    from ablate.cli.screens import say_stale
    from ablate.project import verification as work
    from ablate.project.planning import make_plan
    from ablate.project.stored import stored_study
    from ablate.store.store import Store

    loaded = stored_study(require_reader(db), study, profile, set_ or [])
    with Store.open(database_url(db)) as store:
        source = require_reader(from_) if from_ is not None else store
        found = work.verify(loaded, store, source, sample, run)
        planned = make_plan(loaded, store)
    work.say_left(found, loaded, db)
    if json_:
        print_json(work.document(planned, found))
    else:
        say_stale(planned)
    if not found.whole:
        raise typer.Exit(4)
