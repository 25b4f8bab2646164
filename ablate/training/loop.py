"""The training loop of one run: steps, epochs, and where it stands.

Every draw is a function of the seed and the position, so the state below is all that a resumed run needs: no random
generator is saved. Nothing in a step waits for the device; sums are read once an epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ablate.errors import Diverged, StudyError
from ablate.parts import streams
from ablate.parts.hooks import Mix, Place
from ablate.study.recipes.recipe import Recipe
from ablate.training import sources
from ablate.training.batches import Batch, Feed, bounds
from ablate.training.freeze import Frozen, train_mode
from ablate.training.hooking import Hooks
from ablate.training.losses import Objective
from ablate.training.metrics import Evaluation, TrainingSums, evaluate, finite
from ablate.training.numerics import Numerics
from ablate.training.optimizer import set_rates
from ablate.training.registry import recipe_error
from ablate.training.schedule import LearningRate


@dataclass(frozen=True)
class Fed:
    """What a step feeds to `forward`: images (N, C, H, W) and how they were mixed, or what frozen layers gave for them."""

    inputs: torch.Tensor
    mix: Mix | None
    forward: Callable[[torch.Tensor], torch.Tensor]


@dataclass
class Loop:
    """One training in progress. `epoch` and `position` (batches done in it) count from 0, `step` over the whole run.

    `ended` is the number of epochs whose end the hooks have seen: a run that was left in an evaluation comes back to the end of
    its epoch, and they see it once.
    """

    recipe: Recipe
    seed: int
    network: nn.Module
    frozen: Frozen
    optimizer: torch.optim.Optimizer
    objective: Objective
    rate: LearningRate
    hooks: Hooks
    feed: Feed
    numerics: Numerics
    mean: torch.Tensor
    std: torch.Tensor
    epoch: int = 0
    position: int = 0
    step: int = 0
    images_seen: int = 0
    seconds: float = 0.0
    ended: int = 0
    sums: TrainingSums = field(init=False)
    forward: Callable[[torch.Tensor], torch.Tensor] = field(init=False)
    scaler: torch.amp.GradScaler | None = field(init=False)

    def __post_init__(self) -> None:
        self.sums = TrainingSums(self.numerics.device)
        self.forward = self.numerics.forward(self.network)
        self.scaler = self.numerics.scaler()

    @property
    def evaluated(self) -> nn.Module:
        """The network whose metrics are reported and whose weights are kept."""
        return self.hooks.evaluated() or self.network

    @property
    def steps_per_epoch(self) -> int:
        return len(bounds(len(self.feed), self.recipe.batch_size))

    def finish_epoch(self, before_step: Callable[[], None]) -> dict[str, float]:
        """Train on what is left of this epoch and give its training metrics.

        `before_step` is called before each step and may raise to leave; the state is whole then. Raises Diverged where the
        objective was not finite.
        """
        train_mode(self.network, self.frozen)
        started = time.perf_counter()
        seen = self.sums.images
        batches = self.feed.shuffled(self.recipe.batch_size, seed=self.seed, epoch=self.epoch, first=self.position)
        try:
            for batch in batches:
                before_step()
                self._step(batch)
            objective, right, plain = self.sums.means()
        finally:
            self.seconds += time.perf_counter() - started
            self.images_seen += self.sums.images - seen
        self.check_finite(objective)
        if self.ended <= self.epoch:
            for hook in self.hooks.at("epoch"):
                hook.epoch(self.epoch + 1)
            self.ended = self.epoch + 1
        rates = {"lr": self.recipe.optimizer.lr * self.rate.scale(max(0, self.step - 1))}
        if self.hooks.mixers:
            return {"objective": objective, "weighted_top1": right, **rates}
        return {"objective": objective, "loss": plain, "top1": right, **rates}

    def next_epoch(self) -> None:
        self.epoch += 1
        self.position = 0
        self.sums = TrainingSums(self.numerics.device)

    def evaluate(self, feed: Feed, before_batch: Callable[[], None]) -> Evaluation:
        """Metrics of a split with the weights as they are. Raises Diverged where its loss is not finite."""
        network = self.evaluated
        network.eval()
        kept = feed.kept if network is self.network else None
        forward = self.forward if network is self.network else self.numerics.forward(network)

        def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
            for batch in feed.in_order(self.recipe.batch_size):
                before_batch()
                given = kept.of(batch) if kept else None
                yield self.inputs(batch) if given is None else given, batch.labels

        found = evaluate(kept.head if kept else forward, batches(), self.objective.classes, self.numerics.device)
        self.check_finite(found.metrics["loss"])
        return found

    def check_finite(self, value: float) -> None:
        if not finite(value):
            raise Diverged(
                f"the loss was not finite in epoch {self.epoch + 1} of {self.recipe.epochs}; lower optimizer.lr "
                f"({self.recipe.optimizer.lr:g}) or give schedule.warmup_epochs"
            )

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on, for a checkpoint."""
        return {
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler else None,
            "hooks": self.hooks.state(),
            "epoch": self.epoch,
            "position": self.position,
            "step": self.step,
            "images_seen": self.images_seen,
            "seconds": self.seconds,
            "ended": self.ended,
            "sums": self.sums.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler:
            self.scaler.load_state_dict(state["scaler"])
        self.hooks.load(state["hooks"])
        self.sums.load(state["sums"])
        for name in ("epoch", "position", "step", "images_seen", "seconds", "ended"):
            setattr(self, name, state[name])

    def _step(self, batch: Batch) -> None:
        set_rates(self.optimizer, self.rate.scale(self.step))
        fed = self._fed(batch)
        logits, loss = self._backward(batch, fed)
        self._update(batch, fed)
        self._count(logits.detach(), loss.detach(), batch.labels, fed.mix)
        self.position += 1
        self.step += 1

    def _backward(self, batch: Batch, fed: Fed) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and loss, and the gradients in place. The same batch draws the same dropout each time."""
        torch.manual_seed(streams.derive(self.seed, "dropout", self.epoch, self.position))
        try:
            logits = fed.forward(fed.inputs)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise self._one_value(batch) from error
        loss = self.objective(logits, batch.labels, fed.mix)
        for hook in self.hooks.at("loss"):
            loss = hook.loss(loss, logits.float(), fed.inputs)
        (self.scaler.scale(loss) if self.scaler else loss).backward()  # type: ignore[no-untyped-call]
        return logits, loss

    def _update(self, batch: Batch, fed: Fed) -> None:
        """The optimizer's step, between what acts on the gradient and on the weights."""
        acting = self.hooks.at("gradient")
        if acting and self.scaler:
            self.scaler.unscale_(self.optimizer)

        def again() -> None:
            if self.scaler:  # a step's gradients are unscaled once
                raise recipe_error(
                    "precision", "conflict", "is fp16, but a refinement takes two gradients per step; use bf16 or fp32"
                )
            self.optimizer.zero_grad(set_to_none=True)
            self._backward(batch, fed)

        for hook in acting:
            hook.gradient(again)
        try:
            stepped = self._stepped()
        except RuntimeError as error:
            if "without overflow" not in str(error):
                raise
            raise recipe_error(
                "optimizer.lr",
                "out-of-range",
                f"is {self.recipe.optimizer.lr:g}, which float32 cannot hold; rates are usually below 1",
            ) from error
        self.optimizer.zero_grad(set_to_none=True)
        if stepped:
            for hook in self.hooks.at("weights"):
                hook.weights()

    def _stepped(self) -> bool:
        """Make the step; False where float16 gradients overflowed, so that the step is left out and the scale lowered."""
        if self.scaler is None:
            self.optimizer.step()
            return True
        before = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return self.scaler.get_scale() >= before

    def _one_value(self, batch: Batch) -> StudyError:
        """BatchNorm has no variance to divide by where one image has become one pixel."""
        _, _, height, width = batch.images.shape
        return recipe_error(
            "batch_size",
            "out-of-range",
            f"is {self.recipe.batch_size}: in {self.recipe.model.arch} images of {width}x{height} pixels are reduced to one "
            "pixel, and BatchNorm cannot train on one value per channel; set batch_size to at least 2, or a larger "
            "data.image_size",
        )

    def _fed(self, batch: Batch) -> Fed:
        if self.feed.kept and (kept := self.feed.kept.of(batch)) is not None:
            return Fed(kept, None, self.feed.kept.head)
        images, transforms = batch.images, self.recipe.data.augment
        if transforms:
            images = sources.data.augment_batch(images, batch.ids, transforms, seed=self.seed, epoch=self.epoch)
        images = self._normalised(images)
        images, mix = self.hooks.mix(images, Place(self.seed, self.epoch, self.position))
        return Fed(images.contiguous(memory_format=self.numerics.layout), mix, self.forward)

    def inputs(self, batch: Batch) -> torch.Tensor:
        """The images of a batch as the network takes them, where nothing changes them before."""
        return self._normalised(batch.images).contiguous(memory_format=self.numerics.layout)

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        return sources.data.normalize_batch(images, self.mean, self.std)

    def _count(self, logits: torch.Tensor, loss: torch.Tensor, labels: torch.Tensor, mix: Mix | None) -> None:
        guesses = logits.argmax(dim=1)
        right = (guesses == labels).sum()
        if mix is not None:
            right = mix.lam * right + (1 - mix.lam) * (guesses == labels[mix.partner]).sum()
        # the plain cross-entropy of mixed images means nothing, and is not reported
        known = mix is not None or (self.objective.plain and not self.hooks.at("loss"))
        plain = loss if known else F.cross_entropy(logits.float(), labels)
        self.sums.add(loss, right, plain, len(labels))
