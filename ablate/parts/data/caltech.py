"""Caltech-101: photographs of objects.

Paper    Li, Fergus and Perona 2004, "Learning generative visual models from few training examples".
Form     One folder a class; BACKGROUND_Google, the 102nd, is no class. `Faces_easy` is the pictures of `Faces` once more,
         cropped: without it 8,242 images in 100 unbalanced classes are left (`caltech100`). No official split.
When     Transfer from ImageNet, and small studies of photographs: 31 to 800 images a class.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.parts.declare import FRACTIONS, Archive, DataSet

if TYPE_CHECKING:
    from ablate.parts.reading.source import Source

BACKGROUND = frozenset({"BACKGROUND_Google"})
TWICE = frozenset({"Faces_easy"})


def open_caltech(name: str, left_out: frozenset[str], place: Path) -> Source | None:
    """The class folders in `place`, or in 101_ObjectCategories there, but those in `left_out`."""
    from ablate.parts.reading.folders import folder_source

    inner = place / "101_ObjectCategories"
    return folder_source(name, inner if inner.is_dir() else place, left_out) if place.is_dir() else None


PLACES = ("caltech101/101_ObjectCategories", "caltech-101/101_ObjectCategories", "101_ObjectCategories")
GET = (
    "ablate data fetch caltech101, or unpack caltech-101.zip from https://data.caltech.edu/records/mzrjq-6wc02 there, "
    "and the 101_ObjectCategories.tar.gz in it"
)
CITE = "Li, Andreeto, Ranzato and Perona 2022, Caltech 101, doi 10.22002/D1.20086"
# the address and the sum as in torchvision 0.29 (datasets/caltech.py)
ARCHIVE = Archive(
    url="https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
    file="caltech-101.zip",
    md5="3138e1922a9193bfa496528edbbc45d0",
    folder="101_ObjectCategories",
    place="caltech101/101_ObjectCategories",
    inner="101_ObjectCategories.tar.gz",
)

PARTS = (
    DataSet(
        name="caltech101",
        open=partial(open_caltech, "caltech101", BACKGROUND),
        classes=101,
        images=8677,
        places=PLACES,
        official=(),
        split=FRACTIONS,
        archive=ARCHIVE,
        get=GET,
        cite=CITE,
    ),
    DataSet(
        name="caltech100",
        open=partial(open_caltech, "caltech100", BACKGROUND | TWICE),
        classes=100,
        images=8242,
        places=PLACES,
        official=(),
        split=FRACTIONS,
        archive=ARCHIVE,
        about="without `Faces_easy`",
        get=f"Caltech-101 without Faces_easy: {GET}",
        cite=CITE,
    ),
)
