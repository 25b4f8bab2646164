"""ResNet-18, 34, 50, 101 and 152 with the tweaks of He et al. 2019 (arXiv 1812.01187, section 4) as free flags.

The networks are torchvision's own, of the blocks of `parts/residual.py` and changed in place, so that tweak B has torchvision's
parameter names, shapes and outputs.
In short, for the first block of each stage that halves the map:

    stride_in_3x3      bottleneck: the 3x3 has the stride (B), otherwise the first 1x1 (A); basic blocks have no such choice
    deep_stem          3x3/2 32, 3x3 32, 3x3 64 in place of the 7x7/2 (C)
    avgpool_shortcut   2x2 average pooling before the shortcut's 1x1, which then has stride 1 (D)
    small_stem         3x3 with stride 1 and no pooling; with deep_stem three of them (32, 32, 64)

The pooling layer is called `pool` and the convolution after it keeps its name (`downsample.0`): initial draws are keyed by
name, so D starts from the same shortcut weights as C.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

from ablate.parts.declare import Network

if TYPE_CHECKING:
    from torch import nn

LAYERS: dict[str, tuple[str, list[int]]] = {
    "resnet18": ("basic", [2, 2, 2, 2]),
    "resnet34": ("basic", [3, 4, 6, 3]),
    "resnet50": ("bottleneck", [3, 4, 6, 3]),
    "resnet101": ("bottleneck", [3, 4, 23, 3]),
    "resnet152": ("bottleneck", [3, 8, 36, 3]),
}
TAKES = (
    "model.tweak",
    "model.stride_in_3x3",
    "model.deep_stem",
    "model.avgpool_shortcut",
    "model.small_stem",
    "model.zero_init_gamma",
    "model.dropout",
    "model.stochastic_depth",
    "model.squeeze_excitation",
    "model.blur_pool",
    "model.activation",
    "model.norm",
)
VARIANT = ("model.stride_in_3x3", "model.deep_stem", "model.avgpool_shortcut", "model.small_stem")


def resnet(
    arch: str,
    num_classes: int,
    *,
    stride_in_3x3: bool = True,
    deep_stem: bool = False,
    avgpool_shortcut: bool = False,
    small_stem: bool = False,
    zero_init_gamma: bool = False,
    dropout: float = 0.0,
) -> nn.Module:
    """A ResNet that takes (N, 3, H, W) and gives (N, num_classes) logits.

    Parameters lie on the default device, drawn by torchvision's rules from the global generator; see `init_parameters`,
    which starts the layers marked `starts_at_zero` with a scale of 0.
    """
    from torch import nn
    from torchvision.models.resnet import ResNet

    from ablate.parts.residual import BasicBlock, Bottleneck, Residual

    block, layers = LAYERS[arch]
    network: Any = ResNet(
        {"basic": BasicBlock, "bottleneck": Bottleneck}[block],
        layers,
        num_classes=num_classes,
        zero_init_residual=zero_init_gamma,
    )
    if small_stem or deep_stem:
        _replace_stem(network, deep_stem, stride=1 if small_stem else 2)
    if small_stem:
        network.maxpool = nn.Identity()
    module: Any
    for module in network.modules():
        if isinstance(module, Bottleneck) and not stride_in_3x3:
            module.conv1.stride, module.conv2.stride = module.conv2.stride, module.conv1.stride
        if isinstance(module, Residual) and avgpool_shortcut and isinstance(module.downsample, nn.Sequential):
            module.downsample = _pooled(module.downsample)
        if isinstance(module, Residual) and zero_init_gamma:
            getattr(module, module.last_norm).starts_at_zero = True
    if dropout:
        network.avgpool = nn.Sequential(network.avgpool, nn.Dropout(dropout))
    result: nn.Module = network
    return result


def _replace_stem(network: nn.Module, deep: bool, stride: int) -> None:
    from torch import nn

    if not deep:
        network.conv1 = nn.Conv2d(3, 64, 3, stride=stride, padding=1, bias=False)
        return
    network.conv1 = nn.Sequential(
        nn.Conv2d(3, 32, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 64, 3, padding=1, bias=False),
    )


def _pooled(shortcut: nn.Sequential) -> nn.Sequential:
    """The shortcut with pooling in place of its stride; one without a stride stays as it is."""
    from torch import nn

    convolution = shortcut[0]
    if not isinstance(convolution, nn.Conv2d) or convolution.stride == (1, 1):
        return shortcut
    convolution.stride = (1, 1)
    # ceil_mode keeps a map of one pixel alive; the padding that it may add must not count in the mean
    pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(OrderedDict([("pool", pool), ("0", convolution), ("1", shortcut[1])]))


def _of(arch: str, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Basic blocks have no 1x1 to move the stride from, so their A and B are one network."""
    return tuple(path for path in paths if LAYERS[arch][0] == "bottleneck" or path != "model.stride_in_3x3")


PARTS = tuple(
    Network(name=arch, build=partial(resnet, arch), takes=_of(arch, TAKES), variant=_of(arch, VARIANT), channels=3)
    for arch in LAYERS
)
