"""Batches of one split, as uint8 on the device.

A split that fits lies on the device once for all runs of this process; batches are then gathered there. One that does not
fit stays on the CPU, where a thread gathers and pins the next batch while this one is trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import torch

from ablate.errors import BadData
from ablate.parts import streams
from ablate.training.sources import Split

RESIDENT_SHARE = 0.5
"""A split lives on the device if it takes at most this share of the memory that is free there."""

EVALUATION_PIXELS = 128 * 64 * 64
"""Evaluation takes as many images at a time as have so many pixels, or a training batch if that is more."""

Where = slice | torch.Tensor
"""Which images: a slice, or indices on the CPU."""


@dataclass(frozen=True)
class Batch:
    """uint8 images (B, C, H, W), labels and ids (B,), all on the device."""

    images: torch.Tensor
    labels: torch.Tensor
    ids: torch.Tensor


def bounds(images: int, batch_size: int) -> list[tuple[int, int]]:
    """Start and end of each training batch of one epoch.

    A last batch of a single image joins the one before: BatchNorm cannot train on one value a channel, and no image should
    be left out. Raises BadData for fewer than two images.
    """
    if images < 2:
        raise BadData(f"training needs at least 2 images, the data has {images}; raise data.fraction or data.limit")
    starts = list(range(0, images, batch_size))
    if batch_size > 1 and images - starts[-1] == 1 and len(starts) > 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], images], strict=True))


def order(images: int, *, seed: int, epoch: int) -> torch.Tensor:
    """The order of the training images in an epoch: a permutation (images,) on the CPU, a function of (seed, epoch)."""
    return torch.randperm(images, generator=streams.generator(seed, "order", epoch))


class Outputs(Protocol):
    """What a network's frozen layers give for the images of a split, and `head`, the rest of the network."""

    @property
    def head(self) -> Callable[[torch.Tensor], torch.Tensor]: ...

    def of(self, batch: Batch) -> torch.Tensor | None:
        """What `head` takes for a batch; None where the whole network must be called."""
        ...


class Feed:
    """One split, ready to be gathered from. `resident` None decides by the free memory of the device.

    `kept` is what frozen layers give for the images, where it is kept (`ablate.training.trunk`).
    """

    kept: Outputs | None = None

    def __init__(self, split: Split, device: torch.device, *, resident: bool | None = None) -> None:
        self.device = device
        self.images = split.images
        self.labels = split.labels.to(device)
        self.ids = split.ids.to(device)
        self.resident = fits(split.images, device) if resident is None else resident
        if self.resident:
            self.images = _on_device(split.images, device)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def shuffled(self, batch_size: int, *, seed: int, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The training batches of an epoch from number `first` on."""
        permutation = order(len(self), seed=seed, epoch=epoch)
        return self.gather(permutation[start:end] for start, end in bounds(len(self), batch_size)[first:])

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """All images once, as evaluation takes them."""
        return self.gather(self.slices(batch_size))

    def slices(self, batch_size: int) -> list[slice]:
        """The batches of `in_order`."""
        _, height, width = self.shape
        size = max(batch_size, EVALUATION_PIXELS // (height * width))
        return [slice(start, min(start + size, len(self))) for start in range(0, len(self), size)]

    def gather(self, wanted: Iterable[Where]) -> Iterator[Batch]:
        """A batch for each of `wanted`."""
        if self.resident:
            for where in wanted:
                there = where.to(self.device) if isinstance(where, torch.Tensor) else where
                yield Batch(self.images[there], self.labels[there], self.ids[there])
            return
        with ThreadPoolExecutor(1, thread_name_prefix="ablate-batches") as pool:
            waiting: Future[Batch] | None = None
            for where in wanted:
                following = pool.submit(self._fetch, where)
                if waiting is not None:
                    yield waiting.result()
                waiting = following
            if waiting is not None:
                yield waiting.result()

    def _fetch(self, where: Where) -> Batch:
        images = self.images[where]
        if self.device.type == "cuda":
            images = images.pin_memory().to(self.device, non_blocking=True)
        there = where.to(self.device) if isinstance(where, torch.Tensor) else where
        return Batch(images.to(self.device), self.labels[there], self.ids[there])


_uploaded: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}


def _on_device(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`images` on the device, uploaded once a process for as long as they are in use."""
    if device.type == "cpu":
        return images
    kept = _uploaded.get(id(images))
    if kept is None or kept[0] is not images or kept[1].device.type != device.type:
        kept = (images, images.to(device))
        _uploaded[id(images)] = kept
    return kept[1]


def forget_others(splits: Iterable[Split]) -> None:
    """Free the device's copies of all images but those of `splits`."""
    wanted = {id(split.images) for split in splits}
    for key in [key for key in _uploaded if key not in wanted]:
        del _uploaded[key]


def fits(images: torch.Tensor, device: torch.device) -> bool:
    """Whether a tensor may lie on the device for the whole run."""
    if device.type != "cuda" or id(images) in _uploaded:
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return images.nbytes <= RESIDENT_SHARE * free
