"""ConvNeXt-T.

Paper    Liu et al. 2022, "A ConvNet for the 2020s" (arXiv 2201.03545): stages of 3, 3, 9 and 3 blocks, 96 to 768 channels.
Network  torchvision's convnext_tiny. `model.stochastic_depth` spreads from 0 at the first block to the whole rate at the last, as
         torchvision does (the paper trains with 0.1). Its state dicts load, also those of ImageNet.
Draws    Weights normal with deviation 0.02, cut off at two deviations (the paper's appendix A.1); biases 0; layer scale 1e-6.
When     Long trainings with AdamW, strong augmentation and images of 32 pixels and more: it divides their side by 32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ablate.parts.declare import Network

if TYPE_CHECKING:
    from torch import nn


def convnext_tiny(*, num_classes: int, stochastic_depth: float = 0.0) -> nn.Module:
    """A network that takes (N, 3, H, W), H and W at least 32."""
    from torchvision import models

    network: nn.Module = models.convnext_tiny(
        weights=None, num_classes=num_classes, stochastic_depth_prob=stochastic_depth
    )
    return network


def initialise(network: nn.Module, seed: int) -> None:
    import torch
    from torch import nn
    from torchvision.models.convnext import CNBlock

    from ablate.parts import streams

    module: Any
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
            elif isinstance(module, CNBlock):
                module.layer_scale.fill_(1e-6)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                draws = streams.generator(seed, "init", f"{name}.weight")
                nn.init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04, generator=draws)
                if module.bias is not None:
                    module.bias.zero_()


PART = Network(
    name="convnext_tiny", build=convnext_tiny, takes=("model.stochastic_depth",), channels=3, initialise=initialise
)
