"""What a data set hands to the decoder: a fingerprint that is cheap to take, and a reading that is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ablate.parts.splits import SPLITS

if TYPE_CHECKING:
    from ablate.parts.reading.images import Pixels

PARTS = SPLITS
WHOLE = "all"
"""The one part of a data set that comes without an official split."""

Labels = npt.NDArray[np.int64]


def some(names: list[str], most: int = 5) -> str:
    """The first few of `names`, and how many more there are."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


@dataclass(frozen=True)
class Block:
    """Some decoded images of one part: uint8 (n, 3, H, W), int64 (n,) labels and ids; `bad` is (path, reason)."""

    part: str
    images: Pixels
    labels: Labels
    ids: Labels
    bad: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Reading:
    """An opened data set. `blocks` come part by part, in the order of ids; `total` counts bad images too."""

    classes: tuple[str, ...]
    total: int
    blocks: Iterator[Block]


@dataclass(frozen=True)
class Source:
    """A data set that was found.

    `form` says in which form it lay. `fingerprint` names its files with sizes and times; None: it is made in memory, so
    there is nothing to cache on disk. `read(image_size)` opens it. `ignored` are files whose ending is no image's,
    `loose` is how many images lie beside the class folders, and `unlabelled` maps a part to the name of its folder where
    that has no class folders, so that it is left out. `beside` are folders beside the parts, which are left out, too.
    """

    name: str
    form: str
    where: str
    fingerprint: tuple[str, ...] | None
    read: Callable[[int | None], Reading]
    ignored: tuple[str, ...] = ()
    loose: int = 0
    unlabelled: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
