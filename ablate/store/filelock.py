"""A lock file beside a SQLite database, held around each write transaction.

SQLite's own waiting is a race of sleepers: one of eight busy writers can starve for seconds. The kernel's queue on
`flock` is fair. The lock also keeps commits and checkpoints of ablate's processes apart. Correctness does not rest on
it: `BEGIN IMMEDIATE` gives that. The file is never removed, for removing a lock file is a race of its own.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ablate.errors import StoreError

LOG = logging.getLogger("ablate.store")

PATIENCE = 5.0
"""Seconds before a waiter says that it waits."""


@contextmanager
def file_lock(path: Path, shown: str, timeout: float) -> Iterator[None]:
    """Hold the lock on `path`, which is created where it is missing; StoreError once `timeout` seconds have passed."""
    descriptor = _open(path)
    try:
        _acquire(descriptor, path, shown, timeout)
        try:
            yield
        finally:
            # Said aloud: closing is not enough where a process forked meanwhile has inherited the descriptor.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW  # in a shared folder, a link of somebody's could have us make files elsewhere
    try:
        return os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        return os.open(path, flags | os.O_RDONLY)  # another user's: reading is enough to lock it


def _acquire(descriptor: int, path: Path, shown: str, timeout: float) -> None:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    # flock knows no time limit and polling is unfair, so a thread of its own waits in the kernel's queue.
    # The lock belongs to the open file, not to a descriptor: what the thread gets on its copy is ours, and stays when it closes that.
    abandoned = threading.Event()
    waiter = threading.Thread(target=_wait, args=(os.dup(descriptor), abandoned), daemon=True)
    waiter.start()
    patience = min(PATIENCE, timeout)
    waiter.join(patience)
    if waiter.is_alive() and timeout > patience:
        LOG.warning("waiting for %s: %s is writing to it", shown, holder(path))
        waiter.join(timeout - patience)
    if waiter.is_alive():
        abandoned.set()
        raise locked(shown, holder(path), timeout)


def _wait(descriptor: int, abandoned: threading.Event) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if abandoned.is_set():  # who asked has given up, and would never let go of it
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def locked(shown: str, who: str, timeout: float) -> StoreError:
    return StoreError(
        f"{shown} is locked: {who} has been writing to it for {timeout:g} s. "
        "Wait for that process or end it, then try again; nothing was lost."
    )


def holder(*paths: Path, kinds: Collection[str] = ("WRITE",)) -> str:
    """`process 1234`: who holds a lock of such a kind on one of the files by Linux's lock table; else `another process`."""
    files = set()
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            files.add(f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}")
    with suppress(OSError):
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            fields = line.split()
            # `->` only waits; a process of another namespace is 0, a lock of an open file -1
            if fields[1] != "->" and fields[3] in kinds and fields[5] in files and int(fields[4]) > 0:
                return f"process {fields[4]}"
    return "another process"
