"""Training the trials of a tuning: what `tune run` does, and `grid run` for a study that is tuned first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablate.cli.common import database_url, plural, safe_url, say
from ablate.cli.grid import FIT
from ablate.cli.live import LiveDisplay
from ablate.cli.parents import train_parents_again
from ablate.cli.planning import make_plan
from ablate.dispatch import events
from ablate.dispatch.executor import GridRequest
from ablate.dispatch.executors import get_executor
from ablate.dispatch.signals import StopFlag, listening
from ablate.dispatch.slots import plan_slots
from ablate.store.store import Store
from ablate.study.places import data_root, home
from ablate.study.provenance import code_version
from ablate.study.trials import Tuning
from ablate.tuning.loop import tune
from ablate.tuning.session import Session


def train(
    tuning: Tuning,
    db: str | None,
    executor: str,
    workers: int | None,
    threads: int | None,
    device: str,
    limit: int | None,
    fail_fast: bool,
    retry: Sequence[str] = (),
) -> int:
    """Tune to the end with a live display; the exit code of an interrupted or broken tuning, else 0.

    Failed trials are part of a tuning, so they do not make it fail.
    """
    started = get_executor(executor)
    slots = 1 if executor == "inline" else len(plan_slots(device, workers, threads))
    home().mkdir(parents=True, exist_ok=True)
    url = database_url(db)
    with Store.open(url) as store:
        session = Session(tuning, store, prepare=lambda study: train_parents_again(study, store, home()))
        if retry and (again := session.retry(retry)):
            say(f"{plural(again, 'failed trial')} to try again")
        _announce(session, url)
        if session.over:
            return 0
        with LiveDisplay(make_plan(session.runs, store)) as display:
            display.total = session.runs_left
            request = _request(session, url, display, workers, threads, device, limit, fail_fast)
            with listening(request.stop):
                report = tune(session, request, started, slots)
    for error in report.errors:
        say(f"error: {error}")
    return replace(report, failed=0, lost=0, blocked=0).exit_code


def _request(
    session: Session, url: str, display: LiveDisplay, workers: int | None, threads: int | None, device: str,
    limit: int | None, fail_fast: bool,
) -> GridRequest:  # fmt: skip
    study = session.tuning.study
    folders = [str(Path(study.file).resolve().parent), *(str(Path(f).resolve()) for f in study.parent_folders)]
    options: dict[str, Any] = {
        "keep": None,
        "home": str(home().resolve()),
        "data_root": str(data_root().resolve()),
        "study_dir": folders[0],
        "parent_study_dirs": folders[1:],
    }

    def show(event: events.Event) -> None:
        if isinstance(event, events.RunStarted) and event.run.run_id not in display.names:
            display.names |= session.names()
        display.handle(event)

    return GridRequest(
        study_key=session.key,
        open_store=lambda: Store.open(url),
        fit=FIT,
        home=home(),
        workers=workers,
        threads=threads,
        device=device,
        options=options,
        limit=limit,
        fail_fast=fail_fast,
        environment=code_version(),
        on_event=show,
        stop=StopFlag(),
    )


def _announce(session: Session, url: str) -> None:
    tuning = session.tuning
    scale = f" (profile {tuning.study.profile})" if tuning.study.profile else ""
    ended = sum(done for done, _ in session.counts().values())
    say(
        f"tuning {tuning.study.name}{scale}: {plural(len(tuning.arms), 'arm')}, {tuning.budget} each, {tuning.sampler}"
        f"{'' if tuning.pruner == 'none' else ' with ' + tuning.pruner}; {plural(ended, 'trial')} done; "
        f"results in {safe_url(url)}"
    )
    for warning in tuning.warnings:
        say(f"warning: {warning}")
