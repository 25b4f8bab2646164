"""The database that is written is the one that was opened: removed, replaced or overwritten, nothing more is written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablate.errors import DatabaseGone
from ablate.store import header
from ablate.store.host import WorkerInfo
from ablate.store.store import Store

Make = Callable[..., Any]


@pytest.fixture
def held(path: Path, empty: Path, make_study: Make) -> tuple[Store, Any]:
    """A store that holds a lease, with the backup `other.db` beside it."""
    shutil.copy(empty, path)
    store = Store.open(str(path))
    key = store.save_study(make_study(3), call_options={})
    store.backup(path.with_name("other.db"))
    return store, store.claim(key, WorkerInfo.here())


def moved(path: Path) -> None:
    path.rename(path.with_name("old.db"))


def replaced(path: Path) -> None:
    os.replace(path.with_name("other.db"), path)


def linked(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("other.db"))


def overwritten(path: Path) -> None:
    shutil.copyfile(path.with_name("other.db"), path)


def folder_gone(path: Path) -> None:
    path.parent.rename(path.parent.with_name(f"{path.parent.name}-elsewhere"))


WAYS = {
    Path.unlink: "was removed", moved: "was removed", folder_gone: "was removed", replaced: "was replaced by another file",
    linked: "was replaced by another file", overwritten: "was overwritten",
}  # fmt: skip


@pytest.mark.parametrize(("how", "said"), WAYS.items(), ids=[how.__name__ for how in WAYS])
@pytest.mark.parametrize("what", ["heartbeat", "waiting"])
def test_every_write_and_look_of_a_writer_notices(held: Any, path: Path, how: Any, said: str, what: str) -> None:
    store, claim = held
    store.heartbeat(claim)
    how(path)
    content = path.read_bytes() if path.exists() else None
    for _ in range(2):
        with pytest.raises(DatabaseGone, match=said) as caught:
            store.heartbeat(claim) if what == "heartbeat" else store.waiting(claim.request_key)
    assert caught.value.exit_code == 6
    store.close()
    assert (path.read_bytes() if path.exists() else None) == content, "nor is the log written into it at the end"


def test_a_link_that_points_elsewhere_now_is_noticed(path: Path, empty: Path, make_study: Make) -> None:
    for name in ("one.db", "two.db"):
        shutil.copy(empty, path.with_name(name))
    path.symlink_to("one.db")
    with Store.open(str(path)) as store:
        store.save_study(make_study(1), call_options={})
        path.unlink()
        path.symlink_to("two.db")
        with pytest.raises(DatabaseGone, match="was replaced"):
            store.save_study(make_study(2), call_options={})


def test_looking_at_the_identity_opens_no_file(held: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To open and close it would drop this process's locks on it."""
    store, claim = held
    store.heartbeat(claim)

    def opened(name: Any, *more: Any) -> int:
        assert Path(name) != path
        return real(name, *more)

    real = os.open
    monkeypatch.setattr(header.os, "open", opened)
    store.heartbeat(claim)
    store.close()


def test_a_reader_follows_the_path(held: Any, path: Path, make_study: Make) -> None:
    store, _ = held
    with Store.open(str(path), read_only=True) as reader:
        assert len(reader.list_runs()) == 3
        with Store.open(str(path.with_name("other.db"))) as other:
            other.save_study(make_study(5), call_options={})
        store.close()
        replaced(path)
        assert len(reader.list_runs()) == 5
