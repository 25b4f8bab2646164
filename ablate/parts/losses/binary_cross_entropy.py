"""Binary cross-entropy, one question a class.

Paper    Wightman et al. 2021, "ResNet strikes back" (arXiv 2110.00476), section 2.
Formula  -1/C * sum_c [q_c log s_c + (1 - q_c) log(1 - s_c)], with s the sigmoid of each logit and q the targets, smoothed and mixed
         like those of the cross-entropy: the mean over classes and images, as timm's BinaryCrossEntropy takes it.
         With `loss.target_threshold` q becomes 1 where it is above that, else 0: both classes of a mixed image then count whole.
         `loss.class_weights` weigh the terms of a class.
Recipe   loss: {name: binary_cross_entropy}, target_threshold optional (timm's --bce-target-thresh)
When     Long trainings with mixup and CutMix, whose images show two classes. The mean over C classes makes it about C times smaller
         than the cross-entropy, so rates differ: LAMB and AdamW do not mind, sgd does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Loss, Settings
from ablate.parts.types import Share

if TYPE_CHECKING:
    from torch import Tensor

THRESHOLD = "loss.target_threshold"


def terms(logits: Tensor, targets: Tensor, weights: Tensor | None, settings: Settings) -> Tensor:
    from torch.nn.functional import binary_cross_entropy_with_logits

    threshold = settings[THRESHOLD]
    if threshold is not None:
        targets = targets.gt(threshold).to(targets.dtype)
    return binary_cross_entropy_with_logits(logits, targets, weights, reduction="none") / logits.shape[1]


PART = Loss(
    name="binary_cross_entropy",
    fields={
        THRESHOLD: Field(Share | None, None, "binary_cross_entropy: targets above it are 1, others 0", before=None)
    },
    terms=terms,
)
