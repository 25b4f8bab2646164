"""Who a worker is, and whether the process behind a lease still lives."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class WorkerInfo:
    """The process that holds leases.

    `name` is unique. `boot` identifies one boot of one kernel and, on Linux, one process-id namespace, so that a pid
    means the same to whoever compares it. `started` is the process's start time in kernel ticks, which tells a reused
    pid apart; None where the system does not say. `device` is for people.
    """

    name: str
    host: str
    boot: str
    pid: int
    started: int | None = None
    device: str | None = None

    @classmethod
    def here(cls, *, name: str | None = None, device: str | None = None, pid: int | None = None) -> WorkerInfo:
        """This process (or `pid`, one of this host). Call it in the process that will hold the leases."""
        pid = os.getpid() if pid is None else pid
        host = socket.gethostname()
        return cls(name or f"{host}:{pid}:{secrets.token_hex(4)}", host, boot_id(), pid, start_ticks(pid), device)


@cache
def boot_id() -> str:
    """A text that changes with each boot and differs between process-id namespaces; empty where nothing is known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None for one that is gone, a zombie, or not ours to see."""
    fields = _stat_fields(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def is_dead(host: str, boot: str, pid: int, started: int | None) -> bool:
    """Whether that process has certainly ended. A process of another host, boot or namespace is never called dead."""
    if not boot or host != socket.gethostname() or boot != boot_id():
        return False
    try:
        os.kill(pid, 0)  # sends nothing: asks whether there is such a process
    except ProcessLookupError:
        return True
    except OSError:
        return False  # alive, and another user's
    fields = _stat_fields(pid)
    if fields is None:
        return False
    return fields[0] in "ZX" or (started is not None and int(fields[19]) != started)


def _stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; the name before it may hold blanks and parentheses."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()
