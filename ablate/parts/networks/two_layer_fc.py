"""Two fully connected layers: a small network of Kallu 2025.

Paper    Kallu 2025, "Enhancing CIFAR-10 image classification using transfer learning with ResNet18". It names the layers and
         leaves their widths open; ours are arguments, with defaults of our own choosing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Network

if TYPE_CHECKING:
    from torch import nn


def two_layer_fc(
    *, num_classes: int, image_shape: tuple[int, int, int], hidden: int = 512, dropout: float = 0.0
) -> nn.Module:
    """Flatten (3,072 numbers for CIFAR-10), `hidden` ReLU units, classes."""
    from torch import nn

    channels, height, width = image_shape
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, num_classes),
    )


PART = Network(name="two-layer-fc", build=two_layer_fc, takes=("model.dropout", "model.activation"))
