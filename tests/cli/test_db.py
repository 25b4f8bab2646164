"""`ablate db` on SQLite and on PostgreSQL, and what is said of a server that cannot be used."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from golden_texts import worded
from postgres_server import Room, Server

from ablate.store.schema import REVISIONS
from ablate.store.store import Store

HUSH = "hush-hush"


@pytest.fixture
def db(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database of the commands: SQLite or PostgreSQL."""
    monkeypatch.setenv("ABLATE_DB", url)
    return url


def secret(url: str) -> str:
    """The password of a URL; of a file a text that is nowhere."""
    return url.split(":")[2].split("@")[0] if "@" in url else "no password"


def test_the_database_says_what_it_is_without_its_password(call, db: str, tiny: Path, fill) -> None:
    fill(tiny)
    said = call("db", "info")
    assert secret(db) not in said.out + said.err
    assert ("url: postgresql+psycopg://ablate:***@127.0.0.1:" in said.out) == ("@" in db)
    assert "states: done 4\n" in said.out
    found = call("db", "info", "--json").document
    assert found["backend"] in db
    assert (found["rows"]["runs"], found["revision"]) == (4, REVISIONS[-1])
    assert secret(db) not in str(found)
    assert call("db", "check").out == "ok\n"
    assert f"schema {REVISIONS[-1]}" in call("db", "upgrade").err


def test_check_finds_what_disagrees_on_a_server_too(call, db: str, tiny: Path, fill) -> None:
    import sqlalchemy as sa

    fill(tiny)
    with Store.open(db) as store:
        store._db.write(lambda tx: tx.execute(sa.text("UPDATE attempts SET state = 'lost'")))
    call("db", "check", code=6).told("damaged")


@pytest.mark.slow
def test_moving_by_commands(call, db: str, tiny: Path, fill, tmp_path: Path) -> None:
    fill(tiny)
    moved = f"sqlite:///{tmp_path / 'moved.db'}"
    said = call("db", "export", "all.jsonl.gz").told()
    assert secret(db) not in said.err
    call("db", "export", "all.jsonl.gz", code=2).told("exists")
    call("db", "export", "all.jsonl.gz", "--overwrite")
    call("db", "import", "all.jsonl.gz", "--dry-run", "--db", moved).told()
    assert not (tmp_path / "moved.db").exists()
    assert "imported 4 new runs" in call("db", "import", "all.jsonl.gz", "--db", moved).err
    again = call("db", "import", db, "--db", moved).told()
    assert secret(db) not in again.err
    assert call("report", "tiny", "--format", "md", "--db", moved).out == call("report", "tiny", "--format", "md").out


def test_an_import_that_fails_makes_no_database(call, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("not results\n")
    call("db", "import", "thesis.txt", code=6).told("store")
    assert not (tmp_path / "results.db").exists()
    call("db", "import", "none.jsonl", code=5).told("not-found")
    call("db", "export", "all.db", code=2).told("usage")


def test_an_export_of_a_grid_that_runs_says_so(call, tiny: Path, fill) -> None:
    fill(tiny, lambda arm, seed: "running" if seed else {"top1": 0.5, "top5": 0.9})
    call("db", "export", "all.jsonl").told()


@pytest.mark.postgres
def test_a_server_is_not_copied_to_a_file(call, postgres: Room, tiny: Path, fill, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ABLATE_DB", postgres.ready())
    fill(tiny)
    said = call("db", "backup", "copy.db", code=2).told("usage").err
    assert secret(os.environ["ABLATE_DB"]) not in said
    assert not (tmp_path / "copy.db").exists()


# A server that cannot be used -----------------------------------------------------------------------------------------


@pytest.fixture
def refused(call, tiny: Path, caplog: pytest.LogCaptureFixture) -> Callable[[str], str]:
    """What every command says of a URL that leads nowhere: exit 6, one sentence, no password anywhere."""

    def ask(url: str) -> str:
        sentences = set()
        for command in (["db", "info"], ["status"], ["grid", "plan", tiny], ["grid", "run", tiny], ["report"],
                        ["db", "upgrade"], ["db", "import", "results.db"]):  # fmt: skip
            said = call(*command, "--db", url, code=6)
            sentences.add(said.err)
            for text in (said.out, said.err, caplog.text):
                assert HUSH not in text
        assert len(sentences) == 1, sentences
        doctor = call("doctor", "--db", url, code=None)
        assert HUSH not in doctor.out + doctor.err
        for path in tiny.parent.rglob("*"):
            assert not path.is_file() or HUSH.encode() not in path.read_bytes(), path
        return sentences.pop()

    return ask


@pytest.mark.slow
def test_a_port_where_nobody_listens(refused) -> None:
    said = refused(f"postgresql+psycopg://ada:{HUSH}@127.0.0.1:1/results?sslpassword={HUSH}")
    assert said.startswith("error: postgresql+psycopg://ada:***@127.0.0.1:1/results ")
    assert "refused" in said
    assert said.endswith("--db or ABLATE_DB.\n")
    assert said.count("\n") == 1


@pytest.mark.slow
def test_a_host_that_nobody_knows(refused) -> None:
    said = refused(f"postgresql+psycopg://ada:{HUSH}@no-such-host.invalid/results")
    assert said.startswith("error: postgresql+psycopg://ada:***@no-such-host.invalid/results ")
    assert said.count("\n") == 1


@pytest.mark.slow
def test_a_driver_that_is_missing(refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    said = refused(f"postgresql+psycopg://ada:{HUSH}@127.0.0.1:1/results")
    worded(said, "ada:***@127.0.0.1:1/results ", "pip install 'ablate-studies[postgres]'", file="db-url")


@pytest.mark.slow
@pytest.mark.postgres
def test_a_wrong_password(refused, own_server: Server) -> None:
    said = refused(own_server.url(password=HUSH))
    assert 'user "ablate"' in said
    assert said.endswith("--db or ABLATE_DB.\n")
    assert said.count("\n") == 1


@pytest.mark.slow
@pytest.mark.postgres
def test_a_database_that_does_not_exist(refused, own_server: Server) -> None:
    said = refused(own_server.url("nowhere"))
    assert 'database "nowhere"' in said
    assert "(`createdb nowhere`)" in said
    assert said.endswith("--db or ABLATE_DB.\n")


@pytest.mark.slow
def test_a_password_with_an_at_sign_is_explained(refused) -> None:
    """The rest of it would be taken for the host, and printed."""
    said = refused(f"postgresql://ada:{HUSH}@{HUSH}@127.0.0.1/results")
    worded(said, "'postgresql'", "%40, %3A and %2F", "postgresql+psycopg://user:password@host/name", file="db-url")


@pytest.mark.slow
@pytest.mark.postgres
def test_no_row_and_no_command_to_copy_holds_the_password(call, postgres: Room, tiny: Path, fill, monkeypatch) -> None:
    url = postgres.ready()
    monkeypatch.setenv("ABLATE_DB", url)
    fill(tiny, lambda arm, seed: "failed" if seed else {"top1": 0.5, "top5": 0.9})
    monkeypatch.delenv("ABLATE_DB")
    for command in (["status"], ["grid", "plan", tiny], ["report", "tiny", "--format", "md"], ["runs", "list"]):
        said = call(*command, "--db", url, code=None)
        assert said.code in (0, 4)
        assert secret(url) not in said.out + said.err
    call("grid", "plan", tiny, "--db", url).told()
    call("db", "export", "all.jsonl", "--db", url)
    assert secret(url) not in (tiny.parent / "all.jsonl").read_text()
