"""The database that is written is the one that was opened; a backup is put in place whole, and never written over."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.study.loader import load

SCRIPT = """
import os, shutil, sys
seed = sys.argv[1]
open("began-" + seed, "w").close()
if seed == "1":
    {what}
print("top1:", 0.5)
"""
STUDY = """
study: own
seeds: 4
recipe: {lr: 0.1}
factors: {lr: {path: lr, levels: [0.1]}}
baseline: {lr: 0.1}
trainer: {command: 'python train.py {seed} {lr}', metrics: {top1: {better: higher, pattern: 'top1: (\\S+)'}}}
"""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ABLATE_DB", str(tmp_path / "r.db"))
    return tmp_path / "r.db"


# Removed, replaced or overwritten under a grid --------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("os.remove('r.db')", "was removed"),
        ("os.rename('r.db', 'moved.db')", "was removed"),
        ("shutil.copy('backup.db', 'other'); os.replace('other', 'r.db')", "was replaced by another file"),
        ("shutil.copyfile('backup.db', 'r.db')", "was overwritten"),
    ],
)
@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_database_that_is_gone_stops_the_grid_at_once(call, start, tmp_path: Path, db: Path, fill, what: str, said: str, executor: str) -> None:  # fmt: skip
    """The second of four runs does it. It is the last that begins, and what lies there now is not written."""
    study = tmp_path / "own.yaml"
    study.write_text(STUDY)
    (tmp_path / "train.py").write_text(SCRIPT.format(what=what))
    fill(study, lambda arm, seed: None)
    call("db", "backup", "backup.db")
    grid = start("grid", "run", study, "--executor", executor, "--threads", 1)
    _, err = grid.communicate(timeout=300)
    assert grid.returncode == 6, err
    assert f"the results database {db} {said} while it was in use. Everything was stopped at once" in err
    second = next(run.run_id for run in load(study).runs if run.seed == 1)
    assert f"Trained but not recorded: 1 of this grid's runs ({second[:12]})." in err
    assert "1 run of this grid had ended before; " in err
    assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.glob("began-*")) == ["began-0", "began-1"]
    if said == "was removed":
        assert not db.exists()
    else:
        assert digest(db) == digest(tmp_path / "backup.db")


# A backup beside the log of a killed grid -------------------------------------------------------------------------------


@pytest.fixture
def killed(call, tiny: Path, db: Path, fill, tmp_path: Path) -> Path:
    """A backup of two done runs was copied over a database that kill -9 left with a log of later writes."""
    fill(tiny, lambda arm, seed: {"top1": 0.5, "top5": 0.9} if seed else None)
    call("db", "backup", "backup.db")
    script = (
        "import os, sys\nfrom ablate.store.store import Store\nfrom ablate.store.host import WorkerInfo\n"
        "store = Store.open(sys.argv[1])\nassert store.claim(store.requests()[0].key, WorkerInfo.here(), ttl=60.0)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(db)], cwd=tmp_path, check=False)
    assert (tmp_path / "r.db-wal").stat().st_size > 0
    shutil.copyfile(tmp_path / "backup.db", db)
    return tmp_path / "backup.db"


COMMANDS = (
    "status", "watch --once", "report tiny", "runs list", "grid plan tiny.yaml", "grid run tiny.yaml", "worker --study tiny",
    "clean", "db info", "db check", "db upgrade", "db backup copy.db", "db export all.jsonl", "db import backup.db",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_backup_beside_anothers_log_is_refused_by_every_command(call, killed: Path, db: Path, command: str) -> None:
    log = db.with_name("r.db-wal")
    before = digest(db), digest(log)
    said = call(*command.split(), code=6).err
    assert "r.db is not the file that r.db-wal beside it belongs to" in said
    assert "`ablate db restore FILE`" in said
    assert (digest(db), digest(log)) == before == (digest(killed), before[1])


@pytest.mark.parametrize("source", ["backup.db", "r.db"])
def test_db_restore_moves_the_log_aside_and_all_goes_on(call, killed: Path, db: Path, source: str) -> None:
    log = digest(db.with_name("r.db-wal"))
    said = call("db", "restore", source).err
    assert f"{db} restored from {source}: 4 runs" in said
    (aside,) = db.parent.glob("r.db-wal.stale-*")
    assert digest(aside) == log
    assert f"a log that does not belong to it is kept as {aside}" in said
    assert call("db", "check").out == "ok\n"
    assert call("status", "tiny", "--json").document["counts"]["done"] == 2
    with Store.open(str(db)) as store:
        assert store.claim(store.requests()[0].key, WorkerInfo.here(), ttl=60.0)


# db restore -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(call, tiny: Path, db: Path, fill) -> Path:
    """A database where all is done, and the backup of one where nothing is."""
    fill(tiny, lambda arm, seed: None)
    call("db", "backup", "backup.db")
    fill(tiny)
    return db.with_name("backup.db")


def done(call) -> int:
    return int(call("status", "tiny", "--json").document["counts"]["done"])


def test_restore_keeps_what_was_there(call, two: Path, db: Path, tmp_path: Path) -> None:
    source = digest(two)
    said = call("db", "restore", two).err
    (kept,) = tmp_path.glob("r.db.replaced-*.backup")
    assert f"the previous database is kept as {kept}" in said
    assert (done(call), digest(two)) == (0, source)
    call("db", "restore", kept)
    assert done(call) == 4
    db.unlink()
    call("db", "restore", two)
    assert done(call) == 0


@pytest.mark.slow
@pytest.mark.parametrize("here", [True, False])
def test_restore_refuses_while_the_database_is_in_use(call, two: Path, db: Path, here: bool) -> None:
    script = "import sys\nfrom ablate.store.store import Store\nstore = Store.open(sys.argv[1])\nstore.studies()\n"
    script += "print('open', flush=True)\nsys.stdin.read()\nstore.close()\n"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    if here:
        with Store.open(str(db)) as store:
            store.studies()
            said = call("db", "restore", two, code=6).err
    else:
        with subprocess.Popen([sys.executable, "-c", script, str(db)], **pipes) as other:  # type: ignore[call-overload]
            assert other.stdout.readline() == b"open\n"
            said = call("db", "restore", two, code=6).err
            other.communicate()
    assert "r.db is in use by " in said
    assert said.endswith("nothing was changed.\n")
    assert done(call) == 4
    call("db", "restore", two)
    assert done(call) == 0


def other_programs(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE photos (id)")


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (lambda path: path.write_text("not results"), 6, "is not a results database of ablate; nothing was restored"),
        (lambda path: os.truncate(path, 8192), 6, "nothing was restored"),
        (other_programs, 6, "is not a results database of ablate; nothing was restored"),
        (lambda path: path.unlink(), 5, "is not there; name a file that `ablate db backup` wrote"),
    ],
)
def test_a_bad_file_is_refused_before_anything_is_touched(call, two: Path, db: Path, tmp_path: Path, spoil, code: int, said: str) -> None:  # fmt: skip
    spoil(two)
    before = digest(db)
    assert said in call("db", "restore", two, code=code).err
    assert digest(db) == before
    assert done(call) == 4
    assert [path.name for path in tmp_path.iterdir() if ".ablate-" in path.name or "replaced" in path.name] == []
