"""Helpers of the transforms: pixels picked from whole batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def pick(images: Tensor, places: Tensor) -> Tensor:
    """`images` (B, C, h, w) at `places` (B, H, W), each a flat index into h x w, for all channels alike."""
    count, channels = images.shape[:2]
    index = places.view(count, 1, -1).expand(-1, channels, -1)
    return images.reshape(count, channels, -1).gather(2, index).view(count, channels, *places.shape[1:])
