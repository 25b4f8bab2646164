"""Whether a process has ended, for tests that leave none behind. Linux only."""

from __future__ import annotations

import os
import select


def gone(pid: int) -> bool:
    """Whether a process has ended; waits for it, with an end."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 20)[0])
    finally:
        os.close(descriptor)
