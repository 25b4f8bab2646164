"""Restoring a backup: whole or not at all, what was there is kept, and no log of another file is ever written into it."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from golden_texts import raising

from ablate.errors import NotFound, StoreError, UsageError
from ablate.store.restore import restore
from ablate.store.schema import REVISIONS
from ablate.store.store import Store

Make = Callable[..., Any]

KILLED = """
import os, signal, sys
from ablate.store.store import Store
store = Store.open(sys.argv[1])
store.requeue([], "", 0)
store._db.write(lambda tx: tx.execute(__import__("sqlalchemy").text("UPDATE runs SET error = 'later'")))
print("ready", flush=True)
os.kill(os.getpid(), signal.SIGKILL) if len(sys.argv) < 3 else sys.stdin.read()
"""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def runs_in(path: Path) -> int:
    with Store.open(str(path), read_only=True) as store:
        return len(store.list_runs())


@pytest.fixture
def backup(path: Path, empty: Path, make_study: Make) -> Path:
    """A database of three runs, and its backup, which has two of them."""
    shutil.copy(empty, path)
    target = path.with_name("backup.db")
    with Store.open(str(path)) as store:
        store.save_study(make_study(2), call_options={})
        store.backup(target)
        store.save_study(make_study(3), call_options={})
    return target


@pytest.fixture
def killed(path: Path, backup: Path) -> Path:
    """The database after a kill -9: a log lies beside it."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert path.with_name("results.db-wal").stat().st_size
    return path


def test_a_backup_copied_beside_a_log_is_refused_by_readers_and_writers(killed: Path, backup: Path) -> None:
    shutil.copyfile(backup, killed)
    before = {file: digest(file) for file in (killed, killed.with_name("results.db-wal"))}
    for read_only in (True, False):
        with raising(StoreError, r"results\.db-wal .*`ablate db restore FILE`"):
            Store.open(str(killed), read_only=read_only)
    assert {file: digest(file) for file in before} == before


def test_the_only_copy_that_was_moved_there_is_saved(killed: Path, backup: Path) -> None:
    whole = digest(backup)
    os.replace(backup, killed)
    done = restore(str(killed), killed)
    assert (done.runs, done.revision, done.kept) == (2, REVISIONS[-1], None)
    assert digest(killed) == whole
    assert {Path(log).name.rsplit("-", 1)[0] for log in done.moved} == {"results.db-wal.stale", "results.db-shm.stale"}
    assert runs_in(killed) == 2


def test_a_backup_is_restored_and_the_database_before_is_kept_with_its_log(killed: Path, backup: Path) -> None:
    whole = digest(backup)
    done = restore(f"sqlite:///{killed}", backup)
    assert (done.runs, done.moved) == (2, ())
    assert digest(backup) == whole
    assert runs_in(killed) == 2
    assert done.kept is not None
    with Store.open(done.kept) as store:
        assert {run.error for run in store.list_runs()} == {"later"}, "what its log held is there"
    assert not list(killed.parent.glob("*.part*"))
    with Store.open(str(killed)) as store:
        assert store.check() == []


def test_a_database_that_is_not_there_is_restored(path: Path, backup: Path) -> None:
    path.unlink()
    assert restore(str(path), backup).kept is None
    assert runs_in(path) == 2


def test_a_damaged_database_is_replaced(path: Path, backup: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])
    done = restore(str(path), backup)
    assert runs_in(path) == 2
    assert done.kept is not None
    assert Path(done.kept).stat().st_size == 5000


def test_a_live_database_is_a_backup_too(path: Path, backup: Path, make_study: Make) -> None:
    with Store.open(str(backup)) as store:
        store.save_study(make_study(5), call_options={})
        assert restore(str(path), backup).runs == 5
    assert runs_in(path) == 5


@pytest.mark.slow
def test_it_is_refused_while_another_process_uses_the_database(path: Path, backup: Path) -> None:
    user = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path), "stay"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert user.stdout is not None
        assert user.stdout.readline() == "ready\n"
        with pytest.raises(StoreError, match=rf"is in use by process {user.pid}\. End it .* nothing was changed"):
            restore(str(path), backup)
    finally:
        user.communicate()
    assert restore(str(path), backup).runs == 2


def test_it_is_refused_while_this_process_uses_the_database(path: Path, backup: Path) -> None:
    with Store.open(str(path)) as store:
        with pytest.raises(StoreError, match="is in use by"):
            restore(str(path), backup)
        assert len(store.list_runs()) == 3


@pytest.mark.parametrize("how", ["text", "empty", "cut", "flipped", "other", "newer"])
def test_a_file_that_is_no_whole_backup_changes_nothing(path: Path, backup: Path, how: str) -> None:
    if how in ("text", "empty"):
        backup.write_text("my thesis" if how == "text" else "")
    elif how == "cut":
        backup.write_bytes(backup.read_bytes()[:20_000])
    elif how == "flipped":
        content = bytearray(backup.read_bytes())
        content[4096:8192] = bytes(4096)
        backup.write_bytes(content)
    else:
        with closing(sqlite3.connect(backup)) as connection, connection:
            if how == "other":
                connection.execute("ALTER TABLE runs RENAME TO walks")
            else:
                connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = {file.name: digest(file) for file in path.parent.iterdir() if file.name != "results.db.lock"}
    with raising(StoreError):
        restore(str(path), backup)
    assert {file.name: digest(file) for file in path.parent.iterdir() if file.name != "results.db.lock"} == before


def test_what_cannot_be_meant(path: Path, backup: Path, tmp_path: Path) -> None:
    with raising(NotFound, "nothing\\.db .*`ablate db backup`"):
        restore(str(path), tmp_path / "nothing.db")
    with raising(UsageError, "server"):
        restore("postgresql://h/d", backup)
    with raising(UsageError, "itself"):
        restore(str(path), path)
    with raising(NotFound, "nowhere "):
        restore(str(tmp_path / "nowhere" / "r.db"), backup)


def test_a_kill_between_its_steps_leaves_what_another_try_restores(
    killed: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file is in place and the log not yet moved: refused by all, never replayed."""

    def stop(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stop)
        with pytest.raises(KeyboardInterrupt):
            restore(str(killed), backup)
    with pytest.raises(StoreError, match="db restore"):
        Store.open(str(killed))
    assert restore(str(killed), backup).runs == 2
    assert runs_in(killed) == 2
