"""Backups, checks, upgrades and the schema itself."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from golden_texts import raising, worded

from ablate.errors import NoSpaceOrPermission, NotFound, StoreError, UsageError
from ablate.store import migrate, schema
from ablate.store.host import WorkerInfo, boot_id, is_dead, start_ticks
from ablate.store.migrate import upgrade
from ablate.store.store import Store
from ablate.study.records import EpochRecord, Outcome

Make = Callable[..., Any]
NOW = schema.REVISIONS[-1]
NEXT = f"{int(NOW) + 1:04d}"


@pytest.fixture
def filled(path: Path, empty: Path, make_study: Make, remote: Make) -> Path:
    shutil.copy(empty, path)
    with Store.open(str(path)) as store:
        claim = store.claim(store.save_study(make_study(3), call_options={}), remote())
        assert claim is not None
        store.record_epoch(claim, [EpochRecord(1, "val", {"top1": 0.1})])
        store.finish(claim, Outcome({"top1": 0.1}), 1.0)
    return path


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


# The schema -----------------------------------------------------------------------------------------------------------


def test_the_migrations_make_the_tables_that_the_code_uses(store: Store) -> None:
    def differences(tx: Any) -> list[Any]:
        context = MigrationContext.configure(tx.connection, opts={"compare_type": True})
        return list(compare_metadata(context, schema.metadata))

    assert store._db.read(differences) == []
    assert store.info().revision == schema.REVISIONS[-1]


def test_the_list_of_revisions_is_that_of_the_files() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert tuple(reversed([script.revision for script in scripts.walk_revisions()])) == schema.REVISIONS


@pytest.mark.slow
def test_opening_needs_no_alembic(filled: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from ablate.store.store import Store\n"
        f"Store.open({str(filled)!r}, read_only=True).close()\n"
        "assert not {'alembic', 'torch', 'pandas', 'psycopg'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


@pytest.fixture
def next_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Pretend that this code has one revision more, which does what the given line says."""

    def pretend(line: str) -> None:
        scripts = tmp_path / "migrations"
        (scripts / "versions").mkdir(parents=True)
        for file in (migrate.SCRIPTS / "env.py", *(migrate.SCRIPTS / "versions").glob("r*.py")):
            (scripts / file.relative_to(migrate.SCRIPTS)).write_text(file.read_text())
        (scripts / "versions" / f"r{NEXT}.py").write_text(
            "import sqlalchemy as sa\nfrom alembic import op\n\n"
            f"revision, down_revision = '{NEXT}', '{NOW}'\n\n\ndef upgrade():\n    {line}\n"
        )
        monkeypatch.setattr(migrate, "SCRIPTS", scripts)
        monkeypatch.setattr(migrate, "REVISIONS", (*schema.REVISIONS, NEXT))

    return pretend


@pytest.mark.parametrize("read_only", [True, False])
def test_an_older_database_says_what_to_do(filled: Path, next_revision: Callable[[str], None], read_only: bool) -> None:
    next_revision("pass")
    with pytest.raises(StoreError) as caught:
        Store.open(str(filled), read_only=read_only)
    worded(str(caught.value), f"{filled} ", f"schema {NOW}, ", f"{NEXT}", "`ablate db upgrade`")


@pytest.mark.parametrize("read_only", [True, False])
def test_a_newer_database_is_refused_and_left_alone(filled: Path, read_only: bool) -> None:
    change(filled, "UPDATE alembic_version SET version_num = '0099'")
    before = filled.read_bytes()
    with raising(StoreError, "schema 0099, "):
        Store.open(str(filled), read_only=read_only)
    with raising(StoreError, "schema 0099, "):
        upgrade(str(filled))
    assert filled.read_bytes() == before


def test_an_upgrade_keeps_everything_and_a_backup(filled: Path, next_revision: Callable[[str], None]) -> None:
    next_revision("op.add_column('runs', sa.Column('note', sa.Text()))")
    done = upgrade(str(filled))
    assert (done.before, done.after) == (NOW, NEXT)
    assert done.backup is not None
    with closing(sqlite3.connect(filled)) as new, closing(sqlite3.connect(done.backup)) as old:
        assert new.execute("SELECT count(*), max(note) FROM runs").fetchone() == (3, None)
        assert old.execute("SELECT version_num FROM alembic_version").fetchone() == (NOW,)
        assert old.execute("SELECT count(*) FROM runs").fetchone() == (3,)
    with Store.open(str(filled)) as store:
        assert len(store.list_runs()) == 3
    assert upgrade(str(filled)).backup is None


def test_a_table_with_references_can_be_rebuilt(filled: Path, next_revision: Callable[[str], None]) -> None:
    next_revision("with op.batch_alter_table('runs') as batch: batch.alter_column('seed', type_=sa.Text())")
    upgrade(str(filled))
    with Store.open(str(filled), read_only=True) as store:
        assert store.check() == []
        assert store.info().rows["epoch_metrics"] == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [("op.add_column('runs', sa.Column('n', sa.Text())); raise OSError(5, 'cut')", "cut"),
     ("op.execute('DELETE FROM arms')", "the upgrade would break references")],
)  # fmt: skip
def test_an_upgrade_that_fails_changes_nothing(
    filled: Path, next_revision: Callable[[str], None], line: str, said: str
) -> None:
    with closing(sqlite3.connect(filled)) as connection:
        before = list(connection.iterdump())
    next_revision(line)
    with pytest.raises((StoreError, NoSpaceOrPermission), match=said):
        upgrade(str(filled))
    with closing(sqlite3.connect(filled)) as connection:
        assert list(connection.iterdump()) == before
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (NOW,)
    assert len(list(filled.parent.glob(f"results.db.{NOW}-*.backup"))) == 1


def test_nothing_to_upgrade(filled: Path, tmp_path: Path) -> None:
    assert upgrade(str(filled)).backup is None
    with pytest.raises(NotFound):
        upgrade(str(tmp_path / "none.db"))
    assert not (tmp_path / "none.db").exists()


# Backups --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read_only", [True, False])
def test_a_backup_is_one_file_with_everything(filled: Path, tmp_path: Path, read_only: bool) -> None:
    target = tmp_path / "copies" / "copy's.db"
    target.parent.mkdir()
    with Store.open(str(filled), read_only=read_only) as store:
        store.backup(target)
        expected = store.list_runs()
    assert [file.name for file in target.parent.iterdir()] == ["copy's.db"]
    with Store.open(str(target), read_only=True) as copy:
        assert copy.list_runs() == expected
        assert copy.info().journal_mode == "delete"
    assert [file.name for file in target.parent.iterdir()] == ["copy's.db"]


def test_a_backup_holds_what_a_live_writer_has_committed(filled: Path, tmp_path: Path, make_study: Make) -> None:
    with Store.open(str(filled)) as writer, Store.open(str(filled), read_only=True) as reader:
        writer.save_study(make_study(5), call_options={})
        reader.backup(tmp_path / "copy.db")
    with Store.open(str(tmp_path / "copy.db"), read_only=True) as copy:
        assert len(copy.list_runs()) == 5


def test_a_backup_replaces_no_file_unasked(filled: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("precious")
    with Store.open(str(filled), read_only=True) as store:
        with raising(UsageError, "copy", code="exists"):
            store.backup(target)
        assert target.read_text() == "precious"
        store.backup(target, overwrite=True)
        with raising(StoreError):
            store.backup(filled, overwrite=True)
        with raising(NotFound, "none "):
            store.backup(tmp_path / "none" / "copy.db")
    with Store.open(str(target)) as used, Store.open(str(filled), read_only=True) as store:
        used.cancel([run.run.run_id for run in used.list_runs()])
        with raising(StoreError, "-wal"):
            store.backup(target, overwrite=True)


# Checks ---------------------------------------------------------------------------------------------------------------


def test_info_counts(filled: Path) -> None:
    with Store.open(str(filled), read_only=True) as store:
        info = store.info()
    assert (info.url, info.backend, info.revision) == (str(filled), "sqlite", NOW)
    assert info.states == {"done": 1, "queued": 2}
    assert info.rows["runs"] == 3
    assert info.rows["attempts"] == info.rows["epoch_metrics"] == 1
    assert info.size == filled.stat().st_size
    assert info.server_version == sqlite3.sqlite_version


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE runs SET state = 'running' WHERE id = 3", "1 runs are marked running but have no running attempt: "),
        ("UPDATE attempts SET state = 'running'", "1 runs have a running attempt but are not marked running: "),
        ("UPDATE attempts SET state = 'lost'", "1 runs are marked done but have no done attempt: "),
        (
            "UPDATE request_runs SET queued = 1",
            "1 runs have ended but a request still waits for them: ",
        ),
        ("DELETE FROM arms", "a row of runs refers to a missing row of arms"),
    ],
)
def test_check_finds_what_disagrees(filled: Path, statement: str, said: str) -> None:
    with Store.open(str(filled), read_only=True) as store:
        assert store.check() == []
    change(filled, statement)
    with Store.open(str(filled), read_only=True) as store:
        assert any(said in problem for problem in store.check())


def test_check_finds_damaged_pages(filled: Path) -> None:
    data = bytearray(filled.read_bytes())
    with closing(sqlite3.connect(filled)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix_runs_state'").fetchone()[0]
    data[(root - 1) * 4096 + 8 : root * 4096] = b"\xff" * 4088
    filled.write_bytes(data)
    with Store.open(str(filled), read_only=True) as store:
        assert store.check()[0].startswith("damaged: ")


def test_the_history_is_kept(store: Store, take: Make, make_study: Make) -> None:
    claim = take()
    store.fail(claim, "boom")
    store.save_study(make_study([claim.run]), call_options={}, retry="failed")
    store.cancel([claim.run.run_id])
    newest, older = store.events()
    assert (newest.kind, newest.detail, newest.run_id) == ("cancelled", "was queued", claim.run.run_id)
    assert (older.kind, older.detail, older.study) == ("retried", "1 runs, rule: failed", "s")
    assert store.events(run_id=claim.run.run_id, limit=5) == (newest,)


# Processes ------------------------------------------------------------------------------------------------------------


def test_who_a_worker_is() -> None:
    here = WorkerInfo.here(device="cuda:0")
    assert here.pid == os.getpid()
    assert (here.boot, here.started, here.device) == (boot_id(), start_ticks(os.getpid()), "cuda:0")
    assert WorkerInfo.here().name != here.name
    assert not is_dead(here.host, here.boot, here.pid, here.started)
    assert start_ticks(2**22 + 1) is None


def test_a_forked_child_opens_connections_of_its_own(filled: Path) -> None:
    """A data loader forks in the middle of a training: it must neither use nor close the parent's connections."""
    with Store.open(str(filled)) as store:
        assert len(store.list_runs()) == 3
        database = store._db
        parents = database.engine
        database._pid += 1  # as a child sees it
        assert database.engine is not parents
        assert len(store.list_runs()) == 3
        parents.dispose()


def test_the_errors_of_a_server_are_put_in_words() -> None:
    from ablate.store.location import locate
    from ablate.store.postgresql import PostgreSQL

    dialect = PostgreSQL(locate("postgresql://u:hush@h/d"), 30)

    class ServerError(Exception):
        sqlstate: str | None = None

    def said(state: str | None, text: str) -> Exception:
        error = ServerError(text)
        error.sqlstate = state
        return dialect.translate(error)

    worded(str(said("55P03", "canceling")), "postgresql+psycopg://u:***@h/d ", "30 s")
    assert isinstance(said("53100", "could not extend file"), NoSpaceOrPermission)
    worded(str(said(None, "no hush here")), "no *** here")
    assert isinstance(said("42P01", "relation"), StoreError)
    deadlock = ServerError()
    deadlock.sqlstate = "40P01"
    assert dialect.must_retry(deadlock)
    assert not dialect.must_retry(ServerError())


def test_a_deadlock_is_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(str(path)) as store:
        monkeypatch.setattr(store._db.dialect, "must_retry", lambda error: "deadlock" in str(error))
        tries = []

        def work(tx: Any) -> int:
            tries.append(1)
            if len(tries) < 3:
                raise sa.exc.OperationalError("UPDATE", {}, sqlite3.OperationalError("deadlock"))
            return len(tries)

        assert store._db.write(work) == 3
