"""What a refinement does in the training loop: `Refinement.make(settings, setup)` gives a `Hook` for one training.

The loop calls a hook where its part's `acts` says, in this order: `mix` on the images and `targets` on the labels of a batch, `loss`,
`gradient` before the optimizer's step, `weights` after it, `epoch` at the end of an epoch. What a hook remembers from step to
step goes through `state` and `load`, so that a resumed run ends as an undisturbed one, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Setup:
    """The training that a hook is made for. `network` is the one that trains, on its device.

    `forward(network)` is a network as a function from normalised images (N, C, H, W) to logits (N, classes), in the recipe's
    precision; `load_network(init)` is the network that weights named as in `model.init` belong to, in evaluation mode.
    """

    seed: int
    classes: int
    device: torch.device
    precision: str
    steps_per_epoch: int
    total_steps: int
    network: nn.Module
    forward: Callable[[nn.Module], Callable[[Tensor], Tensor]]
    load_network: Callable[[Any], nn.Module]


@dataclass(frozen=True)
class Place:
    """Where a batch stands: its epoch and its number in it, from 0. Draws are keyed by the seed and by these."""

    seed: int
    epoch: int
    batch: int


@dataclass(frozen=True)
class Mix:
    """How a batch was mixed with itself: `partner` (N,) is the second image of each pair, `lam` the share of the first."""

    lam: float
    partner: Tensor


class Hook:
    """Does nothing anywhere; a method is overridden, and its place named in `acts`."""

    def mix(self, images: Tensor, place: Place) -> tuple[Tensor, Mix]:
        """Normalised images (N, C, H, W) mixed in pairs. Of several hooks that mix, one acts on each batch."""
        raise NotImplementedError

    def targets(self, targets: Tensor) -> Tensor:
        """Probabilities (N, classes), float32, before they are mixed."""
        return targets

    def loss(self, loss: Tensor, logits: Tensor, images: Tensor) -> Tensor:
        """The scalar loss of logits (N, classes), float32, and of the images as the network saw them."""
        return loss

    def gradient(self, again: Callable[[], None]) -> None:
        """Gradients are in place and unscaled; `again()` computes them again for the same batch with the same draws.

        Not in fp16: a part that calls `again` excludes `precision: fp16`.
        """

    def weights(self) -> None:
        """The optimizer has made its step."""

    def epoch(self, done: int) -> None:
        """`done` epochs are over, before their evaluation."""

    def evaluated(self) -> nn.Module | None:
        """The network that is evaluated and kept, where it is not the one that trains."""
        return None

    def state(self) -> Mapping[str, Any]:
        """What a checkpoint holds, in types that `weights_only=True` reads."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` gave."""
