"""Arrays out of an npz file: no pickle, and no more memory than the file can fill."""

from __future__ import annotations

import lzma
import os
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ablate.errors import BadData
from ablate.parts.reading.contents import LENGTH, looks_like

Arrays = dict[str, npt.NDArray[Any]]
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, ValueError, EOFError, RuntimeError)


def load_npz(path: Path, keys: Collection[str], allowed: str) -> tuple[Arrays, list[str]]:
    """The arrays of `path` under those of `keys` that it has, and all keys that it has. Raises `BadData`.

    What an array's header declares is held against the bytes that are there and the machine's memory before it is loaded.
    """
    try:
        _check_kind(path, allowed)
        with np.load(path, allow_pickle=False) as opened:
            found = list(opened)
            wanted = [key for key in found if key in keys]
            _check_memory(path, sum(_declared(path, opened.zip, key) for key in wanted))
            return {key: _member(opened, key, path) for key in wanted}, found
    except MemoryError:
        raise BadData(f"{path}: does not fit into memory; save it with fewer or smaller images") from None
    except _BROKEN as error:
        raise _broken(path, str(error)) from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise _broken(path, str(error)) from None


def _broken(path: Path, why: str) -> BadData:
    return BadData(f"{path}: not a readable npz file ({why}); fetch it again or save it with numpy.savez")


def _check_kind(path: Path, allowed: str) -> None:
    with path.open("rb") as file:
        start = file.read(LENGTH)
    if start.startswith(b"\x93NUMPY"):
        raise BadData(f"{path}: holds one bare array; allowed: {allowed}")
    if not zipfile.is_zipfile(path):
        cut = "a truncated zip archive" if start.startswith(b"PK") else ""
        raise _broken(path, f"it is {cut or looks_like(start) or 'not a zip archive'}")


def _declared(path: Path, archive: zipfile.ZipFile, key: str) -> int:
    """The bytes of one array by its header, once that many are there."""
    there = archive.namelist()
    info = archive.getinfo(f"{key}.npy" if f"{key}.npy" in there else key)
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = header(member)
        left = info.file_size - member.tell()
    if kind.hasobject:
        return 0
    size = kind.itemsize
    for side in shape:
        size *= side
    if size > left:
        raise BadData(
            f"{path}: {key} says that it is {kind} of shape {shape}, {size:,} bytes, and holds {left:,}; "
            "fetch it again or save it with numpy.savez"
        )
    return size


def _check_memory(path: Path, size: int) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise BadData(
            f"{path}: unpacks to {size / 1e9:,.1f} GB, but this machine has {memory / 1e9:,.1f} GB of memory; "
            "save it with fewer or smaller images, or as an image folder"
        )


def _member(opened: np.lib.npyio.NpzFile, key: str, path: Path) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = opened[key]
    except ValueError as error:
        if "pickle" not in str(error) and "Object" not in str(error):
            raise
        raise BadData(
            f"{path}: {key} holds Python objects (a pickle), which are never loaded because they can run code; "
            "save it as an array of numbers or text"
        ) from None
    return array
