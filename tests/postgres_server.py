"""A PostgreSQL of the tests' own: started on a free port of this host alone, and gone with the process that started it.

`Server` has what `initdb` and `postgres` of one installation need. As root it runs under another account, for
PostgreSQL refuses root.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

STARTED_WITHIN = 60.0
"""Seconds that a server may take to answer; it takes one on an idle machine."""

_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_SET_PDEATHSIG = 1


def binaries() -> Path | None:
    """The folder of the newest `initdb` and `postgres`: Debian keeps them off PATH."""
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: _version(folder.parent.name))
    on_path = shutil.which("postgres")
    folders = [*reversed(homes), *([Path(on_path).resolve().parent] if on_path else [])]
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.split(".") if part.isdigit())


def _account() -> dict[str, Any]:
    """What `Popen` needs to be somebody whom PostgreSQL serves: nothing unless this is root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError("PostgreSQL does not run as root, and there is neither an account postgres nor nobody")


def _die_with_parent() -> None:
    """Tests that are killed leave no server behind: it shuts down when this process is gone."""
    if _LIBC is not None:
        _LIBC.prctl(_SET_PDEATHSIG, signal.SIGINT)


class Server:
    """One cluster in a folder of its own below the system's temporary one, which the account can enter."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self._programs, self._as = folder, programs, _account()
        self._password = secrets.token_hex(12)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def url(self, database: str = "postgres", *, user: str = "ablate", password: str | None = None) -> str:
        password = self._password if password is None else password
        return f"postgresql+psycopg://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def create(self) -> None:
        """Make the cluster and start it."""
        if self._as:
            os.chown(self.folder, self._as["user"], self._as["group"])
        secret = self.folder / "password"
        secret.write_text(self._password)
        secret.chmod(0o644)  # its folder lets nobody else in
        options = [
            "-U",
            "ablate",
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
        made = subprocess.run(
            [self._programs / "initdb", "-D", self.folder / "data", *options], capture_output=True, text=True, **self._where
        )  # fmt: skip
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stderr.strip()}")
        self.start()

    @property
    def _where(self) -> dict[str, Any]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        return {"cwd": self.folder, "env": {**environment, "HOME": str(self.folder)}, **self._as}

    def start(self) -> None:
        self.port = self.port or _free_port()
        # Only the machine's crash could undo what fsync=off risks; a commit is still answered after it was written.
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off",
                    "full_page_writes": "off", "max_connections": 60, "shared_buffers": "32MB"}  # fmt: skip
        given = [item for key, value in settings.items() for item in ("-c", f"{key}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.folder / "data", *given],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=_die_with_parent, **self._where,
            )  # fmt: skip
        self._wait()

    def _wait(self) -> None:
        import psycopg

        assert self._process is not None
        until = time.monotonic() + STARTED_WITHIN
        while True:
            try:
                psycopg.connect(self.url().replace("+psycopg", ""), connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    tail = (self.folder / "log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"PostgreSQL did not start: {error}\n{tail}") from None
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one: as if it had crashed."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def crash(self) -> None:
        """Cut every connection and come back on the same port, with what was committed."""
        self.stop(signal.SIGQUIT)
        self.start()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(skip: Callable[[str], Any]) -> Iterator[Server]:
    """A server for as long as the block lasts; `skip` is told why there can be none."""
    programs = binaries()
    if programs is None:
        skip("no PostgreSQL server here (Debian: apt-get install postgresql); ABLATE_TEST_POSTGRES names one to use")
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="ablate-postgres-"))
    server = Server(folder, programs)
    try:
        server.create()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Room:
    """Two schemas for one test process: `fresh` without a table, `ready` with all of them and no row.

    Making the tables takes ten times as long as emptying them, so they are made once.
    """

    def __init__(self, server: str, worker: str) -> None:
        self._server = server.replace("+psycopg", "")
        self._name = f"ablate_test_{worker}"
        joint = "&" if "?" in server else "?"
        self._url = f"{server}{joint}application_name={self._name}&options=-csearch_path%3D{self._name}"
        self._has_tables = False

    def fresh(self) -> str:
        self._run(f"DROP SCHEMA IF EXISTS {self._name}_fresh CASCADE", f"CREATE SCHEMA {self._name}_fresh")
        return f"{self._url}_fresh"

    def ready(self) -> str:
        from ablate.store.schema import metadata
        from ablate.store.store import Store

        url, schema = f"{self._url}_ready", f"{self._name}_ready"
        if not self._has_tables:
            self._run(f"DROP SCHEMA IF EXISTS {schema} CASCADE", f"CREATE SCHEMA {schema}")
            Store.open(url).close()
            self._has_tables = True
        self._run(f"TRUNCATE {', '.join(f'{schema}.{name}' for name in metadata.tables)} RESTART IDENTITY")
        return url

    def cut(self) -> int:
        """Cut every connection of the tests; how many there were."""
        import psycopg

        with psycopg.connect(self._server, autocommit=True) as connection:
            return len(connection.execute(_CUT, [self._name]).fetchall())

    def leave(self) -> None:
        self._run(*(f"DROP SCHEMA IF EXISTS {self._name}_{which} CASCADE" for which in ("fresh", "ready")))

    def _run(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(_CUT, [self._name])  # a connection that a test left open would hold its locks
            connection.execute("SET client_min_messages = warning")
            for statement in statements:
                connection.execute(statement)


_CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
