"""Tiny image folders, and the real data where ABLATE_TEST_DATA names a folder that holds it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablate.training.data import forget_data


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    forget_data()
    yield
    forget_data()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def draw_picture(seed: int, height: int = 20, width: int = 24) -> Image.Image:
    """A smooth random picture, so that JPEG keeps it nearly as it is."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def picture() -> Callable[..., Image.Image]:
    return draw_picture


@pytest.fixture
def make_folder(root: Path) -> Callable[..., Path]:
    """`make_folder("pets", {"cat": 3, "dog": 2})` or `{"train/cat": 3, ...}`: JPEGs of 24x20 pixels."""

    def make(name: str, counts: dict[str, int], suffix: str = ".jpg") -> Path:
        for number, (folder, count) in enumerate(counts.items()):
            (root / name / folder).mkdir(parents=True)
            for index in range(count):
                draw_picture(100 * number + index).save(root / name / folder / f"image_{index:04d}{suffix}")
        return root / name

    return make


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = Path(os.environ.get("ABLATE_TEST_DATA", ""))
    if not os.environ.get("ABLATE_TEST_DATA") or not folder.is_dir():
        pytest.skip("needs real data: set ABLATE_TEST_DATA to a folder with caltech101/ and cifar10.npz")
    return folder
