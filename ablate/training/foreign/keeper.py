"""Stands between a worker and a command, so that nothing which the command starts outlives the run.

A script of its own (standard library only): `python keeper.py DESCRIPTOR WORD...`. It starts the command in a process group of
its own and waits for the command's end, a word from the worker, or the worker's end, whatever killed it. On Linux it adopts
what the command's programs leave behind, so it also finds those that left the group.

    from the worker:  T  ask the command to end (SIGTERM)     K  end everything     end of stream: the same
    to the worker:    one line of JSON: {"status": a wait status, "left": processes ended} or {"error": why it did not start}
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE = 10.0
"""Seconds in which killed processes have to be gone; one that hangs in the kernel is left to it."""


def main(descriptor: int, words: list[str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.set_inheritable(descriptor, False)
    control = socket.socket(fileno=descriptor)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    command, why_not = _start(words)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # the output ends with the command, not with us
        os.dup2(nothing, stream)
    if why_not:
        os.waitpid(command, 0)
        _tell(control, error=why_not)
        return
    _follow(control, command)
    left = _end_everything(command)
    _, status = os.waitpid(command, 0)
    _tell(control, status=status, left=len(left | _end_adopted()))


def _start(words: list[str]) -> tuple[int, str]:
    """The command's process, and why it is none."""
    keeper = os.getpid()
    news, tell = os.pipe()  # closed by a successful exec
    command = os.fork()
    if command == 0:
        _become(words, keeper, tell)
    os.close(tell)
    with contextlib.suppress(OSError):
        os.setpgid(command, command)
    with os.fdopen(news, "rb") as stream:
        return command, stream.read().decode()


def _become(words: list[str], keeper: int, tell: int) -> NoReturn:
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == keeper:
            os.execvp(words[0], words)
    except (OSError, ValueError) as error:
        os.write(tell, str(getattr(error, "strerror", None) or error).encode())
    finally:
        os._exit(127)


def _follow(control: socket.socket, command: int) -> None:
    """Until the command ends or is to be ended. It is not reaped yet, so that its group's number stays taken."""
    watched = select.poll()
    watched.register(control, select.POLLIN)
    with contextlib.suppress(OSError, AttributeError):  # not Linux: looked after every tenth of a second
        watched.register(os.pidfd_open(command), select.POLLIN)
    while not _ended(command):
        for descriptor, _ in watched.poll(100):
            if descriptor != control.fileno():
                continue
            said = control.recv(64)
            if not said or b"K" in said:
                return
            with contextlib.suppress(OSError):
                os.killpg(command, signal.SIGTERM)


def _ended(command: int) -> bool:
    """Whether the command has ended. Adopted processes that have are reaped meanwhile, or they would pile up."""
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while (found := os.waitid(os.P_ALL, 0, options)) is not None:
        if found.si_pid == command:
            return True
        os.waitpid(found.si_pid, 0)
    return False


def _end_everything(command: int) -> set[int]:
    """Kill the command's group; which processes of it were alive besides the command itself."""
    alive = {pid for pid, _, group in _processes() if group == command and pid != command}
    for end, number in ((os.killpg, command), (os.kill, command)):  # it may have left its own group
        with contextlib.suppress(OSError):
            end(number, signal.SIGKILL)
    return alive


def _end_adopted() -> set[int]:
    """Kill what is left of the command's family: children that left its group, and theirs as they become ours.

    One of the group that is not gone yet is among them.
    """
    ended: set[int] = set()
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        mine = {pid for pid, parent, _ in _processes() if parent == os.getpid()}
        if not mine:
            break
        for pid in mine:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        ended |= mine
        select.select([], [], [], 0.005)
    return ended


def _processes() -> list[tuple[int, int, int]]:
    """(process, parent, group) of every living process that /proc shows; empty where there is no /proc."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent, group = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
            if state != "Z":
                found.append((int(folder.name), int(parent), int(group)))
    return found


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _tell(control: socket.socket, **message: object) -> None:
    with contextlib.suppress(OSError):  # nobody is listening any more
        control.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
