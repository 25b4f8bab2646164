"""A TCP port for a run that no other run on this host is given while it lasts, and that nobody used a moment ago."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator

from ablate.errors import RunFailure

FIRST, LAST = 15_000, 32_000
"""Below the ports that systems give to outgoing connections."""
_TRIES = 500


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    """The port; it is held by the UDP port of the same number, which ends with this process however that ends. Raises RunFailure."""
    draw = random.SystemRandom()
    for _ in range(_TRIES):
        port = draw.randint(FIRST, LAST)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as token:
            try:
                token.bind(("127.0.0.1", port))
                with socket.socket() as looked:
                    looked.bind(("", port))
            except OSError:
                continue
            yield port
            return
    raise RunFailure(f"no free port from {FIRST} to {LAST} was found in {_TRIES} tries")
