"""Your own images: one folder a class, alone or in each of train/ and val/ or test/."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablate.parts.declare import DataSet

if TYPE_CHECKING:
    from ablate.parts.reading.source import Source


def open_folder(place: Path) -> Source | None:
    """The image folder at `place`."""
    from ablate.parts.reading.folders import folder_source

    return folder_source("imagefolder", place) if place.is_dir() else None


PART = DataSet(
    name="imagefolder",
    open=open_folder,
    split=None,
    get="set data.path to a folder of class folders, or of train/ and val/ or test/",
)
