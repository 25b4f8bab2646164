"""Training the trials of a tuning, for a terminal: what `tune run` does, and `grid run` for a study that is tuned first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from ablate.cli.common import say, say_errors
from ablate.cli.live import LiveDisplay
from ablate.dispatch.contract import events
from ablate.project import tunings
from ablate.project.database import database_url, safe_url
from ablate.project.engines import ReadyEngine
from ablate.project.planning import make_plan
from ablate.project.text import plural
from ablate.store.store import Store
from ablate.study.values.trials import Tuning
from ablate.tuning.session import Session


def train(tuning: Tuning, db: str | None, engine: ReadyEngine, retry: Sequence[str] = ()) -> tuple[int, bool]:
    """Tune to the end with a live display; the exit code of an interrupted or broken tuning, else 0, and whether every
    budget is spent.

    Failed trials are part of a tuning, so they do not make it fail.
    """
    url = database_url(db)
    tuned = tunings.train(tuning, engine, _shown, db=db, retry=retry, announce=lambda session: _announce(session, url))
    if tuned.report is None:
        return 0, tuned.over
    say_errors(tuned.report)
    if tuned.found:
        say(f"{plural(tuned.found, 'trial run')} already trained: not trained again")
    return replace(tuned.report, failed=0, lost=0, blocked=0).exit_code, tuned.over


@contextmanager
def _shown(session: Session, store: Store) -> Iterator[Callable[[events.Event], None]]:
    with LiveDisplay(make_plan(session.runs, store), figures=(session.tuning.metric,)) as display:
        display.names |= session.names()
        display.trials = trials_of(session)
        display.trials_before = display.trials[0]

        def show(event: events.Event) -> None:
            if isinstance(event, events.RunStarted) and event.run.run_id not in display.names:
                display.names |= session.names()
            if isinstance(event, events.RunStarted | events.RunEnded):
                display.trials = trials_of(session)
            display.handle(event)

        yield show


def trials_of(session: Session) -> tuple[int, int | None]:
    """Trials that have ended, and how many the budget has; None where it counts minutes or epochs."""
    counts, budget = session.counts(), session.tuning.budget
    total = int(budget.amount) * len(counts) if budget.kind == "trials" else None
    return sum(ended for ended, _ in counts.values()), total


def _announce(session: Session, url: str) -> None:
    tuning = session.tuning
    ended = sum(done for done, _ in session.counts().values())
    say(
        f"tuning {tuning.study.full_name}: {plural(len(tuning.arms), 'arm')}, {tuning.budget} each, {tuning.sampler}"
        f"{'' if tuning.pruner == 'none' else ' with ' + tuning.pruner}; {plural(ended, 'trial')} done; "
        f"results in {safe_url(url)}"
    )
    for warning in tuning.warnings:
        say(f"warning: {warning}")
