"""Residual blocks with places for what refinements put into their branch. It imports torch: import it inside functions.

The blocks are torchvision's, with the same parameter names and, where nothing is put in, the same outputs bit for bit. A network
that is built of them lists `BRANCH` in its `takes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

import torch
from torch import nn
from torchvision.models import resnet

Layer = TypeVar("Layer", bound=nn.Module)


class Residual(nn.Module):
    """A block that adds its branch to its shortcut.

    `convolutions` names the branch's convolutions that may have a stride, each with the place after its activation; `last_norm`
    is the branch's last normalisation, which `se` follows; `depth` comes last, before the shortcut is added.
    """

    convolutions: ClassVar[dict[str, str]]
    last_norm: ClassVar[str]

    conv1: nn.Module
    bn1: nn.Module
    after1: nn.Module
    conv2: nn.Module
    bn2: nn.Module
    relu: nn.Module
    downsample: nn.Module | None
    se: nn.Module
    depth: nn.Module

    def open_places(self) -> None:
        for place in (*self.convolutions.values(), "se", "depth"):
            setattr(self, place, nn.Identity())

    @property
    def channels(self) -> int:
        """Of the branch's end."""
        norm: Any = self.get_submodule(self.last_norm)
        return int(norm.weight.numel())


class BasicBlock(resnet.BasicBlock, Residual):  # type: ignore[misc]
    convolutions: ClassVar[dict[str, str]] = {"conv1": "after1"}
    last_norm: ClassVar[str] = "bn2"

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.open_places()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.after1(self.relu(self.bn1(self.conv1(x))))
        out = self.depth(self.se(self.bn2(self.conv2(out))))
        out += x if self.downsample is None else self.downsample(x)
        result: torch.Tensor = self.relu(out)
        return result


class Bottleneck(resnet.Bottleneck, Residual):  # type: ignore[misc]
    convolutions: ClassVar[dict[str, str]] = {"conv1": "after1", "conv2": "after2"}
    last_norm: ClassVar[str] = "bn3"

    after2: nn.Module
    conv3: nn.Module
    bn3: nn.Module

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.open_places()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.after1(self.relu(self.bn1(self.conv1(x))))
        out = self.after2(self.relu(self.bn2(self.conv2(out))))
        out = self.depth(self.se(self.bn3(self.conv3(out))))
        out += x if self.downsample is None else self.downsample(x)
        result: torch.Tensor = self.relu(out)
        return result


def blocks(network: nn.Module) -> list[Residual]:
    """The network's residual blocks in the order in which an image passes them."""
    return [module for module in network.modules() if isinstance(module, Residual)]


def replace(network: nn.Module, kind: type[Layer]) -> Iterator[tuple[nn.Module, str, Layer]]:
    """Each layer of exactly this kind, with the module that holds it and its name there, so that it can be replaced."""
    for holder in list(network.modules()):
        for name, layer in list(holder.named_children()):
            if type(layer) is kind:
                yield holder, name, layer
