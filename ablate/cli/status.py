"""`ablate status [STUDY]`: how far studies are. It only looks."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ablate.cli.common import Db, JsonOption, ProfileOption, plural, print_json, require_reader, say, stdout_console


def status(
    study: Annotated[str | None, typer.Argument(metavar="[STUDY]", help="A study file, or a name as last run.")] = None,
    profile: ProfileOption = None,
    db: Db = None,
    json_: JsonOption = False,
) -> None:
    """Say what is done, running, failed and left, for one study or for all."""
    from ablate.cli.planning import make_plan, plan_document
    from ablate.cli.screens import counted, next_step, print_arms, say_troubles
    from ablate.cli.stored import settings_of, stored_study

    store = require_reader(db)
    if study is None:
        known = store.studies()
        wanted: list[Any] = [stored_study(store, item.name, item.profile, exact=True) for item in known]
    else:
        wanted = [stored_study(store, study, profile)]
    plans = [make_plan(item, store) for item in wanted]
    if json_:
        documents = [plan_document(planned) for planned in plans]
        print_json(documents[0] if study is not None else {"schema": 1, "studies": documents})
        return
    console = stdout_console()
    if not plans:
        say("No study has been run yet: ablate grid run STUDY.yaml")
    for planned in plans:
        scale = f" (profile {planned.study.profile})" if planned.study.profile else ""
        rest = counted(planned, always=()).removeprefix(f"{planned.counts['done']:,} done").removeprefix(", ")
        done = f"{planned.counts['done']:,} of {plural(planned.counts['total'], 'run')} done"
        console.print(f"[bold]{planned.study.name}[/bold]{scale}: {done}{', ' if rest else ''}{rest}", soft_wrap=True)
        if study is not None:
            print_arms(planned, console)
            say_troubles(planned, db)
        file, sets, seeds = settings_of(store, planned.study, study)
        say(f"  {next_step(planned, file, sets, seeds, db)}")
