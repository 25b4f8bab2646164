"""Imagenette: photographs of ten ImageNet classes that are easy to tell apart.

Paper    Howard 2019, https://github.com/fastai/imagenette (the second version, 70% train and 30% val).
Form     160 pixels on the shorter side, so `data.image_size` must be set; train/ and val/, one folder a class, named by its
         WordNet id (n01440764 is the tench).
When     Questions about ImageNet recipes without ImageNet: photographs, and few enough for one GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablate.parts.declare import Archive, DataSet

if TYPE_CHECKING:
    from ablate.parts.reading.source import Source


def open_imagenette(place: Path) -> Source | None:
    """The folders train/ and val/ in `place`."""
    from ablate.parts.reading.folders import folder_source

    return folder_source("imagenette", place) if (place / "train").is_dir() and (place / "val").is_dir() else None


PART = DataSet(
    name="imagenette",
    open=open_imagenette,
    classes=10,
    images=13_394,
    places=("imagenette2-160", "imagenette/imagenette2-160"),
    official=("train", "val"),
    # the address and the sum as in torchvision 0.29 (datasets/imagenette.py)
    archive=Archive(
        url="https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",
        file="imagenette2-160.tgz",
        md5="e793b78cc4c9e9a4ccc0c1155377a412",
        folder="imagenette2-160",
        place="imagenette2-160",
    ),
    about="`image_size` must be set",
    get="ablate data fetch imagenette, or unpack imagenette2-160.tgz from https://github.com/fastai/imagenette there",
    cite="Howard 2019, Imagenette, https://github.com/fastai/imagenette",
)
