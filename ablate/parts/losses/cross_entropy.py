"""Cross-entropy.

Formula  -sum_c q_c log p_c, with p the softmax of the logits and q the targets.
Recipe   loss: {name: cross_entropy}
When     The default. With smoothed or mixed labels q has several classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Loss, Settings

if TYPE_CHECKING:
    from torch import Tensor


def terms(logits: Tensor, targets: Tensor, weights: Tensor | None, settings: Settings) -> Tensor:
    from torch.nn.functional import log_softmax

    return -((targets if weights is None else targets * weights) * log_softmax(logits, dim=1))


def of_labels(logits: Tensor, labels: Tensor, settings: Settings) -> Tensor:
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits, labels)


PART = Loss(name="cross_entropy", terms=terms, of_labels=of_labels)
