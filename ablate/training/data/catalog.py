"""The data sets that are known by name: where each is looked for, how to get it, and what to cite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ablate.errors import BadData, NotFound, nearest
from ablate.parts.declare import DataSet
from ablate.parts.found import parts
from ablate.parts.reading.arrays import KEYS, Arrays, arrays_reading
from ablate.parts.reading.source import Reading, Source
from ablate.training.registry import find_callable


@dataclass(frozen=True)
class DatasetRow:
    """One line of `ablate data list`; `classes` and `images` are the official counts, None where the user brings the
    data.

    `places` are tried in order under ABLATE_DATA; `copies` counts decoded copies (one for each image size).
    """

    name: str
    classes: int | None
    images: int | None
    places: tuple[str, ...]
    present: bool
    copies: int
    get: str
    cite: str


def find_source(name: str, path: str | None, data_root: Path) -> Source:
    """The data set `name`, at `path` under `data_root` (ABLATE_DATA) where one is given, else where it is looked for.

    Raises `NotFound`, and `BadData` where something is there that cannot be read as this data set.
    """
    if ":" in name:
        return callable_source(name, data_root / path if path else data_root)
    known = parts(DataSet).get(name)
    if known is None:
        allowed = ", ".join(parts(DataSet))
        raise NotFound(
            f"unknown data set {name!r}; allowed: {allowed} and package.module:callable.{nearest(name, parts(DataSet))}",
            code="unknown-data-set",
        )
    if path is None and known.needs_path:
        raise BadData(f"data set {name!r} needs data.path, relative to ABLATE_DATA ({data_root}): {known.get}")
    places = ["."] if known.embedded else [path] if path is not None else list(known.places)
    source = next((found for place in places if (found := known.open(data_root / place)) is not None), None)
    if source is None:
        raise NotFound(_missing(known, places, data_root), code="absent-data-set")
    return source


def _missing(known: DataSet, places: list[str], data_root: Path) -> str:
    return (
        f"data set {known.name!r} was not found: looked for {', '.join(places)} in {data_root} "
        f"(the folder that ABLATE_DATA names). To get it: {known.get}; or set ABLATE_DATA to the folder that holds it"
    )


def callable_source(name: str, path: Path) -> Source:
    """`package.module:callable`, called with the folder or file (`data.path` under ABLATE_DATA), gives MedMNIST's keys.

    It must give the same arrays whenever it is called with the same path: the digest shows where it does not.
    """
    try:
        function: Callable[[Path], Arrays] = find_callable(name)
    except (ImportError, LookupError, ValueError) as error:
        raise NotFound(
            f"data.name {name!r}: {error}; it must be package.module:callable, importable from the environment, the "
            "study's folder or the current folder"
        ) from None

    def read(image_size: int | None) -> Reading:
        arrays = function(path)
        if not isinstance(arrays, Mapping) or not all(isinstance(value, np.ndarray) for value in arrays.values()):
            raise BadData(f"{name}: must return a mapping of {KEYS} to numpy arrays, not {type(arrays).__name__}")
        return arrays_reading(arrays, name, image_size)

    return Source(name, "callable", name, None, read)


def list_datasets(data_root: Path, home: Path) -> list[DatasetRow]:
    """The known data sets for `ablate data list`: present in `data_root` or not, and how often decoded in `home`."""
    return [
        DatasetRow(k.name, k.classes, k.images, k.places, _present(k, data_root), _copies(k, home), k.get, k.cite)
        for k in parts(DataSet).values()
    ]


def _present(known: DataSet, data_root: Path) -> bool:
    return known.embedded or any((data_root / place).exists() for place in known.places)


def _copies(known: DataSet, home: Path) -> int:
    return sum(1 for meta in (home / "cache").glob(f"{known.name}-*/meta.json"))
