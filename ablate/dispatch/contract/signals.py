"""Ctrl-C, `kill` and what they do to a grid.

- The first SIGINT, SIGTERM or SIGHUP asks: trainers see a signal number in `Context.should_stop()`, checkpoint and
  raise `Interrupted`; their runs are given back to the queue without counting the attempt, and the grid leaves with
  128 + the signal's number (130, 143, 129). A trainer that has not obeyed after `GridRequest.grace` seconds is ended,
  and its run given back all the same.
- The second one does not wait: workers are killed, leases are given back where the store answers at once.
- The third one ends the process on the spot; what it held comes back when its leases run out, or at once on this host.

Worker processes have a session of their own, so a terminal's Ctrl-C reaches the grid's process alone, which
orchestrates. A signal that was ignored when the process started (`nohup`, background jobs of a script) stays ignored.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing.connection import wait
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopFlag:
    """Carries the wish to stop from a signal handler to every thread of a grid.

    `signal` is the first signal's number or 0, `hard` is true from the second request on. Asking takes no lock, as a
    handler may run in the middle of anything: it sets plain attributes and writes to a pipe that sleeping threads
    watch.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.requests = 0
        self.raises = False
        self._soft = _Bell()
        self._hard = _Bell()

    @property
    def hard(self) -> bool:
        return self.requests > 1

    def request(self, signal_number: int = signal.SIGTERM) -> None:
        """Ask once to stop in good order, twice to stop at once."""
        self.requests += 1
        if self.requests == 1:
            self.signal = int(signal_number)
            self._soft.ring()
        else:
            self._hard.ring()

    def bell(self, told: bool) -> int:
        """A descriptor that becomes readable at the first request, or at the second for who was `told` of the first."""
        return self._hard.descriptor if told else self._soft.descriptor

    def wait(self, seconds: float, told: bool = False) -> bool:
        """Sleep until that request; true if it came."""
        return bool(wait([self.bell(told)], max(0.0, seconds)))


class _Bell:
    """A pipe that stays readable once rung. Closed with its owner, so that no handler writes to a descriptor reused."""

    def __init__(self) -> None:
        self.descriptor, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def ring(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._write, b"\0")

    def __del__(self) -> None:
        for descriptor in (self.descriptor, self._write):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@contextlib.contextmanager
def listening(stop: StopFlag, signals: tuple[int, ...] = SIGNALS) -> Iterator[StopFlag]:
    """Send signals to `stop` while the block runs; outside the main thread none, as Python handles signals there alone."""
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        stop.request(number)
        if stop.requests > 2:  # no cleaning up: that is what hangs by now
            os._exit(128 + number)
        if stop.hard and stop.raises:  # the trainer runs in this very thread, and nothing else reaches it
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in signals}
    taken = {number: old for number, old in before.items() if old is not signal.SIG_IGN}
    for number in taken:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, old in taken.items():
            signal.signal(number, old)
