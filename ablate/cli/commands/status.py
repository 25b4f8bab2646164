"""`ablate status [STUDY]`: how far studies are. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.cli.common import (
    Db,
    JsonOption,
    ProfileOption,
    SetOption,
    StoredStudyArgument,
    print_json,
    require_reader,
    say,
    stdout_console,
)
from ablate.project.advice import command

if TYPE_CHECKING:
    from ablate.project.planning import Plan
    from ablate.store.store import Store
    from ablate.store.values import StoredStudy


def status(
    study: StoredStudyArgument = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    db: Db = None,
    json_: JsonOption = False,
) -> None:
    """Show what is done, running, failed and left, for one study or for all."""
    from ablate.cli.screens import next_step, print_arms, say_stale, say_troubles
    from ablate.project.planning import make_plan, plan_document, tuning_plan
    from ablate.project.records import tuning_studies
    from ablate.project.stored import changed_since, every_study, file_and_seeds, stored_study

    store = require_reader(db)
    wanted = every_study(store) if study is None else [stored_study(store, study, profile, set_ or ())]
    plans = [make_plan(item, store) for item in wanted]
    if json_:
        documents = [plan_document(planned) for planned in plans]
        print_json(documents[0] if study is not None else {"schema": 1, "studies": documents})
        return
    console = stdout_console()
    tunings = tuning_studies(store) if study is None else []
    if not plans and not tunings:
        say("No study has been run yet: ablate grid run STUDY.yaml")
    for planned in plans:
        console.print(_head(planned), soft_wrap=True)
        if study is not None:
            print_arms(planned, console)
            say_troubles(planned, db)
            if changed := changed_since(store, planned.study, study):
                say(changed)
        say_stale(planned)
        _say_nobody(planned, store)
        file, seeds = file_and_seeds(store, planned.study, study)
        say(f"  {next_step(planned, file, seeds, db)}")
    for record, queued in tunings:
        planned = tuning_plan(record, queued, store)
        console.print(_head(planned), soft_wrap=True)
        _say_nobody(planned, store)
        say(f"  {_tuning_step(record, planned, db)}")


def _say_nobody(planned: Plan, store: Store) -> None:
    """Say that runs are left and no worker is active; some may still be marked running."""
    from ablate.project.planning import NOBODY, is_worked_on

    if planned.left and not is_worked_on(planned, store):
        say(f"  {NOBODY}")


def _tuning_step(record: StoredStudy, planned: Plan, db: str | None) -> str:
    """What to do next with a tuning."""
    from ablate.project.records import is_compared

    if is_compared(record):
        return f"The report: {command('report', record.name.split(':')[1], profile=record.profile, sets=record.sets, db=db)}"
    file = str(record.call_options.get("tune", record.file))
    sets = record.call_options.get("set", ())
    report = command("tune", "report", file, profile=record.profile, sets=sets, db=db)
    if not planned.left:
        return f"The report: {report}"
    again = f"To continue: {command('tune', 'run', file, profile=record.profile, sets=sets, db=db)}"
    return again if planned.counts["to_run"] or planned.counts["running"] else f"{again}. The report so far: {report}"


def _head(planned: Plan) -> str:
    """`tiny (cpu): 3 of 4 runs done, 1 to run`, for a console."""
    from rich.markup import escape

    from ablate.cli.screens import progress

    return f"[bold]{escape(planned.study.full_name)}[/bold]: {progress(planned)}"
