"""What all slots of one grid share: who may still claim, how the runs ended, and why no more are started."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ablate.dispatch.contract import events
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.contract.failures import Failure
from ablate.errors import AblateError, BadData, DatabaseGone, NotFound
from ablate.store.values import Claim

MISSING_IN_A_ROW = 3
"""So many runs in a row without their data or weights end the grid: the others would miss them as well."""


class Board:
    """Shared by all slots of one grid; its methods may be called from any thread."""

    def __init__(self, request: GridRequest) -> None:
        self.request = request
        self.stop = request.stop
        self._changed = threading.Condition()
        self._claiming = threading.Lock()
        self._telling = threading.RLock()
        self._claims = 0
        self._missing = 0
        self._failed = False
        self._states: dict[str, str] = {}
        self._errors: list[AblateError] = []
        self._gone: DatabaseGone | None = None
        self._started = time.monotonic()

    def emit(self, event: events.Event) -> None:
        with self._telling:
            self.request.on_event(event)

    def open(self) -> bool:
        """Whether slots may still claim."""
        spent = self.request.limit is not None and self._claims >= self.request.limit
        failed = self.request.fail_fast and self._failed
        return not (self.stop.signal or self._errors or spent or failed)

    def claim(self, ask: Callable[[], Claim | None]) -> Claim | None:
        """One claim at a time, so that a limit is exact."""
        with self._claiming:
            claim = ask() if self.open() else None
            if claim is not None:
                self._claims += 1
            return claim

    @property
    def gone(self) -> DatabaseGone | None:
        """Set once the results database has gone: nothing can be recorded any more, so every slot ends its run."""
        return self._gone

    def halt(self, error: AblateError) -> None:
        """No more claims: what happened would happen again."""
        with self._changed:
            if isinstance(error, DatabaseGone):
                self._gone = self._gone or error
            if str(error) not in [str(known) for known in self._errors]:
                self._errors.append(error)
            self._changed.notify_all()

    def ended(self, run_id: str, state: str, failure: Failure | None = None) -> None:
        with self._changed:
            self._states[run_id] = state
            self._failed = self._failed or state == "failed"
            self._missing = self._missing + 1 if failure is not None and failure.missing else 0
            if failure is not None and self._missing == MISSING_IN_A_ROW:
                bad = failure.kind == "bad_data"
                what = "could not read their data" if bad else "did not find what they need"
                message = f"{self._missing} runs in a row {what}, so no more will be started: {failure.error}"
                self._errors.append((BadData if bad else NotFound)(message))
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Until another slot's run ends, for `seconds` at most."""
        with self._changed:
            if not self.stop.signal:
                self._changed.wait(seconds)

    def report(self, blocked: int) -> events.GridReport:
        with self._changed:
            unrecorded = tuple(run_id for run_id, state in self._states.items() if state == "unrecorded")
            return events.GridReport.of(
                self._states.values(), blocked=blocked, started=self._claims, unrecorded=unrecorded,
                interrupted=self.stop.signal, errors=tuple(self._errors), seconds=time.monotonic() - self._started,
            )  # fmt: skip
