"""A change of some images of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def on_chosen(images: Tensor, chosen: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """`images` (B, C, H, W), those `chosen`, bool (B,), replaced by `change` of them.

    A CPU changes no others; a GPU changes all and takes those, for it must not be waited for to count them.
    """
    import torch

    if images.device.type != "cpu":
        return torch.where(chosen.view(-1, 1, 1, 1), change(images), images)
    rows = chosen.nonzero().squeeze(1)
    if not len(rows):
        return images
    result = images.clone(memory_format=torch.contiguous_format)
    result[rows] = change(images[rows])
    return result
