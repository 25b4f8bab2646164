"""The registry of networks, in a module of its own so that each network can register itself."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from ablate.training.registry import Registry

MODELS: Registry[Callable[..., nn.Module]] = Registry("model.arch")
"""Factories by `model.arch`.

A factory is called with `num_classes`, with the entries of `model.args`, and with those of `image_shape` (channels, height,
width), `dropout`, `small_stem`, `zero_init_gamma` and the three tweak flags that its signature names.
"""
