"""What moves on a terminal: the display of a grid before its first result, a tuning's bar, the curves of `watch`."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from ablate.cli import live, tuning
from ablate.cli.commands import watch
from ablate.dispatch.contract import events
from ablate.project.planning import make_plan
from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.study.loader import load
from ablate.study.records import EpochRecord, Progress


class Screen:
    """A grid's display, at a time of its own, with what it shows now."""

    def __init__(self, study: Path) -> None:
        self.now = 100.0
        self.console = Console(width=80, file=io.StringIO(), force_terminal=False)
        self.display = live.LiveDisplay(make_plan(load(study), None), self.console, clock=lambda: self.now)
        self.runs = [planned.run for planned in make_plan(load(study), None).runs]

    @property
    def lines(self) -> list[str]:
        with self.console.capture() as captured:
            self.console.print(self.display._render())
        return [line.rstrip() for line in captured.get().splitlines()]


def test_before_the_first_result_it_says_what_is_going_on(tiny: Path) -> None:
    screen = Screen(tiny)
    screen.now += 7
    assert screen.lines[0].startswith("0/4 runs")
    assert screen.lines[1].endswith("starting workers, 7 s")
    run = screen.runs[0]
    screen.display.handle(events.RunStarted(run, 0, 1))
    screen.display.handle(events.RunProgress(0, Progress(run.run_id, 1, 2, 1, 4, loss=0.5)))
    screen.now += 5
    assert screen.lines[1].endswith("no result yet, 12 s")
    screen.display.handle(events.RunEnded(0, run.run_id, 1, "done", 3.0, {"top1": 0.5}))
    assert screen.lines[0].startswith("1/4 runs")
    assert not any("no result" in line or "starting" in line for line in screen.lines)


def test_a_run_that_a_dead_worker_had_is_one_more_to_run(tiny: Path) -> None:
    """Killed, and asked for again at once: the runs in hand come back to the queue later, and no count passes its total."""
    study = load(tiny)
    planned = make_plan(study, None)
    in_hand = replace(planned.runs[0], state="running")
    planned = replace(planned, runs=(in_hand, *planned.runs[1:]), counts={**planned.counts, "to_run": 3, "running": 1})
    out = io.StringIO()
    display = live.LiveDisplay(planned, Console(width=80, file=out, force_terminal=False))
    for item in (*planned.runs[1:], in_hand):
        display.handle(events.RunStarted(item.run, 0, 1))
        display.handle(events.RunEnded(0, item.run.run_id, 1, "done", 3.0, {"top1": 0.5}))
    assert [line.split()[0] for line in out.getvalue().splitlines()] == ["[1/3]", "[2/3]", "[3/3]", "[4/4]"]


@pytest.mark.parametrize(("kind", "shown"), [("trials", "7/40 trials"), ("minutes", "7 trials")])
def test_the_bar_of_a_tuning_counts_its_trials(tiny: Path, kind: str, shown: str) -> None:
    """Not their runs, of which a trial has one for each seed."""
    screen = Screen(tiny)
    budget = SimpleNamespace(kind=kind, amount=20)
    session: Any = SimpleNamespace(counts=lambda: {"a": (4, 1), "b": (3, 2)}, tuning=SimpleNamespace(budget=budget))
    screen.display.trials = tuning.trials_of(session)
    assert screen.lines[0].startswith(shown)


@pytest.mark.parametrize(
    ("values", "drawn"),
    [([], ""), ([0.5], ""), ([0.1, 0.8], "▁█"), ([1, 1, 1], "▁▁▁"), ([0, float("nan"), 1, 0.5], "▁█▅"), (range(40), "▁▂▂▃▄▄▅▅▆▇▇█")],
)  # fmt: skip
def test_a_sparkline_has_the_last_epochs(values: Any, drawn: str) -> None:
    assert watch.sparkline(list(values)) == drawn


def test_watch_draws_the_metric_of_the_first_table_and_says_where_runs_are(tiny: Path) -> None:
    study = load(tiny)
    with Store.open(os.environ["ABLATE_DB"]) as store:
        key = store.save_study(study, call_options={"set": [], "seeds": None})
        for host in ("near", "far", "far"):
            claim = store.claim(key, WorkerInfo(f"{host}:7:ab", host, "boot", 7, 1, "cuda:0"), 600.0)
            store.set_environment(claim, {}, None, "cuda:0")
            for epoch, top1 in ((1, 0.25), (2, 0.75)):
                store.record_epoch(claim, [EpochRecord(epoch, "test", {"top1": top1})])
        shown = watch.lines(watch.look(store, [make_plan(study, store)], store.now()))
    assert shown[1] == "  3 slots: near cuda:0 1, far cuda:0 2"
    assert all("epoch 2/2  top1 0.7500 ▁█  " in line for line in shown[2:5])
    assert max(map(len, shown)) <= 80
