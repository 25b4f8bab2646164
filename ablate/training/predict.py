"""Classes for images without labels, by the weights that a done run kept.

The trainer never imports this module, so a change here ages no result. What a prediction depends on besides the recipe
lies beside the weights (`outcome._description`): the classes, the size of the images, and the mean and std of the
training images, which are not worked out again, since they follow from the split of the run's seed. Images go the way of
the run's own evaluation: the same decoding and resizing, no augmentation, the network in evaluation mode, autocast
where the recipe's precision is bf16.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ablate.errors import BadData, NotFound, RunFailure
from ablate.parts.reading.contents import printable
from ablate.parts.reading.images import Pixels
from ablate.study.recipes.recipe import Recipe, parse_recipe
from ablate.study.records import Context
from ablate.study.values.run import Run
from ablate.training import sources
from ablate.training.batches import EVALUATION_PIXELS
from ablate.training.models import build_model
from ablate.training.numerics import numerics, settings
from ablate.training.state_dict import NotWeights, read_tensors, state_in
from ablate.training.unlabelled import Found, Preparation, decoded

SHOWN = 5
"""Bad images that an error names."""

Guess = Callable[[Pixels], tuple[list[int], list[float]]]
"""uint8 (N, 3, H, W) to N class numbers and N probabilities."""


@dataclass(frozen=True)
class Kept:
    """A run's network with the weights of the epoch that its recipe reports, and how its images were made.

    `mean` and `std`, float32 (3,) on the scale 0 to 1, are what the run itself normalised with.
    """

    recipe: Recipe
    network: nn.Module
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    mean: torch.Tensor
    std: torch.Tensor
    epoch: int


@dataclass(frozen=True)
class Prediction:
    """One image: its path relative to the folder, the number of its likeliest class, and that class's probability."""

    file: str
    label: int
    probability: float


@dataclass(frozen=True)
class Predictions:
    """All images in order; `bad` is (path, reason) of those that were left out."""

    rows: tuple[Prediction, ...]
    bad: tuple[tuple[str, str], ...]


def load_network(run: Run, path: Path, sha256: str) -> Kept:
    """The network of `run` with the weights in `path`, whose SHA-256 must be `sha256`, on the CPU.

    Raises NotFound where the file or the JSON beside it is gone, BadData where one is not what was recorded, holds
    more than tensors or does not fit the recipe's network.
    """
    recipe = parse_recipe(run.recipe.json)
    state = _state(path, sha256)
    notes = _notes(path)
    try:
        owner, digest, epoch = str(notes["run_id"]), str(notes["sha256"]), int(notes["epoch"])
        classes = tuple(str(name) for name in notes["classes"])
        channels, height, width = (int(side) for side in notes["image_shape"])
        mean, std = (torch.tensor(notes[name], dtype=torch.float32).reshape(3) for name in ("mean", "std"))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BadData(f"{path.with_suffix('.json')} was not written by a run: {error!r}") from None
    if (owner, digest) != (run.run_id, sha256):
        raise BadData(
            f"{path.with_suffix('.json')} describes other weights: of run {owner[:12]}, SHA-256 {digest[:12]}..., "
            f"instead of run {run.run_id[:12]}, {sha256[:12]}..."
        )
    shape = (channels, height, width)
    network = build_model(
        recipe.model, num_classes=len(classes), image_shape=shape, seed=run.seed, settings=recipe.values
    ).network
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise BadData(
            f"{path} does not fit the network of its recipe, {recipe.model.arch}: {' '.join(str(error).split())}"
        ) from None
    return Kept(recipe, network.eval(), classes, shape, mean, std, epoch)


def _state(path: Path, sha256: str) -> Mapping[str, torch.Tensor]:
    """The tensors in `path`. The bytes that are checked are the bytes that are loaded."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(
            f"{path} is gone; restore the run's folder from where it was trained, or point ABLATE_HOME there",
            code="absent-weights",
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise BadData(
            f"{path} has SHA-256 {found[:12]}..., the run recorded {sha256[:12]}...: it is damaged or from another "
            "run, and was not loaded; restore the recorded file, or train the run again",
            code="digest-differs",
        )
    try:
        state, inside = state_in(read_tensors(io.BytesIO(content)))
    except NotWeights as error:
        raise BadData(f"{path} cannot be read as weights: {error}") from None
    if inside:
        raise BadData(f"{path} is not a state dict but holds one under {inside!r}, which ablate never writes")
    return state


def _notes(path: Path) -> Mapping[str, Any]:
    beside = path.with_suffix(".json")
    try:
        notes = json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound(
            f"{beside} is gone: it holds the classes, mean and std that the run used; restore it from where the run "
            "was trained"
        ) from None
    except ValueError as error:
        raise BadData(f"{beside} is not JSON: {error}") from None
    return notes if isinstance(notes, dict) else {}


def predict(
    kept: Kept, found: Found, context: Context, *, batch_size: int | None = None, skip_bad: bool = False
) -> Predictions:
    """The likeliest class of each image and its softmax probability in float32.

    `batch_size` is by default that of the run's evaluation. Images that cannot be decoded are left out with `skip_bad`,
    else BadData names the first few once all were looked at; none is an error all the same. Raises UsageError for a
    device that is not here, RunFailure where its memory does not do.
    """
    _, height, width = kept.shape
    batch = batch_size or max(kept.recipe.batch_size, EVALUATION_PIXELS // (height * width))
    how = Preparation(kept.recipe.data.image_size, kept.shape)
    rows: list[Prediction] = []
    bad: list[tuple[str, str]] = []
    with settings(context):
        guess = _guesser(kept, context)
        for chunk in decoded(found, how, batch=batch, threads=max(1, context.threads)):
            bad += [(file, image) for file, image in chunk if isinstance(image, str)]
            images = {file: image for file, image in chunk if not isinstance(image, str)}
            if images and (skip_bad or not bad):  # after a bad image the rest is only looked at, to count the bad ones
                labels, probabilities = guess(np.stack(list(images.values())))
                rows += map(Prediction, images, labels, probabilities)
    if bad and not skip_bad:
        raise BadData(_bad_text(found, bad))
    if not rows:
        raise BadData(
            f"{printable(str(found.root))}: none of {len(bad):,} images can be decoded; the first: {_shown(bad[:1])}"
        )
    return Predictions(tuple(rows), tuple(bad))


def _guesser(kept: Kept, context: Context) -> Guess:
    """The network on the context's device. Raises UsageError where that is not here."""
    convolutions = any(isinstance(module, nn.Conv2d) for module in kept.network.modules())
    chosen = numerics(context, precision=kept.recipe.precision, has_convolutions=convolutions)
    kept.network.to(chosen.device, memory_format=chosen.layout)  # type: ignore[call-overload]
    forward = chosen.forward(kept.network)
    mean, std = kept.mean.to(chosen.device), kept.std.to(chosen.device)

    @torch.inference_mode()
    def guess(pixels: Pixels) -> tuple[list[int], list[float]]:
        try:
            images = sources.data.normalize_batch(torch.from_numpy(pixels).to(chosen.device), mean, std)
            logits = forward(images.contiguous(memory_format=chosen.layout)).float()
        except torch.OutOfMemoryError as error:
            raise RunFailure(
                f"out of memory on {context.device} with {len(pixels)} images at a time: {error}; "
                "lower --batch-size, or give --device cpu"
            ) from error
        if not logits.isfinite().all():
            raise RunFailure("the network gives outputs that are not finite, so these weights cannot predict")
        labels = logits.argmax(dim=1)  # of the logits, as in evaluation: probabilities may tie where they round to 1
        probabilities = logits.softmax(dim=1).gather(1, labels.unsqueeze(1)).squeeze(1)
        return labels.tolist(), probabilities.tolist()

    return guess


def _bad_text(found: Found, bad: list[tuple[str, str]]) -> str:
    rest = f"; and {len(bad) - SHOWN:,} more" if len(bad) > SHOWN else ""
    return (
        f"{printable(str(found.root))}: {len(bad):,} of {len(found.files):,} images cannot be used: {_shown(bad[:SHOWN])}{rest}. "
        "Replace or remove them, or leave them out with --skip-bad; nothing was written"
    )


def _shown(bad: list[tuple[str, str]]) -> str:
    return "; ".join(f"{printable(file)} ({reason})" for file, reason in bad)
