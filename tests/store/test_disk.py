"""A disk that fills up while results are written."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ablate.errors import NoSpaceOrPermission
from ablate.store.store import Store
from ablate.study.records import EpochRecord, Outcome

Make = Callable[..., Any]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; only root can mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(store: Store, claim: Any) -> int:
    """Record epochs until the disk is full; the last that was recorded."""
    for epoch in range(1, 10_000):
        try:
            store.record_epoch(claim, [EpochRecord(epoch, "val", {f"metric{i}": 0.5 for i in range(200)})])
        except NoSpaceOrPermission as error:
            said = str(error)
            assert "results.db cannot be written (" in said
            assert "Free space there (or raise the limit on file sizes) and start again" in said
            return epoch - 1
    raise AssertionError("the disk never filled up")


def check_recovery(store: Store, claim: Any, last: int) -> None:
    """With space again, the same worker goes on; nothing of what was acknowledged is gone."""
    store.record_epoch(claim, [EpochRecord(last + 1, "val", {"metric0": 0.5})])
    store.finish(claim, Outcome({"top1": 0.5}), 1.0)
    result = store.find(claim.run.run_id)
    assert result.state == "done"
    assert list(result.epochs) == list(range(1, last + 2))
    assert store.check() == []


def test_a_full_disk_loses_nothing_that_was_recorded(small_disk: Path, make_study: Make, remote: Make) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    with Store.open(str(small_disk / "results.db")) as store:
        claim = store.claim(store.save_study(make_study(1), call_options={}), remote(), ttl=1e6)
        last = fill(store, claim)
        with Store.open(str(small_disk / "results.db"), read_only=True) as reader:
            assert reader.check() == []
            assert list(reader.results([claim.run.run_id])[claim.run.run_id].epochs) == list(range(1, last + 1))
        ballast.unlink()
        check_recovery(store, claim, last)


def test_a_limit_on_file_sizes_loses_nothing_that_was_recorded(path: Path, make_study: Make, remote: Make) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Store.open(str(path)) as store:
        claim = store.claim(store.save_study(make_study(1), call_options={}), remote(), ttl=1e6)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
        try:
            last = fill(store, claim)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        check_recovery(store, claim, last)


def test_a_database_cannot_be_made_on_a_full_disk(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        (small_disk / "ballast").write_bytes(b"x" * 2_000_000)
    with pytest.raises(NoSpaceOrPermission):
        Store.open(str(small_disk / "results.db"))
    (small_disk / "ballast").unlink()
    with Store.open(str(small_disk / "results.db")) as store:
        assert store.check() == []


def test_a_backup_that_does_not_fit_leaves_no_half_file(small_disk: Path, path: Path, make_study: Make) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_000_000)
    with Store.open(str(path)) as store:
        store.save_study(make_study(100), call_options={})
        with pytest.raises(NoSpaceOrPermission):
            store.backup(small_disk / "copy.db")
    assert list(small_disk.iterdir()) == [ballast]
