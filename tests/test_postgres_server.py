"""The tests' own PostgreSQL goes with the tests, however they end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from postgres_server import binaries

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(binaries() is None, reason="no PostgreSQL server here (Debian: apt-get install postgresql)"),
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for another's process, as Linux can"),
]

HOLDER = """
import pytest
from postgres_server import running
with running(pytest.skip) as server:
    print(server._process.pid, server.folder, flush=True)
    input()
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_server_is_left_behind(number: signal.Signals) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER], cwd=Path(__file__).parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    pid, folder = holder.stdout.readline().split()
    server = os.pidfd_open(int(pid))
    try:
        holder.send_signal(number)
        holder.wait()
        assert select.select([server], [], [], 60)[0]  # readable once the server has ended
        assert Path(folder).exists() == (number == signal.SIGKILL)
    finally:
        os.close(server)
        holder.communicate()
        subprocess.run(["rm", "-rf", folder], check=True)
