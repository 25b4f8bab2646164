"""A disk that fills up under a whole `grid run`: the place is named, what was done stays, and it goes on with room again."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablate.store.store import Store
from ablate.training import checkpoint

INLINE = ("--executor", "inline", "--threads", "1")


def fill_up(disk: Path) -> Path:
    """A file that takes all the space that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


def results(url: str | None = None) -> dict[str, Any]:
    """Everything known of the runs that are done, by run."""
    with Store.open(url or os.environ["ABLATE_DB"], read_only=True) as store:
        assert store.check() == []
        done = [result.run.run_id for result in store.list_runs(states=["done"])]
        return store.results(done)


@pytest.fixture
def full_from() -> Callable[[pytest.MonkeyPatch, int], None]:
    """No space for files of the trainer from their n-th write on."""

    def patch(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        sync, calls = os.fsync, iter(range(1, 10**6))

        def full(descriptor: int) -> None:
            if next(calls) >= number:
                raise OSError(errno.ENOSPC, "No space left on device")
            sync(descriptor)

        monkeypatch.setattr(checkpoint.os, "fsync", full)

    return patch


@pytest.mark.slow
def test_no_space_for_weights_leaves_the_done_runs_and_goes_on(
    call, tiny: Path, full_from, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tiny.write_text(tiny.read_text() + "keep: last\n")
    with monkeypatch.context() as patched:
        full_from(patched, 5)  # the first run writes two files, and syncs each and its folder
        said = call("grid", "run", tiny, *INLINE, code=8)
    assert f"error: no space to write into {tmp_path / 'home' / 'runs'}" in said.err
    assert "No space left on device; free some or set ABLATE_HOME to another disk, then run again" in said.err
    assert "Free some space or grant access, then start again." in said.err
    assert said.err.splitlines()[-1] == f"3 runs left: ablate grid run {tiny}"
    (before,) = results().values()
    assert not list((tmp_path / "home").rglob("*.tmp"))
    call("grid", "run", tiny, *INLINE)
    after = results()
    assert len(after) == 4
    assert after[before.run.run_id] == before
    assert sorted(len(result.attempts) for result in after.values()) == [1, 1, 1, 2]


@pytest.mark.slow
def test_no_space_for_the_database_leaves_the_done_runs_and_goes_on(
    call, tiny: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABLATE_DB", f"sqlite:///{small_disk}/results.db")
    finish, filler = Store.finish, small_disk / "filler"

    def last_before_it_is_full(self: Store, *arguments: Any) -> None:
        finish(self, *arguments)
        fill_up(small_disk)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "finish", last_before_it_is_full)
        said = call("grid", "run", tiny, *INLINE, code=8)
    assert f"error: {small_disk}/results.db cannot be written (database or disk is full): " in said.err
    assert f"bytes are free in {small_disk}. Free space there (or raise the limit on file sizes) and start" in said.err
    assert call("report", "tiny", "--format", "md").err.startswith("tiny, full scale: 1 of 4 runs done")
    (before,) = results().values()
    filler.unlink()
    call("grid", "run", tiny, *INLINE)
    after = results()
    assert len(after) == 4
    assert after[before.run.run_id] == before


@pytest.mark.slow
def test_a_disk_that_fills_up_under_worker_processes(start, call, tiny: Path, small_disk: Path) -> None:
    url = f"sqlite:///{small_disk}/results.db"
    options = ("--threads", "1", "--workers", "1", "--set", "epochs=8", "--db", url)
    grid = start("grid", "run", tiny, *options)
    assert any(line.startswith("[1/4] done") for line in grid.stderr)
    filler = fill_up(small_disk)
    _, err = grid.communicate(timeout=120)
    assert grid.returncode == 8, err
    assert f"error: {small_disk}/results.db cannot be written (" in err
    assert "Traceback" not in err
    before = results(url)
    assert before
    filler.unlink()
    call("grid", "run", tiny, *options)
    after = results(url)
    assert len(after) == 4
    assert {run: after[run] for run in before} == before


def test_no_space_for_a_report_leaves_the_old_one(call, tiny: Path, fill, small_disk: Path) -> None:
    fill(tiny, lambda arm, seed: {"top1": 0.5, "top5": 0.9} if seed else None)
    page = small_disk / "tiny.md"
    call("report", "tiny", "--format", "md", "--out", page)
    before = page.read_bytes()
    filler = fill_up(small_disk)
    fill(tiny)
    for target in (page, small_disk / "new.html"):
        said = call("report", "tiny", "--format", target.suffix.lstrip("."), "--out", target, code=8)
        reason = "the disk is full. Free some space, or write elsewhere with --out."
        assert said.err.splitlines()[-1] == f"error: cannot write {target}: {reason}"
    assert page.read_bytes() == before
    assert sorted(path.name for path in small_disk.iterdir()) == ["filler", "tiny.md"]
    filler.unlink()
    call("report", "tiny", "--format", "md", "--out", page)
    assert page.read_bytes() != before
