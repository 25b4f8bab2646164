"""Which layers train. A frozen layer keeps its parameters and its BatchNorm statistics, bit for bit.

`module.train()` would let the statistics of a frozen BatchNorm move, so the loop calls `train_mode` here instead; dropout in
frozen layers stays on. The end of a run proves that nothing moved by comparing digests.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ablate.errors import AblateError, nearest
from ablate.training.registry import recipe_error


@dataclass(frozen=True)
class Frozen:
    """What stands still: names of tensors in the state dict, and the BatchNorm layers that stay in evaluation mode."""

    tensors: tuple[str, ...]
    norms: tuple[nn.Module, ...]


def freeze(model: nn.Module, trainable: str | Sequence[str]) -> Frozen:
    """Turn gradients off for every parameter outside `trainable`: "all", or layer names and globs.

    `layer4` and `layer[34]` stand for everything below these layers; `*.bias` for single parameters. Raises StudyError for
    an entry that matches nothing, and where nothing is left to train.
    """
    if trainable == "all":
        return Frozen((), ())
    patterns = [trainable] if isinstance(trainable, str) else list(trainable)
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not any(matches(name, pattern) for name in names):
            layers = sorted({name.split(".")[0] for name in names})
            raise recipe_error(
                "model.trainable",
                "no-effect",
                f"{pattern!r} matches no parameter; the layers are {', '.join(layers)}.{nearest(pattern, layers)}",
            )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(matches(name, pattern) for pattern in patterns))
    norms = {
        prefix: module
        for prefix, module in model.named_modules()
        if isinstance(module, _BatchNorm) and not _trains(prefix, module, patterns)
    }
    tensors = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    tensors += [f"{prefix}.{name}" for prefix, module in norms.items() for name, _ in module.named_buffers()]
    return Frozen(tuple(tensors), tuple(norms.values()))


def train_mode(model: nn.Module, frozen: Frozen) -> None:
    """Training mode for all but the frozen BatchNorm layers."""
    model.train()
    for module in frozen.norms:
        module.eval()


def digest(model: nn.Module, frozen: Frozen) -> str:
    """SHA-256 over the bytes of the frozen tensors; empty where nothing is frozen."""
    if not frozen.tensors:
        return ""
    state = model.state_dict()
    result = hashlib.sha256()
    for name in frozen.tensors:
        tensor = state[name].detach().cpu().contiguous()
        result.update(name.encode())
        result.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return result.hexdigest()


def check_unmoved(model: nn.Module, frozen: Frozen, before: str) -> None:
    """Raises AblateError where a frozen tensor is not what it was when `before` was taken."""
    if digest(model, frozen) != before:
        raise AblateError(
            "model.trainable: a frozen parameter or BatchNorm statistic changed during training, so this run's numbers "
            "are not those of its recipe; this is a defect of the trainer or of the network's forward pass"
        )


def matches(name: str, pattern: str) -> bool:
    """Whether the glob `pattern` matches the dotted parameter `name` or one of the layers that it lies in."""
    parts = name.split(".")
    return any(fnmatch.fnmatchcase(".".join(parts[:end]), pattern) for end in range(1, len(parts) + 1))


def _trains(prefix: str, module: nn.Module, patterns: Sequence[str]) -> bool:
    parameters = list(module.parameters(recurse=False))
    if parameters:
        return any(parameter.requires_grad for parameter in parameters)
    return any(matches(prefix, pattern) for pattern in patterns)
