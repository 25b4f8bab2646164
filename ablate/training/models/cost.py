"""What a network costs, counted without running it."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def macs(model: nn.Module, size: int, channels: int = 3) -> int:
    """Multiply-accumulates of one forward pass of one (channels, size, size) image, on the meta device.

    Convolutions and matrix products only, as papers count them; `model` is left as it is.
    """
    ghost = copy.deepcopy(model).to("meta").eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        ghost(torch.empty(1, channels, size, size, device="meta"))
    return int(counter.get_total_flops()) // 2


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
