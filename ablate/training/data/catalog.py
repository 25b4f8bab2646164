"""The data sets that are known by name: where each is looked for, how to get it, and what to cite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ablate.errors import BadData, NotFound, nearest
from ablate.training.data import cifar
from ablate.training.data.arrays import callable_source, digits_source, npz_source, synthetic_source
from ablate.training.data.folders import folder_source
from ablate.training.data.source import Source

BACKGROUND = frozenset({"BACKGROUND_Google"})
"""Caltech-101's 102nd folder, which is no class."""

TWICE = frozenset({"Faces_easy"})
"""The pictures of `Faces` once more, cropped: without them 100 unbalanced classes are left."""


@dataclass(frozen=True)
class Known:
    """A data set with a name.

    `places` are tried in order under ABLATE_DATA; `open` gives None where a place holds something else.
    """

    name: str
    classes: int | None
    images: int | None
    places: tuple[str, ...]
    get: str
    cite: str
    open: Callable[[Path], Source | None]


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


def _caltech(name: str, left_out: frozenset[str], place: Path) -> Source | None:
    inner = place / "101_ObjectCategories"
    return folder_source(name, inner if inner.is_dir() else place, left_out) if place.is_dir() else None


def _folder(place: Path) -> Source | None:
    return folder_source("imagefolder", place) if place.is_dir() else None


def _npz(place: Path) -> Source | None:
    return npz_source("npz", place) if place.is_file() else None


_KRIZHEVSKY = "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"
_CIFAR_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_CALTECH_PLACES = ("caltech101/101_ObjectCategories", "caltech-101/101_ObjectCategories", "101_ObjectCategories")
_CALTECH_GET = (
    "ablate data fetch caltech101, or unpack caltech-101.zip from https://data.caltech.edu/records/mzrjq-6wc02 there, "
    "and the 101_ObjectCategories.tar.gz in it"
)
_CALTECH_CITE = "Li, Andreeto, Ranzato and Perona 2022, Caltech 101, doi 10.22002/D1.20086"

KNOWN = {
    known.name: known
    for known in (
        Known(
            "digits",
            10,
            1797,
            (),
            "comes with scikit-learn",
            "Alpaydin and Kaynak 1998, UCI optical recognition of handwritten digits",
            lambda _: digits_source(),
        ),
        Known(
            "cifar10",
            10,
            60_000,
            (
                "cifar-10-batches-bin",
                "cifar-10-batches-py",
                "cifar10/cifar-10-batches-bin",
                "cifar10/cifar-10-batches-py",
                "cifar10.npz",
                "cifar10/cifar10.npz",
            ),
            f"ablate data fetch cifar10, or unpack cifar-10-binary.tar.gz or cifar-10-python.tar.gz from {_CIFAR_PAGE} there",
            _KRIZHEVSKY,
            lambda place: cifar.find("cifar10", place),
        ),
        Known(
            "cifar100",
            100,
            60_000,
            (
                "cifar-100-binary",
                "cifar-100-python",
                "cifar100/cifar-100-binary",
                "cifar100/cifar-100-python",
                "cifar100.npz",
                "cifar100/cifar100.npz",
            ),
            f"ablate data fetch cifar100, or unpack cifar-100-binary.tar.gz or cifar-100-python.tar.gz from {_CIFAR_PAGE} there",
            _KRIZHEVSKY,
            lambda place: cifar.find("cifar100", place),
        ),
        Known(
            "caltech101",
            101,
            8677,
            _CALTECH_PLACES,
            _CALTECH_GET,
            _CALTECH_CITE,
            partial(_caltech, "caltech101", BACKGROUND),
        ),
        Known(
            "caltech100",
            100,
            8242,
            _CALTECH_PLACES,
            f"Caltech-101 without Faces_easy: {_CALTECH_GET}",
            _CALTECH_CITE,
            partial(_caltech, "caltech100", BACKGROUND | TWICE),
        ),
        Known(
            "imagefolder",
            None,
            None,
            (),
            "set data.path to a folder of class folders, or of train/ and val/ or test/",
            "",
            _folder,
        ),
        Known("npz", None, None, (), "set data.path to an npz file with MedMNIST's keys", "", _npz),
        Known("synthetic", 10, 512, (), "made when it is used", "", lambda _: synthetic_source()),
    )
}


def find_source(name: str, path: str | None, data_root: Path) -> Source:
    """The data set `name`, at `path` under `data_root` (ABLATE_DATA) where one is given, else where it is looked for.

    Raises `NotFound`, and `BadData` where something is there that cannot be read as this data set.
    """
    if ":" in name:
        return callable_source(name, data_root / path if path else data_root)
    known = KNOWN.get(name)
    if known is None:
        allowed = ", ".join(KNOWN)
        raise NotFound(
            f"unknown data set {name!r}; allowed: {allowed} and package.module:callable.{nearest(name, KNOWN)}"
        )
    if name in ("digits", "synthetic"):
        source = known.open(data_root)
    elif path is None and not known.places:
        raise BadData(f"data set {name!r} needs data.path, relative to ABLATE_DATA ({data_root}): {known.get}")
    else:
        places = [path] if path is not None else list(known.places)
        source = next((found for place in places if (found := known.open(data_root / place)) is not None), None)
        if source is None:
            raise NotFound(_missing(known, places, data_root))
    assert source is not None
    return source


def _missing(known: Known, places: list[str], data_root: Path) -> str:
    return (
        f"data set {known.name!r} is not there: looked for {', '.join(places)} in {data_root} "
        f"(the folder that ABLATE_DATA names). To get it: {known.get}; or set ABLATE_DATA to the folder that holds it"
    )


def list_datasets(data_root: Path, home: Path) -> list[DatasetRow]:
    """The known data sets for `ablate data list`: present in `data_root` or not, and how often decoded in `home`."""
    return [
        DatasetRow(k.name, k.classes, k.images, k.places, _present(k, data_root), _copies(k, home), k.get, k.cite)
        for k in KNOWN.values()
    ]


def _present(known: Known, data_root: Path) -> bool:
    made_here = not known.places and known.images is not None
    return made_here or any((data_root / place).exists() for place in known.places)


def _copies(known: Known, home: Path) -> int:
    return sum(1 for meta in (home / "cache").glob(f"{known.name}-*/meta.json"))
