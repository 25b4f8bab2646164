"""CIFAR-100: images of 32x32 pixels, by their fine labels.

Paper    Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images".
Form     The official files, binary or Python, or an npz file with MedMNIST's keys; 50,000 train and 10,000 test images.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablate.parts.declare import Archive, DataSet

if TYPE_CHECKING:
    from ablate.parts.reading.source import Source


def open_cifar100(place: Path) -> Source | None:
    """The official files in the folder `place`, or the npz file `place`."""
    from ablate.parts.reading import cifar

    return cifar.find("cifar100", place)


PART = DataSet(
    name="cifar100",
    open=open_cifar100,
    classes=100,
    images=60_000,
    places=(
        "cifar-100-binary",
        "cifar-100-python",
        "cifar100/cifar-100-binary",
        "cifar100/cifar-100-python",
        "cifar100.npz",
        "cifar100/cifar100.npz",
    ),
    official=("train", "test"),
    # the address and the sums as in torchvision 0.29 (datasets/cifar.py), which has none of the binary form
    archive=Archive(
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        file="cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        folder="cifar-100-python",
        place="cifar-100-python",
    ),
    each={"train": 500, "test": 100},  # https://www.cs.toronto.edu/~kriz/cifar.html
    shape=(3, 32, 32),
    sums={
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    },
    summed="official python files",
    get=(
        "ablate data fetch cifar100, or unpack cifar-100-binary.tar.gz or cifar-100-python.tar.gz from "
        "https://www.cs.toronto.edu/~kriz/cifar.html there"
    ),
    cite="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
)
