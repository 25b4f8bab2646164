"""Checkpoints: whole or not there, newest two kept, nothing executed."""

from __future__ import annotations

import hashlib
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_texts import raising

from ablate.errors import NoSpaceOrPermission
from ablate.training import checkpoint
from ablate.training.checkpoint import delete_checkpoints, load_checkpoint, save_checkpoint, save_weights


def state(number: int) -> dict[str, Any]:
    return {"number": number, "tensor": torch.arange(3000), "nested": {"list": [1.5, None, "text"]}}


def number(folder: Path) -> int | None:
    found = load_checkpoint(folder)
    return None if found is None else int(found["number"])


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "new", 7, state(7))
    found = load_checkpoint(tmp_path / "new")
    assert found is not None
    assert torch.equal(found.pop("tensor"), torch.arange(3000))
    assert found == {"number": 7, "nested": {"list": [1.5, None, "text"]}}


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    assert load_checkpoint(tmp_path / "absent") is None
    delete_checkpoints(tmp_path / "absent")


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (9, 10, 100):
        save_checkpoint(tmp_path, step, state(step))
    assert [path.name[:20] for path in sorted(tmp_path.iterdir())] == ["checkpoint-000000010", "checkpoint-000000100"]
    assert number(tmp_path) == 100


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "renamed"])
def test_a_damaged_one_falls_back_to_the_one_before(damage: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, state(1))
    newest = save_checkpoint(tmp_path, 2, state(2))
    whole = newest.read_bytes()
    if damage == "renamed":
        newest.rename(tmp_path / f"checkpoint-000000002-{'0' * 64}.pt")
    else:
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 1
        newest.write_bytes({"truncated": whole[:-1], "flipped": bytes(flipped), "empty": b""}[damage])
    assert number(tmp_path) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_two_damaged_ones_leave_none(tmp_path: Path) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, step, state(step)).write_bytes(b"x")
    assert number(tmp_path) is None


def test_a_checkpoint_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    """A file with the right digest that holds another class: `weights_only` refuses it."""
    save_checkpoint(tmp_path, 1, state(1))
    save_checkpoint(tmp_path, 2, {"number": 2, "trap": Path("harmless")})
    assert number(tmp_path) == 1


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_crash_while_writing_leaves_the_one_before(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, 1, state(1))

    def crash(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.os, moment, crash)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, 2, state(2))
    assert number(tmp_path) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    sync, replace = os.fsync, os.replace

    def traced_sync(descriptor: int) -> None:
        calls.append("sync folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "sync file")
        sync(descriptor)

    def traced_replace(source: Path, target: Path) -> None:
        assert Path(source).parent == Path(target).parent
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(checkpoint.os, "fsync", traced_sync)
    monkeypatch.setattr(checkpoint.os, "replace", traced_replace)
    save_checkpoint(tmp_path, 1, state(1))
    assert calls == ["sync file", "rename", "sync folder"]


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Files of this process cannot grow beyond `size` bytes: the kernel then refuses to write, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_names_the_path_and_keeps_the_one_before(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, state(1))
    with file_size_limit(4096), pytest.raises(NoSpaceOrPermission, match="File too large") as full:
        save_checkpoint(tmp_path, 2, state(2))
    assert full.value.exit_code == 8
    assert number(tmp_path) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*arguments: Any, **named: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    with raising(NoSpaceOrPermission):
        save_checkpoint(tmp_path / "x", 1, state(1))


def test_leftovers_of_a_crash_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".ablate-1234.tmp").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    save_checkpoint(tmp_path, 1, state(1))
    delete_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_weights_are_recorded_with_size_and_digest(tmp_path: Path) -> None:
    tensors = {"a": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)}
    path, size, digest = save_weights(tmp_path, "model-last.pt", tensors)
    assert (path.name, size) == ("model-last.pt", path.stat().st_size)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    loaded = torch.load(path, weights_only=True)["a"]
    assert torch.equal(loaded, tensors["a"])
    assert loaded.is_contiguous()
