"""What the executors with workers elsewhere share: is there work, who may claim how much, how workers reach the database,
and a grid from its file to its end."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ablate.dispatch.contract.events import GridReport
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.elsewhere import gridfile
from ablate.dispatch.elsewhere.follow import Fleet, follow
from ablate.dispatch.elsewhere.spool import Coordinator
from ablate.errors import AblateError, StoreError, UsageError
from ablate.study.values.run import Run


def work_for(request: GridRequest) -> tuple[int, int]:
    """How many workers can be of use at most, and how many of the study's runs have failed before this grid."""
    with contextlib.closing(request.open_store()) as store:
        waiting = store.waiting(request.request_key)
        return waiting.open, waiting.failed


def follow_grid(request: GridRequest, failed_before: int, start: Callable[[Path, GridRequest], Fleet]) -> GridReport:
    """Write the grid's file, start its workers, answer and follow them to the end. What was written stays where all was not well."""
    grid = gridfile.write(request, failed_before=failed_before)
    request = promising(request, grid)
    with answering(request, grid):
        report = follow(request, start(grid, request))
    if report.exit_code == 0:
        shutil.rmtree(grid.parent, ignore_errors=True)
    return report


def said_error(grid: Path, names: Iterable[str]) -> AblateError | None:
    """What kept the first of these workers from going on that said so before it left."""
    endings = (gridfile.ending(grid, name) for name in names)
    return next((ended.error for ended in endings if ended is not None and ended.error is not None), None)


def shares(limit: int | None, count: int) -> list[int | None]:
    """A limit split among `count` workers, none of which gets nothing; no limit for all where there is none."""
    if limit is None:
        return [None] * count
    return [limit // count + (number < limit % count) for number in range(count)]


def refuse_sqlite(hosts: set[str], whose: str) -> None:
    """UsageError where workers may run on another host than the SQLite file's, which is this one."""
    here = {socket.gethostname(), socket.gethostname().partition(".")[0]}
    others = sorted(hosts - here)
    if others:
        shown = ", ".join(others[:3]) + (" and more" if len(others) > 3 else "")
        raise UsageError(
            f"{whose} ({shown}) cannot share a SQLite database with this host. Use PostgreSQL: "
            "ABLATE_DB=postgresql+psycopg://user:password@host/name. Or let workers reach this one through the shared "
            "ABLATE_HOME, as long as this command runs: --spool."
        )


@contextlib.contextmanager
def answering(request: GridRequest, grid: Path) -> Iterator[None]:
    """With `request.spool`, answer the questions of the grid's workers while the block runs. Raises StoreError after it
    where answering broke, which stops the grid."""
    if not request.spool:
        yield
        return
    over, ready = threading.Event(), threading.Event()
    broken: list[Exception] = []

    def serve() -> None:
        try:
            with (
                contextlib.closing(request.open_store()) as store,
                Coordinator(grid.parent / "spool", store) as coordinator,
            ):
                ready.set()
                coordinator.serve(over.wait, min(request.poll, 0.5))
        except Exception as error:
            broken.append(error)
            request.stop.request()
        finally:
            ready.set()

    thread = threading.Thread(target=serve, name="coordinator", daemon=True)
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if broken:
        raise StoreError(f"the workers' requests can no longer be answered: {broken[0]}") from broken[0]


def promising(request: GridRequest, grid: Path) -> GridRequest:
    """The request with its `more` told to the grid's workers, who would leave when nothing is queued."""
    more = request.more
    if more is None:
        return request
    gridfile.promise(grid, True)
    said = time.monotonic()

    def told() -> Sequence[Run] | None:
        nonlocal said
        runs = more()
        if runs is None or time.monotonic() - said > gridfile.PROMISE / 8:
            gridfile.promise(grid, runs is not None)
            said = time.monotonic()
        return runs

    return replace(request, more=told)
