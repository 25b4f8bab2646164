"""Which queue a worker talks to, by the URL that it is given: the one place where a new kind of queue is hung in."""

from __future__ import annotations

from typing import cast

from ablate.dispatch.queue import OpenStore, Queue


def opener(url: str) -> OpenStore:
    """How each thread of a worker opens its queue. Nothing is opened yet."""
    from ablate.store.store import Store

    return lambda: cast(Queue, Store.open(url))
