"""Which queue a worker talks to, by the URL that it is given: the one place where a new kind of queue is hung in."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ablate.dispatch.contract.queue import OpenStore, Queue

SPOOL = "spool://"


def opener(url: str, barred: Collection[str] = ()) -> OpenStore:
    """How each thread of a worker opens its queue: the database, or `spool://FOLDER`. Nothing is opened yet.

    `barred` are runs that cannot start; through a folder, the one who answers knows them.
    """
    from ablate.dispatch.elsewhere.spool import SpoolQueue
    from ablate.store.store import Store

    if url.startswith(SPOOL):
        return lambda: SpoolQueue(Path(url.removeprefix(SPOOL)))
    return lambda: Store.open(url, barred=barred)


class Relay:
    """A queue that hands everything on to another one; a subclass answers some of it itself."""

    def __init__(self, store: Queue) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
