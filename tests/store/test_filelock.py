from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import pytest

from ablate.errors import StoreError
from ablate.store import filelock
from ablate.store.filelock import file_lock


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "results.db.lock"


def test_one_holder_at_a_time(lock: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(20):
            with file_lock(lock, "results.db", 5):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 80


def test_a_wait_has_an_end_and_the_lock_is_free_afterwards(lock: Path) -> None:
    with file_lock(lock, "results.db", 5), pytest.raises(StoreError) as caught, file_lock(lock, "results.db", 0.02):
        pass
    assert str(caught.value) == (
        f"results.db is locked: process {os.getpid()} has been writing to it for 0.02 s. "
        "Wait for that process or end it, then try again; nothing was lost."
    )
    with file_lock(lock, "results.db", 5):
        pass


def test_a_long_wait_is_said_once(
    lock: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(filelock, "PATIENCE", 0.01)
    with (
        caplog.at_level(logging.WARNING, "ablate.store"),
        file_lock(lock, "results.db", 5),
        pytest.raises(StoreError),
        file_lock(lock, "results.db", 0.05),
    ):
        pass
    assert caplog.messages == [f"waiting for results.db: process {os.getpid()} is writing to it"]


def test_a_process_forked_meanwhile_does_not_keep_the_lock(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inherited = []

    def remember(path: Path) -> int:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        inherited.append(os.dup(descriptor))  # what a fork leaves in the child
        return descriptor

    monkeypatch.setattr(filelock, "_open", remember)
    with file_lock(lock, "results.db", 5):
        pass
    with file_lock(lock, "results.db", 0.02):
        pass
    for descriptor in inherited:
        os.close(descriptor)


def test_no_link_is_followed(lock: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    lock.symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"), file_lock(lock, "results.db", 1):
        pass
