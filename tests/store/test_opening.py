"""Opening: what is there, what is not, what may not be touched. Of SQLite files but for the threads."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from golden_texts import raising, worded

from ablate.errors import NoSpaceOrPermission, NotFound, StoreError
from ablate.store.host import WorkerInfo
from ablate.store.schema import REVISIONS
from ablate.store.sqlite import SQLite
from ablate.store.store import Store

Make = Callable[..., Any]
NOBODY = 65534


def snapshot(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir() if file.is_file()}


@contextmanager
def read_only_folder(folder: Path, files: int = 0o444) -> Iterator[None]:
    """Nobody may write the folder or its files; for root, who may always, by becoming nobody meanwhile."""
    root = os.geteuid() == 0
    opened = [parent for parent in folder.parents if root and parent.stat().st_uid == 0]
    before = [(parent, parent.stat().st_mode) for parent in opened]
    for parent in opened:
        parent.chmod(parent.stat().st_mode | 0o055)
    for file in folder.iterdir():
        file.chmod(files)
    folder.chmod(0o555)
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        for parent, mode in before:
            parent.chmod(mode)


@pytest.fixture
def filled(path: Path, empty: Path, make_study: Make) -> Path:
    shutil.copy(empty, path)
    with Store.open(str(path)) as store:
        store.save_study(make_study(3), call_options={})
    return path


def as_delete(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    path.with_name(path.name + ".lock").unlink()


def test_a_new_database_is_made_for_writing_only(path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        Store.open(f"sqlite:///{path}", read_only=True)
    worded(str(caught.value), f"{path}", "`ablate grid run STUDY.yaml`", "--db", "ABLATE_DB")
    assert list(path.parent.iterdir()) == []
    with Store.open(f"sqlite:///{path}") as store:
        info = store.info()
    assert (info.backend, info.journal_mode, info.revision) == ("sqlite", "wal", REVISIONS[-1])
    assert path.exists()


def test_reading_writes_nothing_and_makes_no_file(filled: Path) -> None:
    before = snapshot(filled.parent)
    with Store.open(str(filled), read_only=True) as store:
        assert len(store.list_runs()) == 3
        assert store.check() == []
        store.info()
        assert snapshot(filled.parent) == before
    assert snapshot(filled.parent) == before


def test_writing_through_a_read_only_store_is_refused(filled: Path, make_study: Make) -> None:
    with Store.open(str(filled), read_only=True) as store, raising(StoreError, "read-only"):
        store.save_study(make_study(1), call_options={})


@pytest.mark.parametrize("delete", [True, False], ids=["journal DELETE", "WAL, closed"])
def test_reading_in_a_read_only_folder(filled: Path, delete: bool) -> None:
    if delete:
        as_delete(filled)
    with read_only_folder(filled.parent), Store.open(str(filled), read_only=True) as store:
        assert len(store.list_runs()) == 3


def test_reading_what_a_live_writer_commits(filled: Path, make_study: Make) -> None:
    with Store.open(str(filled), read_only=True) as reader, Store.open(str(filled)) as writer:
        assert len(reader.list_runs()) == 3
        writer.save_study(make_study(5), call_options={})
        assert filled.with_name("results.db-wal").stat().st_size > 0
        assert len(reader.list_runs()) == 5
        with read_only_folder(filled.parent):
            assert len(reader.list_runs()) == 5


def test_reading_while_a_writer_is_in_its_transaction(filled: Path) -> None:
    with (
        closing(sqlite3.connect(filled, isolation_level=None)) as other,
        Store.open(str(filled), read_only=True) as reader,
    ):
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE runs SET state = 'failed'")
        assert {run.state for run in reader.list_runs()} == {"queued"}
        other.execute("COMMIT")
        assert {run.state for run in reader.list_runs()} == {"failed"}


def test_a_writer_that_comes_while_a_closed_file_is_read(filled: Path, make_study: Make) -> None:
    """The file is read as immutable; what changes below the read must not be handed out."""
    with Store.open(str(filled), read_only=True) as reader:
        seen = []

        def look(tx: Any) -> int:
            seen.append(tx.connection.exec_driver_sql("SELECT count(*) FROM runs").scalar_one())
            if len(seen) == 1:
                with Store.open(str(filled)) as writer:
                    writer.save_study(make_study(4), call_options={})
            return int(seen[-1])

        assert reader._db.read(look) == 4
        assert seen == [3, 4]


def test_a_log_without_its_index_asks_for_recovery(filled: Path, tmp_path: Path, make_study: Make) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    with Store.open(str(filled)) as store:
        store.save_study(make_study(4), call_options={})
        for name in ("results.db", "results.db-wal"):
            (copy / name).write_bytes((filled.parent / name).read_bytes())
    before = snapshot(copy)
    with raising(StoreError, "`ablate db check`"):
        Store.open(str(copy / "results.db"), read_only=True)
    assert snapshot(copy) == before
    with Store.open(str(copy / "results.db")) as store:
        assert len(store.list_runs()) == 4


def test_the_first_write_sets_wal_and_opening_does_not(filled: Path, make_study: Make) -> None:
    as_delete(filled)
    before = filled.read_bytes()
    with Store.open(str(filled)) as store:
        assert len(store.list_runs()) == 3
    assert filled.read_bytes() == before
    with Store.open(str(filled)) as store:
        store.save_study(make_study(4), call_options={})
        assert store.info().journal_mode == "wal"


def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.write_text("my thesis")
    for read_only in (True, False):
        with pytest.raises(StoreError) as caught:
            Store.open(str(path), read_only=read_only)
        worded(str(caught.value), f"{path}", "--db", "ABLATE_DB")
    assert path.read_text() == "my thesis"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_empty_file_is_filled_by_a_writer_only(path: Path) -> None:
    path.touch()
    with pytest.raises(NotFound, match="is empty"):
        Store.open(str(path), read_only=True)
    assert path.stat().st_size == 0
    with Store.open(str(path)) as store:
        assert store.studies() == ()


def test_a_database_without_tables_holds_no_results(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=1")
        connection.commit()
    with raising(NotFound):
        Store.open(str(path), read_only=True)


@pytest.mark.parametrize("tables", [("albums",), ("alembic_version", "studies", "trials")])
def test_another_programs_database_is_left_alone(path: Path, tables: tuple[str, ...]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for table in tables:
            connection.execute(f"CREATE TABLE {table} (version_num TEXT)")
        connection.commit()
    before = path.read_bytes()
    for read_only in (True, False):
        with raising(StoreError, "tables: al"):
            Store.open(str(path), read_only=read_only)
    assert path.read_bytes() == before


@pytest.mark.parametrize("keep", [100, 5_000, 20_000])
def test_a_truncated_database_is_an_error_in_words(filled: Path, keep: int) -> None:
    as_delete(filled)
    filled.write_bytes(filled.read_bytes()[:keep])
    before = filled.read_bytes()
    try:
        with Store.open(str(filled), read_only=True) as store:
            said = store.check()
    except StoreError as error:
        said = [str(error)]
    assert said
    assert "damaged" in said[0]
    assert filled.read_bytes() == before


def test_the_folder_is_not_there(tmp_path: Path) -> None:
    with raising(NotFound, "nowhere "):
        Store.open(str(tmp_path / "nowhere" / "results.db"))
    with raising(NotFound, "`ablate grid run"):
        Store.open(str(tmp_path / "nowhere" / "results.db"), read_only=True)


@pytest.mark.parametrize("read_only", [True, False])
def test_a_folder_is_no_database(tmp_path: Path, read_only: bool) -> None:
    with raising(StoreError, "folder"):
        Store.open(str(tmp_path), read_only=read_only)


def test_no_permission_to_write(filled: Path) -> None:
    with read_only_folder(filled.parent), pytest.raises(NoSpaceOrPermission) as caught:
        Store.open(str(filled))
    worded(str(caught.value), "`ablate report`", "`ablate status`")


def test_no_permission_to_create(path: Path) -> None:
    with (
        read_only_folder(path.parent),
        pytest.raises(NoSpaceOrPermission, match=r"results\.db"),
    ):
        Store.open(str(path))


def test_no_permission_to_read(filled: Path) -> None:
    with (
        read_only_folder(filled.parent, files=0),
        pytest.raises(NoSpaceOrPermission, match="permissions"),
    ):
        Store.open(str(filled), read_only=True)


def test_a_lock_that_lasts_names_the_file(filled: Path, make_study: Make) -> None:
    with closing(sqlite3.connect(filled, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with Store.open(str(filled), timeout=0.05) as store:
            with pytest.raises(StoreError) as caught:
                store.save_study(make_study(4), call_options={})
            worded(str(caught.value), f"{filled}", f"process {os.getpid()} ", "0.05 s")
            other.execute("ROLLBACK")
            store.save_study(make_study(4), call_options={})


def test_a_hung_ablate_process_does_not_hang_the_others(filled: Path, make_study: Make) -> None:
    with Store.open(str(filled)) as hung, Store.open(str(filled), timeout=0.05) as store:
        with hung._db.dialect.write_lock(), pytest.raises(StoreError, match=r"results\.db is locked: .* for 0\.05 s"):
            store.save_study(make_study(4), call_options={})
        store.save_study(make_study(4), call_options={})


def test_a_closed_store_says_so(filled: Path) -> None:
    store = Store.open(str(filled))
    store.close()
    store.close()
    with pytest.raises(StoreError, match="was closed"):
        store.studies()


def test_closing_leaves_one_file_to_copy(filled: Path, make_study: Make) -> None:
    with Store.open(str(filled)) as store:
        store.save_study(make_study(4), call_options={})
    assert sorted(file.name for file in filled.parent.iterdir()) == ["results.db", "results.db.lock"]


def test_threads_share_a_store(url: str, make_study: Make) -> None:
    with Store.open(url) as store:
        key = store.save_study(make_study(20), call_options={})
        with ThreadPoolExecutor(4) as pool:
            claims = list(pool.map(lambda _: store.claim(key, WorkerInfo.here()), range(20)))
    assert len({claim.run.run_id for claim in claims if claim}) == 20


def test_the_pragmas_that_durability_rests_on(filled: Path) -> None:
    with Store.open(str(filled)) as store:

        def pragma(name: str) -> object:
            return store._db.read(lambda tx: tx.connection.exec_driver_sql(f"PRAGMA {name}").scalar())

        assert pragma("journal_mode") == "wal"
        assert pragma("synchronous") == 2  # FULL: an acknowledged commit survives a power cut
        assert pragma("foreign_keys") == 1
        assert pragma("trusted_schema") == 0
        assert pragma("busy_timeout") == 30_000


def test_claims_are_single_without_the_file_lock_too(
    path: Path, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file lock is for fairness; that two never get one run is the work of BEGIN IMMEDIATE."""
    monkeypatch.setattr(SQLite, "write_lock", lambda self: nullcontext())
    with Store.open(str(path)) as store:
        key = store.save_study(make_study(60), call_options={})

    def work(_: int) -> list[str]:
        with Store.open(str(path)) as mine:
            return [claim.run.run_id for claim in iter(lambda: mine.claim(key, WorkerInfo.here()), None)]

    with ThreadPoolExecutor(4) as pool:
        claimed = [run_id for ids in pool.map(work, range(4)) for run_id in ids]
    assert len(claimed) == len(set(claimed)) == 60
