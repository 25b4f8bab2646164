"""Images moved by a 2x3 matrix each: shears, shifts and turns, nearest pixel, black outside.

The arithmetic is torchvision's (`affine` and `rotate` on tensors), so that the pixels are the same bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def warp(images: Tensor, matrix: Tensor) -> Tensor:
    """uint8 (B, C, H, W) moved by `matrix`, float64 (B, 2, 3), which takes a pixel of the result to where it comes from, both in
    pixels from the centre.
    """
    import torch

    height, width = images.shape[2:]
    device = images.device
    x = torch.linspace((1.0 - width) * 0.5, (width - 1.0) * 0.5, width, device=device)
    y = torch.linspace((1.0 - height) * 0.5, (height - 1.0) * 0.5, height, device=device).unsqueeze(1)
    rows = matrix.to(torch.float32).div(torch.tensor([[0.5 * width], [0.5 * height]], device=device))
    per_x, per_y, constant = rows.unsqueeze(3).unsqueeze(4).unbind(dim=2)  # each (B, 2, 1, 1)
    grid = (x * per_x + y * per_y + constant).permute(0, 2, 3, 1)
    moved = torch.nn.functional.grid_sample(images.to(torch.float32), grid, mode="nearest", align_corners=False)
    return moved.to(torch.uint8)


def unmoved(images: Tensor) -> Tensor:
    """The matrix for each image that leaves it as it is, float64 (B, 2, 3)."""
    import torch

    return torch.eye(2, 3, dtype=torch.float64, device=images.device).repeat(len(images), 1, 1)
