"""Imagenette: its official folders, its archive and where it comes from."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from golden_texts import raising
from torchvision.datasets import Imagenette

from ablate.errors import BadData
from ablate.parts.declare import DataSet
from ablate.parts.found import parts
from ablate.study.recipes.recipe import Data
from ablate.training.data import load_data
from ablate.training.data.verify import verify

COUNTS = {"train/n01440764": 3, "train/n02102040": 2, "val/n01440764": 2, "val/n02102040": 1}


def test_its_own_folders_are_the_split(make_folder: Callable[..., Path], root: Path, home: Path) -> None:
    make_folder("imagenette2-160", COUNTS)
    splits = load_data(Data(name="imagenette", image_size=16), 0, home=home, data_root=root)
    assert (len(splits.train), len(splits.val or ()), splits.test) == (5, 3, None)
    assert splits.classes == ("n01440764", "n02102040")
    assert splits.reported == "val"


def test_it_is_fetched_and_verified(
    site: Any, root: Path, heard: Any, picture: Callable[..., Any], change_part: Any
) -> None:
    files = {}
    for folder, count in COUNTS.items():
        for number in range(count):
            held = io.BytesIO()
            picture(number).save(held, "JPEG")
            files[f"imagenette2-160/{folder}/{number}.JPEG"] = held.getvalue()
    site.content = site.tar(files)
    archive = parts(DataSet)["imagenette"].archive
    assert archive is not None
    archive = replace(archive, url=site.url, md5=hashlib.md5(site.content).hexdigest())
    change_part(DataSet, "imagenette", archive=archive, images=9, classes=2)
    assert heard.fetch("imagenette", root) == root / "imagenette2-160"
    found = verify("imagenette", root)
    assert found is not None
    assert (found.state, found.problems) == ("incomplete", ("8 of 9 images",))


def test_another_folder_of_its_name_is_not_it(make_folder: Callable[..., Path], root: Path, heard: Any) -> None:
    make_folder("imagenette2-160", {"train/a": 1, "train/b": 1})
    with raising(BadData):
        heard.fetch("imagenette", root)


def test_the_archive_is_torchvisions() -> None:
    archive = parts(DataSet)["imagenette"].archive
    assert archive is not None
    assert (archive.url, archive.md5) == Imagenette._ARCHIVES["160px"]
