"""The live display of a grid: a progress bar and a line per running run. Without a terminal: a line per run that ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.spinner import Spinner
from rich.table import Table

from ablate.cli.common import stderr_console
from ablate.dispatch.contract import events
from ablate.project.planning import Plan
from ablate.project.text import duration
from ablate.study import records
from ablate.study.values.digits import brief

ENDED = ("done", "failed", "lost", "pruned")
MOST_FIGURES = 3


class LiveDisplay:
    """Shows events, and `figures` of the runs that are done, by default the first that their trainer declares; `handle` may be called from one thread at a time."""

    def __init__(
        self,
        planned: Plan,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        figures: Sequence[str] = (),
    ) -> None:
        declared = tuple((planned.study.trainer or {}).get("metrics") or ())
        self.figures = figures or declared[:MOST_FIGURES] or ("top1", "loss")
        self.console = console or stderr_console()
        self.clock = clock
        self.names = {p.run.run_id: f"{p.arm} seed {p.run.seed}" for p in (*planned.runs, *planned.parents)}
        self.due = {p.run.run_id for p in (*planned.runs, *planned.parents) if p.state in ("queued", "pruned")}
        self.total = planned.to_run + sum(p.state == "queued" for p in planned.parents)
        self.ended = 0
        self.started = clock()
        self.live_runs: dict[int, tuple[str, float, records.Progress | None]] = {}
        self.trials: tuple[int, int | None] | None = None
        """Of a tuning, in place of runs: trials that have ended, and how many there will be where the budget counts them. A trial
        may find its run done, so runs are no measure of what is left."""
        self.trials_before: int | None = None
        self.spinner = Spinner("line")
        self.bar = Progress(
            TextColumn("{task.fields[count]}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[eta]}"),
            console=self.console,
        )
        self.task = self.bar.add_task("runs", total=self.total, eta="", count="")
        self.live: Live | None = None

    def __enter__(self) -> LiveDisplay:
        if self.console.is_terminal:
            self.live = Live(get_renderable=self._render, console=self.console, refresh_per_second=4, transient=True)
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()

    def handle(self, event: events.Event) -> None:
        if isinstance(event, events.RunStarted):
            self._count(event.run.run_id)
            self.live_runs[event.slot] = (event.run.run_id, self.clock(), None)
        elif isinstance(event, events.RunProgress):
            run_id, since, _ = self.live_runs.get(event.slot, (event.progress.run_id, self.clock(), None))
            self.live_runs[event.slot] = (run_id, since, event.progress)
        elif isinstance(event, events.RunEnded):
            self._run_ended(event)
        elif isinstance(event, events.WorkerReplaced):
            self.console.print(f"worker {event.slot} was replaced: {event.reason}", markup=False)
        elif isinstance(event, events.WorkerEnded):
            self.console.print(f"worker {event.name} ended: {event.reason}", markup=False, soft_wrap=True)
        elif isinstance(event, events.Waiting):
            self.console.print(f"waiting: {event.reason}", markup=False)
        elif isinstance(event, events.Stopping):
            self.console.print(
                "stopping: runs save a checkpoint and return to the queue; interrupt again to stop at once"
            )

    def _count(self, run_id: str) -> None:
        """A run that another worker had when this began, and that came back to the queue, is one more to run."""
        if run_id not in self.due:
            self.due.add(run_id)
            self.total += 1

    def _run_ended(self, event: events.RunEnded) -> None:
        self._count(event.run_id)
        self.live_runs.pop(event.slot, None)
        if event.state in ENDED:
            self.ended += 1
            self.bar.update(self.task, eta=self._left())
        name = self.names.get(event.run_id, event.run_id[:12])
        ours = [key for key in self.figures if key in event.metrics]
        figures = "  ".join(f"{key} {brief(event.metrics[key])}" for key in ours or list(event.metrics)[:2])
        why = (event.error or "").strip().splitlines()
        tail = figures if event.state == "done" else (why[-1] if why else "")
        count = f"[{self._count_text()}] " if event.state in ENDED else ""
        self.console.print(
            f"{count}{event.state}  {name}  {tail}  {duration(event.seconds)}", markup=False, soft_wrap=True
        )

    def _progress(self) -> tuple[int, int | None]:
        """What has ended, and how much there will be where that is known."""
        return (self.ended, self.total or None) if self.trials is None else self.trials

    def _count_text(self) -> str:
        done, total = self._progress()
        return f"{done}{f'/{total}' if total else ''}{'' if self.trials is None else ' trials'}"

    def _left(self) -> str:
        """About how long the rest takes, by what has ended since this began."""
        done, total = self._progress()
        since = done - (self.trials_before or 0)
        left = (self.clock() - self.started) / since * (total - done) if total and since > 0 else 0
        return f"{duration(left)} left" if left > 0 else ""

    def _render(self) -> Group:
        done, total = self._progress()
        noun = " runs" if self.trials is None else ""
        self.bar.update(self.task, completed=done, total=total, count=f"{self._count_text()}{noun}")
        table = Table(box=None, pad_edge=False, show_header=False)
        for slot in sorted(self.live_runs):
            run_id, since, progress = self.live_runs[slot]
            cells = [f"  {self.names.get(run_id, run_id[:12])}"]
            if progress is None:
                cells += ["starting", "", "", ""]
            else:
                spent = self.clock() - since
                left = spent * (progress.steps - progress.step) / progress.step if progress.step else None
                cells += [
                    f"epoch {progress.epoch}/{progress.epochs}",
                    f"loss {brief(progress.loss)}" if progress.loss is not None else "",
                    f"top1 {brief(progress.top1)}" if progress.top1 is not None else "",
                    f"{duration(left)} left" if left is not None else "",
                ]
            table.add_row(*cells)
        return Group(self.bar, *([self._waiting()] if not self.ended else []), table)

    def _waiting(self) -> Spinner:
        """That something is going on, until the first run has ended."""
        training = any(progress is not None for _, _, progress in self.live_runs.values())
        what = "no result yet" if training else "starting workers"
        self.spinner.update(text=f"{what}, {duration(self.clock() - self.started)}")
        return self.spinner
