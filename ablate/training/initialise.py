"""First weights, drawn by parameter name.

A parameter's numbers depend on the seed, on its name and on its shape, never on which parameters come before it. So arms
that differ in one layer start from the same weights in all others.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ablate.errors import AblateError
from ablate.parts import streams


@torch.no_grad()
def init_parameters(model: nn.Module, seed: int) -> None:
    """Fill `model` in place: each parameter from `streams.generator(seed, "init", name)`, each buffer with its first value.

    Convolutions of networks with normalisation get He's normal draw over fan-out, as torchvision's ResNets do; all others, and
    linear layers, get PyTorch's default uniform one, as do biases. BatchNorm, GroupNorm and LayerNorm start at 1 and 0, those
    that are marked `starts_at_zero` with a scale of 0. A layer of buffers alone fills them by its `reset_parameters`.
    Raises AblateError for a layer whose rule is not known here.
    """
    normalised = any(isinstance(module, _BatchNorm | nn.GroupNorm) for module in model.modules())
    for prefix, module in model.named_modules():
        names = {name: f"{prefix}.{name}" if prefix else name for name, _ in module.named_parameters(recurse=False)}
        if isinstance(module, _BatchNorm | nn.GroupNorm | nn.LayerNorm):
            module.reset_parameters()
            if getattr(module, "starts_at_zero", False):
                module.weight.zero_()
        elif isinstance(module, nn.Conv2d | nn.Linear):
            generator = streams.generator(seed, "init", names["weight"])
            if isinstance(module, nn.Conv2d) and normalised:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            else:
                nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
            if module.bias is not None:
                bound = 1 / math.sqrt(module.weight[0].numel())
                nn.init.uniform_(module.bias, -bound, bound, generator=streams.generator(seed, "init", names["bias"]))
        elif not names and callable(reset := getattr(module, "reset_parameters", None)):
            reset()
        elif names or next(iter(module.named_buffers(recurse=False)), None) is not None:
            raise AblateError(f"no rule for the first weights of {type(module).__name__} {prefix!r}; add one here")
