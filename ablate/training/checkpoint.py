"""Checkpoints and final weights: files that are either whole or not there.

A checkpoint is written to a temporary file beside its place, flushed to the disk and renamed; its name holds the step and
the SHA-256 of its bytes, so one rename publishes both. The newest two are kept: one that is damaged falls back to the one
before. Files are read with `weights_only=True`, so none of them can run code.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from ablate.errors import NoSpaceOrPermission

KEPT = 2
_PREFIX = "checkpoint-"
_TEMPORARY = ".ablate-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def save_checkpoint(folder: Path, step: int, state: Mapping[str, Any]) -> Path:
    """Write the state after `step` steps and drop all but the newest two. Raises NoSpaceOrPermission, naming the path."""
    path = _write(folder, lambda digest: f"{_PREFIX}{step:09d}-{digest}.pt", state)[0]
    for old in _newest_first(folder)[KEPT:]:
        _remove(old)
    return path


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest whole checkpoint, its tensors on the CPU; None where there is none. Leftovers of a crash are removed."""
    for path in _newest_first(folder):
        state = _read(path)
        if state is not None:
            return state
        _remove(path)
    return None


def delete_checkpoints(folder: Path) -> None:
    """Remove all checkpoints, and what interrupted writes left behind."""
    for path in [*_newest_first(folder), *folder.glob(f"{_TEMPORARY}*.tmp")]:
        _remove(path)


def save_weights(folder: Path, name: str, state: Mapping[str, torch.Tensor]) -> tuple[Path, int, str]:
    """Write a plain state dict under `name`; gives path, bytes and SHA-256. Raises NoSpaceOrPermission, naming the path."""
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    return _write(folder, lambda digest: name, tensors)


def write_text(path: Path, text: str) -> None:
    """Write a small file the same way: whole or not at all."""
    with _publish(path.parent) as (file, target):
        file.write(text.encode())
        target.append(path.name)


def _write(folder: Path, name: Any, state: Any) -> tuple[Path, int, str]:
    with _publish(folder) as (file, target):
        hashing = _HashingFile(file)
        torch.save(state, cast(BinaryIO, hashing))
        if hashing.error is not None:
            raise hashing.error
        digest = hashing.digest.hexdigest()
        target.append(name(digest))
    return folder / target[0], hashing.size, digest


@contextlib.contextmanager
def _publish(folder: Path) -> Iterator[tuple[BinaryIO, list[str]]]:
    """A temporary file in `folder`, and a list for its final name: renamed at the end, removed on any error."""
    temporary = folder / f"{_TEMPORARY}{os.getpid()}.tmp"
    target: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file, target
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / target[0])
        _sync_folder(folder)
    except OSError as error:
        _remove(temporary)
        if error.errno in _FULL | _DENIED:
            raise _explained(error, folder) from error
        raise
    except BaseException:
        _remove(temporary)
        raise


def _explained(error: OSError, folder: Path) -> NoSpaceOrPermission:
    if error.errno in _DENIED:
        return NoSpaceOrPermission(
            f"cannot write into {folder}: {error.strerror}; set ABLATE_HOME to a folder you can write to"
        )
    return NoSpaceOrPermission(
        f"no space to write into {folder}: {error.strerror}; free some or set ABLATE_HOME "
        "to another disk, then run again; the previous checkpoint is intact"
    )


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut; folders cannot be opened on every system."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_PREFIX}*.pt"), key=lambda path: path.name, reverse=True)


def _read(path: Path) -> dict[str, Any] | None:
    """The state in `path`, or None where its bytes are not those that were written."""
    try:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != path.stem.rpartition("-")[2]:
                return None
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        return None
    return state if isinstance(state, dict) else None


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


class _HashingFile:
    """A file to write to that knows the SHA-256 of what went through.

    An error is kept for later: raised inside `torch.save`, it would cross the C++ writer, which replaces it by its own.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        size = len(data)
        self.digest.update(data)
        self.size += size
        if self.error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self.error = error
        return size

    def flush(self) -> None:
        """Flushed by `_publish`."""
