"""The work of `grid run`: ask for what a study wants, have it trained, and say what came of it."""

from __future__ import annotations

from collections.abc import Mapping

import typer

from ablate.cli.common import database_url, plural, safe_url, say, say_errors
from ablate.cli.engines import ReadyEngine
from ablate.cli.live import LiveDisplay
from ablate.cli.parents import train_parents_again
from ablate.cli.planning import Plan, make_plan
from ablate.cli.requests import folder_of, settings_of_call, trainer_options
from ablate.cli.screens import expected, trained_again
from ablate.cli.stored import other_file, record_of, text_of
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.contract.signals import StopFlag, listening
from ablate.store.store import Store
from ablate.study.assign.foreign_trainer import fit_name
from ablate.study.code.provenance import codes_of, digest_of
from ablate.study.recipes.places import home, make_home
from ablate.study.values.study import Study


def run_grid(
    study: Study, engine: ReadyEngine, seeds: str | None, retry: str | None, db: str | None
) -> tuple[int, Plan]:
    """Ask for what is missing of this call's runs and have it trained; the exit code, and how the runs stand then."""
    make_home()
    if study.tune and (code := _tune(study, db, engine)):
        raise typer.Exit(code)
    with Store.open(database_url(db)) as store:
        _say_other_version(study, store)
        code, after = _ask(study, settings_of_call(study, seeds), store, db, engine, retry, announce=True)
        if study.tune and code == 0:
            code = _compare(study, store, db, engine)
    return code, after


def _ask(study: Study, settings: Mapping[str, object], store: Store, db: str | None, engine: ReadyEngine,
         retry: str | None = None, *, announce: bool = False) -> tuple[int, Plan]:  # fmt: skip
    """One request, worked on until nothing of it is left that can be done here."""
    folder = str(folder_of(study))
    key = store.save_study(study, settings=settings, folder=folder, retry=retry, code=codes_of(study))
    again = train_parents_again(study, store, home(), key)
    before = make_plan(study, store, workers=engine.given["workers"] or 1)
    if announce:
        _announce(before, db)
    else:
        counts = before.counts
        say(f"as written and at their best: {plural(counts['total'], 'run')}, {counts['to_run']} to run")
    if again:
        say(trained_again(len(again)))
    ended = 0
    if before.to_run or before.counts["running"] or any(parent.state != "done" for parent in before.parents):
        ended = _train(study, before, key, db, engine)
    after = make_plan(study, store)
    return ended or exit_code(after, limited=engine.given["limit"] is not None), after


def exit_code(after: Plan, *, limited: bool) -> int:
    """0 where all that was asked for is done; 4 where anything is left. A limit may leave what is still to run."""
    left = after.counts["total"] - after.counts["done"]
    if limited:
        left -= after.counts["to_run"] + after.counts["running"]
    return 4 if left else 0


def _train(study: Study, planned: Plan, key: int, db: str | None, engine: ReadyEngine) -> int:
    """Hand the request to the executor with a live display; the exit code that its report asks for."""
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
            code=digest_of(codes_of(study)),
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


def _tune(study: Study, db: str | None, engine: ReadyEngine) -> int:
    """Tune every arm that the study's tuning file names, within the same budget each; the exit code."""
    from ablate.cli.tuning import train, tuning_of

    return train(tuning_of(study), db, engine)[0]


def _compare(study: Study, store: Store, db: str | None, engine: ReadyEngine) -> int:
    """Train each tuned arm as written and at its best, under the tuning's recipe; the exit code."""
    from ablate.cli.tuning import comparison

    both, _ = comparison(study, store)
    settings = {"set": list(study.sets), "tune": study.tune, "keep": both.keep, "folder": str(folder_of(study))}
    return _ask(both, settings, store, db, engine)[0]


def _say_other_version(study: Study, store: Store) -> None:
    """A name means the design that was run last under it; say so where this call makes it another."""
    record = record_of(store, study)
    if record is None or text_of(record) in ("", study.text):
        return
    if earlier := other_file(record, study):
        say(
            f"warning: {study.full_name} was last run from {earlier}, as another design; "
            f"from now on that name means {study.file}."
        )
    else:
        say(
            f"note: {study.full_name} is another design than when it was last run; from now on the name means this one."
        )


def _announce(planned: Plan, db: str | None) -> None:
    study, counts = planned.study, planned.counts
    estimate = f", {expected(planned, planned.seconds)}" if planned.seconds else ""
    blocked = f", {counts['blocked']} blocked" if counts["blocked"] else ""
    say(
        f"{study.full_name}: {plural(counts['total'], 'run')}, {counts['done']} done, "
        f"{counts['to_run']} to run{estimate}{blocked}; results in {safe_url(database_url(db))}"
    )
    for warning in study.warnings:
        say(f"warning: {warning}")
    left_alone = [f"{counts[state]} {state}" for state in ("failed", "lost", "cancelled") if counts[state]]
    if left_alone:
        say(f"{', '.join(left_alone)}: left alone; --retry all runs them again.")
