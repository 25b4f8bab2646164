"""Metrics: named scalars with a unit and a direction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from ablate.parts.splits import SPLIT_WORDS as SPLIT_WORDS
from ablate.parts.splits import SPLITS as SPLITS

READER = 2
"""Version of the reader of other trainers' numbers, part of their code: raise it where it reads an output differently.

1 took what a pattern's group matched, though the number went on behind it.
"""


def split_of(word: str) -> str | None:
    """The split that a word means, in any case: `train`, `val` or `test`. None for any other word."""
    return SPLIT_WORDS.get(word.strip().casefold())


def metric_name(text: str) -> str:
    """The name that a metric goes by: `val/acc` and `eval/acc` are `val_acc`, and `loss/total` is `loss_total`."""
    head, _, tail = text.partition("/")
    split = split_of(head) if tail else None
    return str(MetricName(split, tail.replace("/", "_"))) if split else text.replace("/", "_")


@dataclass(frozen=True, slots=True)
class MetricName:
    """`loss` of the split `val` is written `val_loss`, in files and in the database: this alone makes that text, and reads it.

    The split is one of `SPLITS`, or None where none is named: the reported split, or no split at all. The name is any word that is
    not empty, with underscores or not.
    """

    split: str | None
    name: str

    @classmethod
    def parse(cls, text: str, split: str | None = None) -> MetricName:
        """Read any text. Where it names no split (another word, a slash, a split alone), its split is the one that is given."""
        head, _, tail = text.partition("_")
        return cls(head, tail) if head in SPLITS and tail else cls(split, text)

    def __str__(self) -> str:
        return self.name if self.split is None else f"{self.split}_{self.name}"

    def inside(self, split: str | None) -> str:
        """The text among the metrics of a split, where its own stand without a prefix."""
        return self.name if self.split == split else str(self)


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
        *(Metric(str(MetricName(s, m.name)), m.better, m.unit, f"{m.about} ({s})") for s in SPLITS for m in _OURS),
        *_CLASS,
        *_COSTS,
    )
}
"""Every metric of the built-in trainer by name. Without a prefix: the reported split."""

_OF_COST = ("s", "1/s", "bytes")


@cache
def is_cost(name: str) -> bool:
    """Whether a metric says what a training cost: the one that no training gives again. Any word may stand before it."""
    metric = METRICS.get(name) or METRICS.get(name.partition("_")[2])
    return metric is not None and metric.unit in _OF_COST
