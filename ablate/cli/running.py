"""`grid run` in a terminal: the plan, a live display, and the outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import typer

from ablate.cli.common import say, say_errors
from ablate.cli.live import LiveDisplay
from ablate.cli.screens import expected, trained_again
from ablate.dispatch.contract.events import Event
from ablate.project.calls import folder_of, options_of_call
from ablate.project.database import database_url, safe_url
from ablate.project.engines import ReadyEngine
from ablate.project.grids import work
from ablate.project.planning import Plan
from ablate.project.records import text_of
from ablate.project.stored import other_file, record_of
from ablate.project.text import plural
from ablate.store.store import Store
from ablate.study.recipes.places import make_home
from ablate.study.values.study import Study


def run_grid(
    study: Study, engine: ReadyEngine, seeds: str | None, retry: str | None, db: str | None
) -> tuple[int, Plan]:
    """Queue and train the missing runs of this call; the exit code, and the plan afterwards.

    If the study names a tuning file, its arms are tuned first, with the same budget each, and compared at the end.
    """
    make_home()
    if study.tune:
        from ablate.cli.tuning import train
        from ablate.project.tunings import tuning_of

        if code := train(tuning_of(study), db, engine)[0]:
            raise typer.Exit(code)
    with Store.open(database_url(db)) as store:
        _say_other_version(study, store)
        code, after = _ask(study, options_of_call(study, seeds), store, db, engine, retry, announce=True)
        if study.tune and code == 0:
            code = _compare(study, store, db, engine)
    return code, after


def _ask(study: Study, call_options: Mapping[str, object], store: Store, db: str | None, engine: ReadyEngine,
         retry: str | None = None, *, announce: bool = False) -> tuple[int, Plan]:  # fmt: skip
    def tell(before: Plan, again: int) -> None:
        if announce:
            _announce(before, db)
        else:
            counts = before.counts
            say(f"comparing the arms as written and tuned: {plural(counts['total'], 'run')}, {counts['to_run']} to run")
        if again:
            say(trained_again(again))

    worked = work(study, store, engine, _shown, db=db, call_options=call_options, retry=retry, announce=tell)
    if worked.report is not None:
        say_errors(worked.report)
    ended = 0 if worked.report is None else worked.report.exit_code
    limited = engine.given["limit"] is not None
    return ended or (0 if worked.complete(limited=limited) else 4), worked.after


@contextmanager
def _shown(planned: Plan) -> Iterator[Callable[[Event], None]]:
    with LiveDisplay(planned) as display:
        yield display.handle


def _compare(study: Study, store: Store, db: str | None, engine: ReadyEngine) -> int:
    """Train each tuned arm as written and at its best, under the tuning's recipe; the exit code."""
    from ablate.project.tunings import comparison

    both, _ = comparison(study, store)
    call_options = {"set": list(study.sets), "tune": study.tune, "keep": both.keep, "folder": str(folder_of(study))}
    return _ask(both, call_options, store, db, engine)[0]


def _say_other_version(study: Study, store: Store) -> None:
    """Say that this call changes which design the study's name refers to."""
    record = record_of(store, study)
    if record is None or text_of(record) in ("", study.text):
        return
    if earlier := other_file(record, study):
        say(
            f"warning: {study.full_name} was last run from {earlier}, with a different design. "
            f"The name now refers to {study.file}."
        )
    else:
        say(
            f"note: the design of {study.full_name} has changed since it was last run. The name now refers to the new design."
        )


def _announce(planned: Plan, db: str | None) -> None:
    study, counts = planned.study, planned.counts
    estimate = f", {expected(planned, planned.seconds)}" if planned.seconds else ""
    blocked = f", {counts['blocked']} blocked" if counts["blocked"] else ""
    running = f"{counts['running']} running, " if counts["running"] else ""
    say(
        f"{study.full_name}: {plural(counts['total'], 'run')}, {counts['done']} done, {running}"
        f"{counts['to_run']} to run{estimate}{blocked}; results in {safe_url(database_url(db))}"
    )
    for warning in study.warnings:
        say(f"warning: {warning}")
    left_alone = [f"{counts[state]} {state}" for state in ("failed", "lost", "cancelled") if counts[state]]
    if left_alone:
        say(f"{', '.join(left_alone)}: not run again; use --retry all for that.")
