"""Your own arrays: an npz file with MedMNIST's keys.

Form     train_images and train_labels, and val_ and test_ ones where there are such parts; class_names if you like. Images are
         uint8 (N, H, W) or (N, H, W, 1 or 3), labels whole numbers from 0. train_ alone has no official split.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablate.parts.declare import DataSet

if TYPE_CHECKING:
    from ablate.parts.reading.source import Source


def open_npz(place: Path) -> Source | None:
    """The npz file at `place`."""
    from ablate.parts.reading.arrays import npz_source

    return npz_source("npz", place) if place.is_file() else None


PART = DataSet(name="npz", open=open_npz, get="set data.path to an npz file with MedMNIST's keys")
