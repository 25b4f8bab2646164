from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ablate.errors import StoreError, UsageError
from ablate.store import location as places
from ablate.store.location import Location, file_system, locate
from ablate.store.postgresql import PostgreSQL
from ablate.store.store import Store


def test_a_url_and_a_plain_path_name_the_same_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    expected = tmp_path / "results.db"
    assert locate("sqlite:///results.db").path == expected
    assert locate("results.db").path == expected
    assert locate(f"sqlite:///{expected}").path == expected
    assert locate("sqlite:///results.db").shown == "results.db"


@pytest.mark.parametrize("url", ["postgres://u:p@h/d", "postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"])
def test_postgresql_goes_through_psycopg(url: str) -> None:
    found = locate(url)
    assert found.url is not None
    assert found.url.drivername == "postgresql+psycopg"
    assert found.shown == "postgresql+psycopg://u:***@h/d"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://u:hush@h/d", "results cannot be stored in 'mysql'"),
        ("sqlite://", "'an empty path' names none"),
        ("sqlite:///:memory:", "':memory:' names none"),
        ("sqlite://results.db", "three slashes"),
        ("postgresql://u:hush@h:port/d", "starts with 'postgresql' cannot be read"),
        ("://hush", "starts with '' cannot be read"),
        ("postgresql+asyncpg://u:hush@h/d", "unknown kind of database URL, 'postgresql+asyncpg'"),
        ("~no-such-user/results.db", "there is no user 'no-such-user'"),
    ],
)
def test_urls_that_mean_nothing(url: str, said: str) -> None:
    with pytest.raises((StoreError, UsageError)) as caught:
        locate(url)
    assert said in str(caught.value)
    assert "hush" not in str(caught.value)


def test_no_secret_in_the_error_of_a_server_that_is_not_there() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError) as caught:
        Store.open("postgresql+psycopg://user:hush@127.0.0.1:1/name?passfile=/hush2")
    assert "postgresql+psycopg://user:***@127.0.0.1:1/name cannot be reached" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_without_the_driver_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError) as caught:
        Store.open("postgresql://user:hush@127.0.0.1:1/name")
    assert str(caught.value) == (
        "postgresql+psycopg://user:***@127.0.0.1:1/name needs the driver psycopg, which is not installed: "
        "pip install 'ablate-studies[postgres]'."
    )


MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /home rw,relatime shared:3 - nfs4 server:/home rw,vers=4.2
31 30 254:1 / /home/me/scratch rw - xfs /dev/vdb rw
32 22 0:41 / /mnt/with\\040blank rw - fuse.sshfs me@there: rw
33 22 0:42 / /twice rw - nfs server:/old rw
34 33 254:2 / /twice rw - ext4 /dev/vdc rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"),
        ("/srv/results", "ext4"),
        ("/home/me", "nfs4"),
        ("/homestead", "ext4"),
        ("/home/me/scratch/x", "xfs"),
        ("/mnt/with blank/x", "fuse.sshfs"),
        ("/twice", "ext4"),
    ],
)
def test_the_file_system_of_a_folder(folder: str, kind: str) -> None:
    assert file_system(Path(folder), MOUNTS) == kind


def test_a_network_mount_is_refused_and_says_what_to_use() -> None:
    with pytest.raises(StoreError) as caught:
        places.refuse_network(locate("sqlite:////home/me/results.db"), MOUNTS)
    assert str(caught.value) == (
        "/home/me/results.db lies on a network file system (nfs4), where SQLite can lose results. Use a local disk "
        "(--db or ABLATE_DB), or PostgreSQL: ABLATE_DB=postgresql+psycopg://user:password@host/name."
    )
    places.refuse_network(locate("sqlite:////home/me/scratch/results.db"), MOUNTS)


def test_nothing_is_written_to_a_network_mount(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(places, "file_system", lambda folder, mountinfo=None: "nfs4")
    with pytest.raises(StoreError, match="network file system"):
        Store.open(str(path))
    assert list(path.parent.iterdir()) == []


def test_odd_characters_in_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a?b#c%d e'f.db"
    with Store.open(str(path)) as store:
        assert store.url == str(path)
    with Store.open(str(path), read_only=True) as store:
        assert store.studies() == ()
    assert path.exists()
    assert Location("x", path).beside("-wal").name == "a?b#c%d e'f.db-wal"


def test_what_a_url_says_goes_before_what_we_would_say() -> None:
    url = "postgresql://u:p@h/d?connect_timeout=3&options=-csearch_path%3Dmine&application_name=x"
    given = PostgreSQL(locate(url), 30)._connect_args()
    assert given["options"] == "-c lock_timeout=30000 -csearch_path=mine"
    assert {"connect_timeout", "application_name"}.isdisjoint(given)
    assert (
        given["tcp_user_timeout"] == 25_000
    )  # milliseconds: less than a lease, or its worker would not hear that it lapsed


def test_an_at_sign_in_a_password_is_not_taken_for_the_host() -> None:
    with pytest.raises(StoreError) as caught:
        locate("postgresql://u:hush@hush2@h/d")
    assert "a password's @, : and / are written %40, %3A and %2F" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert locate("postgresql://u:hush%40hush2@h/d").shown == "postgresql+psycopg://u:***@h/d"
