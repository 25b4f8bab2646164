"""CIFAR-10: images of 32x32 pixels.

Paper    Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images".
Form     The official files, binary or Python, or an npz file with MedMNIST's keys; 50,000 train and 10,000 test images.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablate.parts.declare import Archive, DataSet

if TYPE_CHECKING:
    from ablate.parts.reading.source import Source


def open_cifar10(place: Path) -> Source | None:
    """The official files in the folder `place`, or the npz file `place`."""
    from ablate.parts.reading import cifar

    return cifar.find("cifar10", place)


PART = DataSet(
    name="cifar10",
    open=open_cifar10,
    classes=10,
    images=60_000,
    places=(
        "cifar-10-batches-bin",
        "cifar-10-batches-py",
        "cifar10/cifar-10-batches-bin",
        "cifar10/cifar-10-batches-py",
        "cifar10.npz",
        "cifar10/cifar10.npz",
    ),
    official=("train", "test"),
    # the address and the sums as in torchvision 0.29 (datasets/cifar.py), which has none of the binary form
    archive=Archive(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        file="cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
        folder="cifar-10-batches-py",
        place="cifar-10-batches-py",
    ),
    each={"train": 5000, "test": 1000},  # https://www.cs.toronto.edu/~kriz/cifar.html
    shape=(3, 32, 32),
    sums={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    },
    summed="official python files",
    get=(
        "ablate data fetch cifar10, or unpack cifar-10-binary.tar.gz or cifar-10-python.tar.gz from "
        "https://www.cs.toronto.edu/~kriz/cifar.html there"
    ),
    cite="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
)
