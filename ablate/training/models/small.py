"""The two small networks of Kallu 2025, "Enhancing CIFAR-10 image classification using transfer learning with ResNet18".

The paper names their layers and leaves their widths open; ours are arguments, with defaults of our own choosing.
"""

from __future__ import annotations

from torch import nn

from ablate.training.models.catalogue import MODELS


@MODELS.register("two-layer-fc")
def two_layer_fc(
    *, num_classes: int, image_shape: tuple[int, int, int], hidden: int = 512, dropout: float = 0.0
) -> nn.Module:
    """Flatten (3,072 numbers for CIFAR-10), `hidden` ReLU units, classes."""
    channels, height, width = image_shape
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, num_classes),
    )


@MODELS.register("three-layer-cnn")
def three_layer_cnn(
    *,
    num_classes: int,
    image_shape: tuple[int, int, int],
    channels: tuple[int, int] | list[int] = (32, 16),
    dropout: float = 0.0,
) -> nn.Module:
    """Convolution 5x5, ReLU, convolution 3x3, ReLU, fully connected; the maps keep the image's size, nothing is pooled."""
    depth, height, width = image_shape
    first, second = channels
    return nn.Sequential(
        nn.Conv2d(depth, first, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(first, second, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(second * height * width, num_classes),
    )
