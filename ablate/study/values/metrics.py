"""Metrics: named scalars with a unit and a direction."""

from __future__ import annotations

from dataclasses import dataclass

from ablate.parts.splits import SPLIT_WORDS as SPLIT_WORDS
from ablate.parts.splits import SPLITS as SPLITS

READER = 2
"""Version of the reader of other trainers' numbers, part of their code: raise it where it reads an output differently.

1 took what a pattern's group matched, though the number went on behind it.
"""


def split_of(word: str) -> str | None:
    """The split that a word means, in any case: `train`, `val` or `test`. None for any other word."""
    return SPLIT_WORDS.get(word.strip().casefold())


@dataclass(frozen=True)
class Metric:
    """`better` is `higher`, `lower` or `neither`; `unit` is `fraction`, `nats`, `s`, `bytes`, `1/s` or empty."""

    name: str
    better: str
    unit: str
    about: str


_OURS = (
    Metric("loss", "lower", "nats", "cross-entropy without smoothing or mixup"),
    Metric("top1", "higher", "fraction", "share of examples whose first guess is right"),
    Metric(
        "top5",
        "higher",
        "fraction",
        "share of examples with the right class among five guesses; absent below 5 classes",
    ),
    Metric("mean_class_accuracy", "higher", "fraction", "mean of the classes' accuracies"),
    Metric(
        "weighted_top1", "higher", "fraction", "training accuracy on images that are mixed or pasted, weighted by lam"
    ),
    Metric("objective", "lower", "nats", "the training loss as it is minimised, smoothing and mixing included"),
)
_CLASS = (
    Metric("precision", "higher", "fraction", "right among those guessed as the class"),
    Metric("recall", "higher", "fraction", "right among those of the class"),
    Metric("f1", "higher", "fraction", "harmonic mean of precision and recall"),
    Metric("support", "neither", "", "examples of the class"),
)
_COSTS = (
    Metric("seconds", "lower", "s", "wall time of the run"),
    Metric("examples_per_second", "higher", "1/s", "training examples a second"),
    Metric("peak_memory", "lower", "bytes", "most memory held at once"),
    Metric("epochs_trained", "neither", "", "epochs until the run ended"),
    Metric("selected_epoch", "neither", "", "the epoch that the recipe's select chose"),
    Metric("train_lr", "neither", "", "learning rate at the end of the epoch"),
)

CLASS_METRICS = tuple(metric.name for metric in _CLASS)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *_OURS,
        *(Metric(f"{split}_{m.name}", m.better, m.unit, f"{m.about} ({split})") for split in SPLITS for m in _OURS),
        *_CLASS,
        *_COSTS,
    )
}
"""Every metric of the built-in trainer by name. Without a prefix: the reported split."""

_OF_COST = ("s", "1/s", "bytes")


def is_cost(name: str) -> bool:
    """Whether a metric says what a training cost: the one that no training gives again."""
    metric = METRICS.get(name) or METRICS.get(name.partition("_")[2])
    return metric is not None and metric.unit in _OF_COST
