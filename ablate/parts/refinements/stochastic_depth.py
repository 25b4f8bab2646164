"""Stochastic depth.

Paper    Huang et al. 2016, "Deep Networks with Stochastic Depth" (arXiv 1603.09382).
Formula  While training, each image skips the branch of block l of L with probability l / L * rate (the paper's linear rule, its
         equation 4: the last block has the whole rate), and a branch that stays is divided by its probability to stay. The paper
         drops a branch for a whole batch and scales when it tests; ours is torchvision.ops.stochastic_depth, mode "row".
         timm spreads the rate from 0 at the first block to the whole at the last.
Recipe   model.stochastic_depth: 0.1
When     Deep networks and long trainings (He et al. 2019 do not use it; timm's and torchvision's newer recipes and DeiT do).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.declare import Field, Refinement, Settings
from ablate.parts.types import Share

if TYPE_CHECKING:
    from torch import nn

PATH = "model.stochastic_depth"


def change(network: nn.Module, settings: Settings) -> None:
    from torchvision.ops import StochasticDepth

    from ablate.parts.residual import blocks

    found = blocks(network)
    for number, block in enumerate(found, start=1):
        block.depth = StochasticDepth(settings[PATH] * number / len(found), "row")


PART = Refinement(
    name="stochastic_depth",
    acts=("network",),
    fields={
        PATH: Field(Share, 0.0, "probability that an image skips the last block's branch; linear over the depth", 0.0)
    },
    is_off=lambda settings: not settings[PATH],
    change=change,
    on={PATH: 0.1},
)
