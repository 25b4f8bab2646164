"""The first bytes of a file, and the descriptor that stays open as long as this process has the file open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ablate.store.header import Header
from ablate.store.store import Store


def opened(path: Path) -> int:
    """How many descriptors of this process lead to the file."""
    links = [Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd")]
    return sum(1 for link in links if link.is_symlink() and os.readlink(link).startswith(str(path)))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc here")
def test_a_file_stays_open_until_its_last_user_is_done(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"SQLite" + b"." * 100)
    one, other = Header(), Header()
    assert one.read(file) == one.read(file) == other.read(file) == b"SQLite" + b"." * 14
    assert opened(file) == 1
    one.release()
    one.release()
    assert opened(file) == 1
    file.unlink()
    file.write_bytes(b"another file")
    assert other.read(file) == b"another file"
    assert opened(file) == 2  # the deleted one too: its number must not come again
    other.release()
    assert opened(file) == 0
    with pytest.raises(FileNotFoundError):
        one.read(tmp_path / "none")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc here")
@pytest.mark.parametrize("read_only", [True, False])
def test_a_closed_store_leaves_nothing_open(empty: Path, read_only: bool) -> None:
    with Store.open(str(empty), read_only=read_only) as store:
        store.studies()
        assert opened(empty) > 0
    assert opened(empty) == 0
