"""`ablate data verify`: whether a data set that is here is whole, by checksums and by the official counts.

`whole`: all official images, and the official bytes where their checksums are known. `incomplete`: it can be used, and
images are missing. `broken`: it cannot be read, or it is not what its name says. Nothing that trains imports this
module.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ablate.errors import BadData, NotFound
from ablate.parts.declare import DataSet
from ablate.parts.found import parts
from ablate.parts.reading.source import Reading, Source, some
from ablate.training.data.catalog import find_source
from ablate.training.data.fetch import md5, official, source_place

SIDE = 32
"""Pixels that images of different sizes are brought to when they are opened."""


@dataclass(frozen=True)
class Verdict:
    """What was found of one data set: `state` is whole, incomplete or broken, and why is in `problems`.

    `images` and `classes` are None where they cannot be counted. `decoded` says whether every image was opened.
    """

    name: str
    state: str
    where: str
    form: str
    images: int | None
    official_images: int
    classes: int | None
    official_classes: int
    decoded: bool
    problems: tuple[str, ...]
    get: str


@dataclass
class _Found:
    """What is filled while a data set is looked at: faults make it broken, gaps incomplete."""

    faults: list[str]
    gaps: list[str]
    form: str = ""
    images: int | None = None
    classes: int | None = None
    decoded: bool = False


def verify(name: str, root: Path, decode: bool = False) -> Verdict | None:
    """Whether the data set `name` under `root` (ABLATE_DATA) is whole; None for one that is made when it is used.

    `decode` opens every image of a folder; images that lie as arrays are always read. Raises `NotFound` where the data
    set is not there and `UsageError` for data of the user's own.
    """
    known, found = official(name), _Found([], [])
    if known.embedded:
        return None
    where = ""
    try:
        source = find_source(name, None, root)
        where, found.form = source.where, source.form
        if known.each:
            _look_at_arrays(known, source, found)
        else:
            _look_at_folder(known, source, found, decode)
    except BadData as error:
        found.faults.append(str(error))
    return _verdict(known, where or str(_first_place(known, root)), found)


def verify_all(root: Path, decode: bool = False) -> list[Verdict]:
    """A verdict for each known data set that is in `root`, in the order of their names."""
    verdicts = (
        verify(known.name, root, decode) for known in parts(DataSet).values() if known.places and _is_there(known, root)
    )
    return [verdict for verdict in verdicts if verdict is not None]


def _is_there(known: DataSet, root: Path) -> bool:
    try:
        return source_place(known, root) is not None
    except BadData:
        return True


def _first_place(known: DataSet, root: Path) -> Path:
    """Where something lies that could not be opened."""
    return next((root / place for place in known.places if (root / place).exists()), root)


def _verdict(known: DataSet, where: str, found: _Found) -> Verdict:
    assert known.images is not None
    assert known.classes is not None
    return Verdict(
        known.name,
        "broken" if found.faults else "incomplete" if found.gaps else "whole",
        where,
        found.form,
        found.images,
        known.images,
        found.classes,
        known.classes,
        found.decoded,
        (*found.faults, *found.gaps),
        f"ablate data fetch {known.name} --force gets the official files" if known.archive else known.get,
    )


def _look_at_arrays(known: DataSet, source: Source, found: _Found) -> None:
    """Images that lie as arrays: checksums, then shape, labels and images of each class."""
    found.faults += _wrong_sums(known, source)
    reading = source.read(None)
    found.classes = len(reading.classes)
    if found.classes != known.classes:
        found.faults.append(f"{found.classes} classes, expected {known.classes}")
        return
    counts = _count(reading, known, found)
    found.images = int(sum(count.sum() for count in counts.values()))
    found.decoded = True
    for part in counts:
        if part not in known.each:
            found.faults.append(f"has a part {part!r}; the official parts are {' and '.join(known.each)}")
    for part, each in known.each.items():
        _compare(part, each, counts.get(part, np.zeros(found.classes, dtype=np.int64)), reading.classes, found)


def _wrong_sums(known: DataSet, source: Source) -> Iterator[str]:
    if source.form != known.summed:
        return
    for file, expected in known.sums.items():
        path = Path(source.where) / file
        if not path.is_file():
            yield f"{file} is missing"
        elif (got := md5(path)) != expected:
            yield f"{file} is not the official file: its MD5 is {got}, expected {expected}"


def _count(reading: Reading, known: DataSet, found: _Found) -> dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """int64 (classes,) images of each class, by part."""
    counts: dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]] = {}
    for block in reading.blocks:
        if known.shape and block.images.shape[1:] != known.shape:
            raise BadData(f"{block.part}: images of shape {block.images.shape[1:]}, expected {known.shape}")
        more = np.bincount(block.labels, minlength=len(reading.classes))
        counts[block.part] = counts[block.part] + more if block.part in counts else more
    return counts


def _compare(
    part: str, each: int, counts: np.ndarray[tuple[int], np.dtype[np.int64]], classes: tuple[str, ...], found: _Found
) -> None:
    missing = [f"{each - n:,} of {c}" for c, n in zip(classes, counts.tolist(), strict=True) if n < each]
    beyond = [f"{n - each:,} of {c}" for c, n in zip(classes, counts.tolist(), strict=True) if n > each]
    have = f"{part}: {int(counts.sum()):,} of {each * len(classes):,} images"
    if missing:
        found.gaps.append(f"{have}; missing: {some(missing, 10)}")
    if beyond:
        found.faults.append(f"{have}; more than the official ones: {some(beyond, 10)}")


def _look_at_folder(known: DataSet, source: Source, found: _Found, decode: bool) -> None:
    """An image folder: classes and images by the files' names; `decode` opens every one as training would."""
    assert known.images is not None
    assert known.classes is not None
    reading = source.read(SIDE)
    found.images, found.classes = reading.total, len(reading.classes)
    for count, right, what in ((found.classes, known.classes, "classes"), (found.images, known.images, "images")):
        if count < right:
            found.gaps.append(f"{count:,} of {right:,} {what}")
        elif count > right:
            found.faults.append(f"{count:,} {what}, the official number is {right:,}")
    if decode:
        found.decoded = True
        bad = [failed for block in reading.blocks for failed in block.bad]
        found.faults += [f"{path} cannot be opened: {reason}" for path, reason in bad]


def require_any(verdicts: list[Verdict], root: Path) -> None:
    """Raises `NotFound` with what to do where there is no verdict at all."""
    if not verdicts:
        raise NotFound(
            f"none of the known data sets is in {root} (the folder that ABLATE_DATA names). "
            "ablate data list shows what is looked for, ablate data fetch NAME gets one"
        )
