"""The loop of `tune run`: ask, let an executor work, tell, until the budget is spent or a stop is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ablate.dispatch.contract import events
from ablate.dispatch.contract.events import GridReport
from ablate.dispatch.contract.executor import Executor, GridRequest
from ablate.errors import RunFailure
from ablate.study.code.provenance import codes_in, digest_of
from ablate.study.values.run import Run
from ablate.tuning.session import Session

FRUITLESS = 3
"""So many rounds of an executor may end without any trial ending."""


def tune(session: Session, request: GridRequest, executor: Executor, workers: int) -> GridReport:
    """Run the session to its end. `request` says how workers are started; its `limit` bounds the runs claimed in all.

    The next trial is asked for in the moment that a run ends, in the thread of its worker, which then finds it queued.
    """
    watch = _Watch(session, request, workers)
    total = GridReport()
    fruitless = 0
    while not watch.stopping:
        session.step(workers, ask=watch.left != 0)
        if session.over or watch.left == 0:
            break
        before = session.counts()
        round_ = executor.run(watch.request())
        total = _added(total, round_)
        if round_.gone:
            break
        session.step(workers, ask=False)
        if round_.interrupted or round_.errors or (request.fail_fast and round_.failed):
            break
        fruitless = fruitless + 1 if session.counts() == before else 0
        if fruitless >= FRUITLESS:
            raise RunFailure(
                "trials are open, but no worker can train their runs; `ablate runs list` shows what is missing"
            )
    return total


class _Watch:
    """Steps the session on each run that ends, and counts what was claimed."""

    def __init__(self, session: Session, request: GridRequest, workers: int) -> None:
        self._session, self._request, self._workers = session, request, workers
        self.claimed = 0

    @property
    def stopping(self) -> bool:
        return bool(self._request.stop.signal)

    @property
    def left(self) -> int | None:
        return None if self._request.limit is None else max(0, self._request.limit - self.claimed)

    def request(self) -> GridRequest:
        judge = None if self._session.tuning.pruner == "none" else self._session.judge
        runs = self._runs()
        return replace(
            self._request, request_key=self._session.key, limit=self.left, judge=judge, more=self._more,
            runs=runs, on_event=self._on_event, code=self._code(runs),
        )  # fmt: skip

    def _code(self, runs: Sequence[Run]) -> str | None:
        """The code of the scripts that these runs are of, without which workers elsewhere train nothing."""
        options = self._request.options
        if self._session.tuning.study.trainer is None or "study_dir" not in options:
            return None
        return digest_of(codes_in(Path(options["study_dir"]), runs, options.get("watch", ())))

    def _more(self) -> Sequence[Run] | None:
        ask = not self.stopping and self.left != 0
        self._session.step(self._workers, ask=ask)
        return self._runs() if ask and not self._session.over else None

    def _runs(self) -> tuple[Run, ...]:
        study = self._session.runs
        return (*study.parents, *study.runs)

    def _on_event(self, event: events.Event) -> None:
        if isinstance(event, events.RunStarted):
            self.claimed += 1
        if isinstance(event, events.RunEnded):
            self._session.step(self._workers, ask=not self.stopping and self.left != 0)
        self._request.on_event(event)


def _added(one: GridReport, other: GridReport) -> GridReport:
    return GridReport(
        done=one.done + other.done, failed=one.failed + other.failed, lost=one.lost + other.lost,
        released=one.released + other.released, fenced=one.fenced + other.fenced, blocked=other.blocked,
        pruned=one.pruned + other.pruned, interrupted=other.interrupted, unrecorded=other.unrecorded,
        errors=(*one.errors, *other.errors),
        seconds=one.seconds + other.seconds,
    )  # fmt: skip
