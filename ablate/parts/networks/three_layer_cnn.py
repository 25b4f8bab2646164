"""Two convolutions and one fully connected layer: a small network of Kallu 2025.

Paper    Kallu 2025, "Enhancing CIFAR-10 image classification using transfer learning with ResNet18". It names the layers and
         leaves their widths open; ours are arguments, with defaults of our own choosing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Network

if TYPE_CHECKING:
    from torch import nn


def three_layer_cnn(
    *,
    num_classes: int,
    image_shape: tuple[int, int, int],
    channels: tuple[int, int] | list[int] = (32, 16),
    dropout: float = 0.0,
) -> nn.Module:
    """Convolution 5x5, ReLU, convolution 3x3, ReLU, fully connected; the maps keep the image's size, nothing is pooled."""
    from torch import nn

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


PART = Network(name="three-layer-cnn", build=three_layer_cnn, takes=("model.dropout", "model.activation"))
