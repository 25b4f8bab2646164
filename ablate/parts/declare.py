"""What a part declares of itself: its settings, and where in the training it acts.

Declarations are read when a study is planned, so nothing here, and nothing at the top of a part's file, imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from pathlib import Path

    from ablate.parts.reading.source import Source

FIRST: Final = "(a field of the first release)"
"""The `before` of a field that recipes had from the start: it is always written out."""

ACTS = ("network", "images", "labels", "loss", "gradient", "weights", "epoch")
"""Where a refinement acts, in the order of a step: when the network is built, on a batch's images or labels, on the loss, on
the gradient before the optimizer's step, on the weights after it, at the end of an epoch."""

Settings = Mapping[str, Any]
"""Values by dotted path, as in `{"mixup.alpha": 0.2}`."""


@dataclass(frozen=True)
class Field:
    """One setting: its type as pydantic reads it (a range by `Annotated`), its default, and what it is for.

    `before` is what recipes meant before the field existed. At that value the field is left out of the hashed text, so adding
    a field moves no id. It must equal the default (ValueError): who wants another default needs another field.
    """

    type: Any
    default: Any
    about: str
    before: Any = FIRST

    def __post_init__(self) -> None:
        if self.before != FIRST and self.before != self.default:
            raise ValueError(
                f"a field's default {self.default!r} must be what recipes meant before it, {self.before!r}; "
                "another default needs another field"
            )


@dataclass(frozen=True, kw_only=True)
class Part:
    """What all parts declare: a name, and settings by dotted path. Parts of one kind may share a setting, declared alike."""

    name: str
    fields: Mapping[str, Field] = field(default_factory=dict)

    kind: ClassVar[str]
    folder: ClassVar[str]


@dataclass(frozen=True, kw_only=True)
class Optimizer(Part):
    """`make(groups, settings, fused)` gives the torch optimizer of parameter groups (`params`, `lr`, `weight_decay`).

    `settings` holds this part's own fields; `fused` is True on CUDA, else None. The rate is set before every step.
    """

    make: Callable[..., Any]

    kind = "optimizer.name"
    folder = "optimizers"


@dataclass(frozen=True)
class At:
    """Where a training stands: `step` counts from 0 over the whole run, `done` is the share of the steps after the warm-up
    that have been made, from 0 to 1.
    """

    step: int
    done: float
    steps_per_epoch: int
    warmup_steps: int
    total_steps: int


@dataclass(frozen=True, kw_only=True)
class Schedule(Part):
    """`scale(at, settings)` is the share of the initial rate at a step, after the warm-up.

    `warms_up`: it begins with a warm-up of its own, so `schedule.warmup_epochs` loses its value before hashing.
    """

    scale: Callable[..., float]
    warms_up: bool = False

    kind = "schedule.name"
    folder = "schedules"


@dataclass(frozen=True, kw_only=True)
class Loss(Part):
    """`terms(logits, targets, weights, settings)` are the loss's terms (N, C), float32, of logits (N, C) and probabilities (N, C);
    `weights` is (C,) or None. They are summed over the classes; over the images, the trainer takes the mean. `of_labels(logits,
    labels, settings)` is that mean for plain labels (N,) without weights, where it is faster.
    """

    terms: Callable[..., Any]
    of_labels: Callable[..., Any] | None = None

    kind = "loss.name"
    folder = "losses"


@dataclass(frozen=True, kw_only=True)
class Network(Part):
    """`build(**arguments)` gives a torch module: `num_classes`, `model.args`, and whichever of `image_shape` (channels, height,
    width) and the settings in `takes` (by their last name) its signature has.

    `takes` are the settings that have an effect on it; all others lose their value before hashing. `variant` are those of them
    by which trained weights differ, so that weights of one variant are refused by another. `initialise(module, seed)` draws
    its first weights where the general rule does not fit. `channels`: the images' channels that it takes, None for any.

    `package`: an installed package that it needs, whose version is then part of its code. `weights_in`: folders of packages, as
    `package/folder`, in which files of weights for it lie.
    """

    build: Callable[..., Any]
    takes: tuple[str, ...] = ()
    variant: tuple[str, ...] = ()
    channels: int | None = None
    package: str = ""
    weights_in: tuple[str, ...] = ()
    initialise: Callable[..., None] | None = None

    kind = "model.arch"
    folder = "networks"


@dataclass(frozen=True, kw_only=True)
class Transform(Part):
    """`kernel(images, uniform, arguments)` takes uint8 (B, C, H, W), C of 1 or 3, to the same; `uniform` (B, draws) are an image's
    own draws in [0, 1), and `draws` is their number, or what gives it for the arguments. `fields` are its arguments by bare name.
    """

    draws: int | Callable[[Settings], int]
    kernel: Callable[..., Any]

    kind = "data.augment"
    folder = "transforms"


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An official archive: `folder` in it, or in the archive `inner` within it, becomes `place` under ABLATE_DATA.

    `md5` is the published sum: it tells a broken download, not a forged one.
    """

    url: str
    file: str
    md5: str
    folder: str
    place: str
    inner: str | None = None


FRACTIONS: Final = {"train": 0.8, "val": 0.2}
"""The split of a data set that has none of its own."""


@dataclass(frozen=True, kw_only=True)
class DataSet(Part):
    """`open(place)` gives the data set's `reading.source.Source`, None where that place holds something else.

    `places` are tried in order under ABLATE_DATA; without any, `data.path` must say where it lies. `embedded`: it comes with a
    package or is made, and `open` looks at no place. `classes` and `images` are the official counts, None where the user
    brings the data.

    `official` names the parts of its own split: none is (), and None says that only its folders or keys tell. `split` is what
    `data.split` means where it is left out (None: it must be said).

    `archive` is what `ablate data fetch` gets. What `ablate data verify` holds it against, where it lies as arrays: `each`, the
    images of each class by part, `shape` (channels, height, width), and `sums`, the MD5 of each file of the form `summed`.
    `about` follows the name in a list.
    """

    open: Callable[[Path], Source | None]
    classes: int | None = None
    images: int | None = None
    places: tuple[str, ...] = ()
    embedded: bool = False
    official: tuple[str, ...] | None = None
    split: Any = "official"
    archive: Archive | None = None
    each: Mapping[str, int] = field(default_factory=dict)
    shape: tuple[int, int, int] | None = None
    sums: Mapping[str, str] = field(default_factory=dict)
    summed: str = ""
    about: str = ""
    get: str = ""
    cite: str = ""

    kind = "data.name"
    folder = "data"

    def __post_init__(self) -> None:
        if self.official == () and self.split == "official":
            raise ValueError(f"data set {self.name!r} has no official split, so its `split` must be fractions")

    @property
    def needs_path(self) -> bool:
        """Whether `data.path` must be given."""
        return not self.embedded and not self.places


@dataclass(frozen=True, kw_only=True)
class Refinement(Part):
    """A change of the training procedure, or of the network, that is on or off by its settings.

    `acts`: where, of `ACTS`. `is_off(settings)`: whether it does nothing. `make(settings, setup)`: its `hooks.Hook` in the loop,
    None for one that acts on the network alone. Of several that act at one place, those with `last` come after the others.
    `change(network, settings)` changes a network in place where it is built, on the meta device; `is_variant`: weights that were
    trained with it fit no network without it. A network takes part by listing the settings in its `takes`.
    `excludes`: refinements that it cannot go with by name, or values, as `precision: fp16`, each with what to write instead.
    `on`: as its paper has it.
    """

    acts: tuple[str, ...]
    is_off: Callable[[Settings], bool]
    make: Callable[..., Any] | None = None
    change: Callable[..., None] | None = None
    is_variant: bool = False
    excludes: Mapping[str, str] = field(default_factory=dict)
    on: Settings = field(default_factory=dict)
    last: bool = False

    kind = "refinement"
    folder = "refinements"


KINDS: tuple[type[Part], ...] = (Optimizer, Schedule, Loss, Network, Transform, DataSet, Refinement)
