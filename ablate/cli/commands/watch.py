"""`ablate watch [STUDY]`: a live view of running runs. It only reads, so it works for grids on other machines too."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli import streams
from ablate.cli.common import Db, ProfileOption, SetOption, StoredStudyArgument, require_reader, stdout_console
from ablate.project.text import duration
from ablate.study.values.digits import brief
from ablate.study.values.recipe import epochs_of

if TYPE_CHECKING:
    from rich.console import Console

    from ablate.project.planning import Plan, PlannedRun
    from ablate.store.store import Store
    from ablate.study.records import RunResult

    Plans = Callable[[], Sequence[Plan]]

BLOCKS = "▁▂▃▄▅▆▇█"
SHOWN_EPOCHS = 12
"""Epochs at most that a sparkline has."""
SHOWN_RUNNING = 30
"""Running runs that a frame names; a screen holds no more."""


@dataclass(frozen=True)
class Frame:
    """The state of studies at one moment: their plans, and the running runs. `at` is POSIX seconds."""

    at: float
    plans: tuple[Plan, ...]
    running: dict[str, RunResult]
    idle: tuple[bool, ...] = ()
    """Of each plan: whether runs are left but no worker is active."""

    @property
    def over(self) -> bool:
        """Nothing runs, and nothing is left to run or to ask for."""
        return not any(plan.left for plan in self.plans)

    @property
    def done(self) -> int:
        return sum(plan.counts["done"] for plan in self.plans)


def watch(
    study: StoredStudyArgument = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between updates.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show the state once and exit.")] = False,
    db: Db = None,
) -> None:
    """Show what is running, with losses and times, until nothing is left to run. Without a terminal: a line for each change."""
    store = require_reader(db)
    console = stdout_console()
    frames = _frames(store, _plans(store, study, profile, set_ or []), every, once)
    if once or not console.is_terminal:
        _tell(frames, console)
    else:
        _show(frames, console)


def _plans(store: Store, name: str | None, profile: str | None, sets: list[str]) -> Plans:
    """The plan of the study that is meant; without a name, of all of the database. Tunings grow, so their trials are looked up
    each time."""
    from ablate.project.planning import make_plan, tuning_plan
    from ablate.project.records import tuning_studies
    from ablate.project.stored import every_study, stored_study

    named = [stored_study(store, name, profile, sets)] if name is not None else every_study(store)

    def plans() -> list[Plan]:
        tunings = tuning_studies(store) if name is None else []
        grown = [tuning_plan(record, queued, store) for record, queued in tunings]
        return [*(make_plan(study, store) for study in named), *grown]

    return plans


def _frames(
    store: Store,
    plans: Plans,
    every: float,
    once: bool,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Frame]:
    """A frame every `every` seconds, until nothing is left to do."""
    while True:
        frame = look(store, plans(), clock())
        yield frame
        if once or frame.over or streams.reader_is_gone():
            return
        sleep(every)


def look(store: Store, plans: Sequence[Plan], now: float) -> Frame:
    """How the studies stand; of several, those that have something left to run, or else all."""
    from ablate.project.planning import is_worked_on

    busy = [plan for plan in plans if plan.left]
    chosen = tuple(busy or plans)
    running = [item.run.run_id for plan in chosen for item in _runs(plan) if item.state == "running"]
    idle = tuple(plan in busy and not is_worked_on(plan, store) for plan in chosen)
    return Frame(now, chosen, store.results(running), idle)


def _runs(plan: Plan) -> tuple[PlannedRun, ...]:
    return (*plan.parents, *plan.runs)


def _name(item: PlannedRun) -> str:
    return f"{item.arm} seed {item.run.seed}"


def head(plan: Plan, rate: float | None) -> str:
    """`tiny: 1 of 4 runs done, 1 running, 2 to run; about 3 min left; 40 runs/h`. `rate` is in runs a second."""
    from ablate.cli.screens import expected, progress

    text = f"{plan.study.full_name}: {progress(plan)}"
    if plan.seconds:
        text += f"; {expected(plan, plan.seconds / max(1, plan.counts['running']))} left"
    return text + (f"; {rate * 3600:.0f} runs/h" if rate else "")


def sparkline(values: Sequence[float]) -> str:
    """`▁▅▇█`: the last of the values that are finite, from the lowest to the highest; empty below two."""
    known = [value for value in values if math.isfinite(value)][-SHOWN_EPOCHS:]
    if len(known) < 2:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    return "".join(BLOCKS[round((value - low) / span * (len(BLOCKS) - 1))] for value in known)


def headline(plan: Plan) -> str:
    """The metric of the study's first table."""
    first = next(iter(plan.study.tables.values()), None)
    return (first.metric or next(iter(first.columns), "top1")) if first is not None else "top1"


def slots(running: Sequence[RunResult]) -> str:
    """`3 slots: far cuda:0 2, near cpu 1`: where runs are worked on; empty for one place."""
    places = Counter(
        f"{result.attempts[-1].worker.partition(':')[0]} {result.device or ''}".strip()
        for result in running
        if result.attempts
    )
    if len(places) < 2:
        return ""
    return f"  {places.total():,} slots: {', '.join(f'{place} {count}' for place, count in places.items())}"


def line(
    item: PlannedRun, result: RunResult | None, now: float, metric: str = "top1", said: int | str | None = None
) -> str:
    """`plain seed 1  epoch 3/8  loss 0.532  top1 0.812 ▁▅█  2 min  cpu  host:17:ab`: a run that runs now. The metric has a sparkline;
    `said` is the study's `trainer.epochs`."""
    parts = [f"  {_name(item)}"]
    if result is not None:
        last = max(result.epochs, default=0)
        epochs = epochs_of(item.run.recipe, said)
        parts.append(f"epoch {last}/{epochs}" if epochs else f"epoch {last}")
        figures = result.epochs.get(last, {})
        shown = {"loss": figures.get("train_loss", figures.get("loss")), "top1": figures.get("top1")}
        shown |= {metric: figures.get(metric)}
        curve = sparkline([known[metric] for _, known in sorted(result.epochs.items()) if metric in known])
        parts += [
            f"{name} {brief(value)}{f' {curve}' if curve and name == metric else ''}"
            for name, value in shown.items()
            if value is not None
        ]
        attempt = result.attempts[-1]
        parts += [duration(max(0.0, now - attempt.started)), result.device or "", attempt.worker]
        if attempt.number > 1:
            parts.append(f"attempt {attempt.number}")
    return "  ".join(part for part in parts if part)


def lines(frame: Frame, rate: float | None = None) -> list[str]:
    """A frame as lines of text."""
    from ablate.project.planning import NOBODY

    found = []
    for plan, idle in itertools.zip_longest(frame.plans, frame.idle):
        found.append(head(plan, rate if len(frame.plans) == 1 else None))
        running = [item for item in _runs(plan) if item.state == "running"]
        metric, results = headline(plan), [frame.running.get(item.run.run_id) for item in running]
        if used := slots([result for result in results if result is not None]):
            found.append(used)
        said = (plan.study.trainer or {}).get("epochs")
        found += [
            line(item, result, frame.at, metric, said)
            for item, result in zip(running[:SHOWN_RUNNING], results, strict=False)
        ]
        if len(running) > SHOWN_RUNNING:
            found.append(f"  and {len(running) - SHOWN_RUNNING:,} more")
        if idle:
            found.append(f"  {NOBODY}")
    return found or ["No study has been run yet: ablate grid run STUDY.yaml"]


def _show(frames: Iterator[Frame], console: Console) -> None:
    """A screen that is drawn anew in place."""
    from rich.live import Live
    from rich.text import Text

    first: Frame | None = None
    with Live(console=console, auto_refresh=False) as live:
        for frame in frames:
            first = first or frame
            passed = frame.at - first.at
            rate = (frame.done - first.done) / passed if passed > 0 else None
            live.update(Text("\n".join(lines(frame, rate)), no_wrap=True, overflow="ellipsis"), refresh=True)


def _tell(frames: Iterator[Frame], console: Console) -> None:
    """The first frame in full, then a line for each run whose state changed, and for each study without an active worker."""
    from ablate.project.planning import NOBODY

    before: dict[str, str] | None = None
    known: set[str] = set()
    left: set[str] = set()
    for frame in frames:
        names = [plan.study.full_name for plan in frame.plans]
        alone = {name for name, idle in zip(names, frame.idle, strict=False) if idle}
        said = lines(frame) if before is None else _changes(frame, before, known)
        if before is not None:
            said += [f"{name}: {NOBODY}" for name in sorted(alone - left)]
        for text in said:
            console.print(text, markup=False, soft_wrap=True)
        left, known = alone, known.union(names)
        before = {**(before or {}), **{item.run.run_id: item.state for plan in frame.plans for item in _runs(plan)}}


def _changes(frame: Frame, before: dict[str, str], known: set[str]) -> list[str]:
    """A line for each run whose state has changed. A run not seen before was queued, if its study is `known`."""
    said = []
    for plan in frame.plans:
        for item in _runs(plan):
            was = before.get(item.run.run_id, "queued" if plan.study.full_name in known else item.state)
            if was != item.state:
                why = item.why.strip().splitlines()[-1:] if item.state != "done" else []
                said.append("  ".join([item.state, _name(item), *why]))
    return said
