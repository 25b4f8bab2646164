"""Blur pooling (anti-aliased strides).

Paper    Zhang 2019, "Making Convolutional Networks Shift-Invariant Again" (arXiv 1904.11486).
Formula  Where a block's 3x3 (or, in tweak A, its first 1x1) halves the map, it has stride 1, and after its normalisation and
         activation each channel is blurred with [1 2 1] x [1 2 1] / 16 (reflected at the border) and subsampled by 2; a 3x3 max
         pooling of stride 2 becomes one of stride 1 and a blur. Places and outputs are those of timm's `aa_layer=BlurPool2d`: the
         stem's convolution and the shortcuts' 1x1 keep their stride. The paper's own networks blur the shortcuts too.
Recipe   model.blur_pool: true
When     Where the network should not care about a shift by a pixel; the strided convolutions cost four times as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Refinement, Settings

if TYPE_CHECKING:
    from torch import Tensor, nn

PATH = "model.blur_pool"


def blur_pool() -> nn.Module:
    """Maps (N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2))."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    class BlurPool(nn.Module):
        kernel: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kernel", torch.empty(1, 1, 3, 3), persistent=False)
            self.reset_parameters()

        def reset_parameters(self) -> None:
            row = torch.tensor([1.0, 2.0, 1.0], device=self.kernel.device) / 4
            self.kernel.copy_(row[:, None] * row)

        def forward(self, x: Tensor) -> Tensor:
            channels, height, width = x.shape[1:]
            # a map of one pixel has nothing to be reflected
            padded = F.pad(x, (1, 1, 1, 1), mode="reflect" if min(height, width) > 1 else "replicate")
            return F.conv2d(padded, self.kernel.expand(channels, 1, 3, 3), stride=2, groups=channels)

    return BlurPool()


def change(network: nn.Module, settings: Settings) -> None:
    from torch import nn

    from ablate.parts.residual import blocks, replace

    for holder, name, pool in replace(network, nn.MaxPool2d):
        if pool.stride == 2:
            setattr(holder, name, nn.Sequential(nn.MaxPool2d(pool.kernel_size, 1, pool.padding), blur_pool()))
    for block in blocks(network):
        for name, place in block.convolutions.items():
            convolution = getattr(block, name)
            if convolution.stride == (2, 2):
                convolution.stride = (1, 1)
                setattr(block, place, blur_pool())


PART = Refinement(
    name="blur_pool",
    acts=("network",),
    fields={PATH: Field(bool, False, "blur before subsampling, where blocks and max pooling have a stride", False)},
    is_off=lambda settings: not settings[PATH],
    change=change,
    is_variant=True,
    on={PATH: True},
)
