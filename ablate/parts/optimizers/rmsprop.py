"""RMSprop.

Paper    Tieleman and Hinton 2012, lecture 6.5 of "Neural Networks for Machine Learning"; with momentum as Sandler et al. 2018,
         "MobileNetV2" (arXiv 1801.04381), section 6.1, train.
Formula  g = gradient + weight_decay * w;  v = 0.9 * v + 0.1 * g * g;  b = momentum * b + g / (sqrt(v) + 0.0316);  w = w - rate * b.
         Decay 0.9 is the lecture's. 0.0316 is the root of 0.001, the epsilon of the TensorFlow recipes, which have it inside the root;
         torchvision trains MobileNetV3 with both. (torch's own defaults, 0.99 and 1e-8, reproduce neither.)
Recipe   optimizer: {name: rmsprop, lr: 0.064, momentum: 0.9, weight_decay: 0.00001}
When     MobileNets and EfficientNets, to follow their papers. `weight_decay` is L2, part of the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ablate.parts.declare import Optimizer, Settings
from ablate.parts.optimizers.sgd import MOMENTUM

DECAY, EPSILON = 0.9, 0.0316


def make(groups: Sequence[dict[str, Any]], settings: Settings, fused: bool | None) -> Any:
    from torch.optim import RMSprop

    momentum = settings["optimizer.momentum"]
    return RMSprop(groups, lr=groups[0]["lr"], alpha=DECAY, eps=EPSILON, momentum=momentum)


PART = Optimizer(name="rmsprop", fields={"optimizer.momentum": MOMENTUM}, make=make)
