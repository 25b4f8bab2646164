"""Focal loss.

Paper    Lin et al. 2017, "Focal Loss for Dense Object Detection" (arXiv 1708.02002), equation 4, with gamma 2.
Formula  -sum_c q_c (1 - p_c) ** gamma log p_c, with p the softmax of the logits (the paper's is a sigmoid: it detects one class
         against the background) and q the targets, smoothed and mixed like those of the cross-entropy. gamma 0 is the cross-entropy,
         to rounding. `loss.class_weights` are the paper's alpha.
Recipe   loss: {name: focal, gamma: 2.0}
When     Unbalanced classes, or to calibrate (Mukhoti et al. 2020, arXiv 2002.09437). Easy images weigh less, so it is smaller than the
         cross-entropy; the metric `loss` stays the plain cross-entropy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Loss, Settings
from ablate.parts.types import NonNegative

if TYPE_CHECKING:
    from torch import Tensor

GAMMA = "loss.gamma"


def terms(logits: Tensor, targets: Tensor, weights: Tensor | None, settings: Settings) -> Tensor:
    import torch
    from torch.nn.functional import log_softmax

    logs = log_softmax(logits, dim=1)
    # a p of exactly 1 would have an infinite slope for gamma below 1, and infinity times 0 is not a number
    missing = (-torch.expm1(logs)).clamp_min(torch.finfo(logs.dtype).tiny)
    weighed = targets if weights is None else targets * weights
    return -(weighed * missing.pow(settings[GAMMA]) * logs)


PART = Loss(
    name="focal",
    fields={
        GAMMA: Field(
            NonNegative, 2.0, "focal: how strongly images that are already right are down-weighted", before=2.0
        )
    },
    terms=terms,
)
