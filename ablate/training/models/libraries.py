"""Networks by name from timm and torchvision, without their weights: nothing is ever downloaded.

Their first weights are those of the library's own initialisation, drawn under a global generator seeded with (seed, "init").
`model.args` go to the constructor; the number of classes, channels and the image size follow from the data.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
import torchvision
from torch import nn

from ablate.errors import nearest
from ablate.parts.packages import absent
from ablate.training.registry import recipe_error

_FROM_DATA = ("num_classes", "in_chans", "img_size", "image_size")
_WEIGHTS = (
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "checkpoint_path",
    "cache_dir",
    "weights",
    "weights_backbone",
)


def from_library(
    arch: str, args: Mapping[str, Any], *, num_classes: int, image_shape: tuple[int, int, int]
) -> nn.Module:
    """The network, its parameters drawn from the global generator. Raises StudyError for a name, argument or size that does not fit."""
    if trouble := absent(arch):
        raise recipe_error("model.arch", "not-installed", trouble)
    for name in args:
        if name in _FROM_DATA:
            raise recipe_error("model.args", "conflict", f"{name!r} follows from the data; remove it from args")
        if name in _WEIGHTS:
            raise recipe_error("model.args", "conflict", f"{name!r}: weights are set by model.init, as a file or a run")
    package, _, name = arch.partition("/")
    make = _timm if package == "timm" else _torchvision
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = make(arch, name, dict(args), num_classes, image_shape)
    _try(arch, network, num_classes, image_shape)
    return network


def _timm(arch: str, name: str, args: dict[str, Any], classes: int, shape: tuple[int, int, int]) -> nn.Module:
    import timm

    if not timm.is_model(name):
        raise recipe_error(
            "model.arch", "unknown-name", f"timm {timm.__version__} has no {name!r}.{nearest(name, timm.list_models())}"
        )
    channels, height, width = shape
    given: dict[str, Any] = {"num_classes": classes, "in_chans": channels}
    usual = timm.get_pretrained_cfg(name)
    if usual is not None and usual.fixed_input_size:
        given["img_size"] = (height, width)
    return _called(arch, timm.create_model, name, pretrained=False, **given, **args)


def _torchvision(arch: str, name: str, args: dict[str, Any], classes: int, shape: tuple[int, int, int]) -> nn.Module:
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise recipe_error(
            "model.arch",
            "unknown-name",
            f"torchvision {torchvision.__version__} has no {name!r}.{nearest(name, known)}",
        )
    if shape[0] != 3:
        raise recipe_error("data.name", "conflict", f"{arch} takes images with 3 channels, but the data has {shape[0]}")
    builder = torchvision.models.get_model_builder(name)
    given: dict[str, Any] = {"num_classes": classes}
    if builder.__module__.endswith("vision_transformer"):
        if shape[1] != shape[2]:
            raise recipe_error(
                "data.image_size", "conflict", f"{arch} takes square images, but they are {shape[2]}x{shape[1]}"
            )
        given["image_size"] = shape[1]
    network = _called(arch, builder, weights=None, **given, **args)
    if getattr(network, "aux_logits", False):
        raise recipe_error(
            "model.args", "unsupported", f"{arch} has several outputs in training; write args: {{aux_logits: false}}"
        )
    return network


def _called(arch: str, factory: Any, *names: str, **arguments: Any) -> nn.Module:
    try:
        network: nn.Module = factory(*names, **arguments)
    except (TypeError, ValueError, RuntimeError, AssertionError, KeyError, AttributeError, ZeroDivisionError) as error:
        shown = {name: value for name, value in arguments.items() if name not in _WEIGHTS}
        raise recipe_error(
            "model.args", "wrong-value", f"{arch} cannot be built from {shown}: {_first_line(error)}"
        ) from error
    return network


def _try(arch: str, network: nn.Module, classes: int, shape: tuple[int, int, int]) -> None:
    """One image through the network: whether it takes this size, and gives one logit a class."""
    with torch.no_grad():
        try:
            out = network.eval()(torch.zeros(1, *shape))
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            raise recipe_error(
                "data.image_size",
                "conflict",
                f"{arch} does not take images of {shape[2]}x{shape[1]} pixels: {_first_line(error)}; set another image_size",
            ) from error
    network.train()
    if not isinstance(out, torch.Tensor) or out.shape != (1, classes):
        had = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        raise recipe_error(
            "model.arch",
            "unsupported",
            f"{arch} returns {had} for an image, not one logit for each of the {classes} classes",
        )


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
