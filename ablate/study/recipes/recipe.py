"""The recipe: every setting that can change a number, with its type, range and default.

`Recipe` has the fields of the trainer's core; the parts (`ablate.parts`) declare theirs. `fields()` joins both, by dotted path
(`optimizer.lr`), which is how study files, levels and the command line address a field.

A field that came after the first release is left out of what is hashed and stored where it has the value that recipes meant
before it existed: `written` leaves it out, and `parse_recipe` fills it in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ablate.errors import Problem, StudyError, nearest
from ablate.parts.declare import FIRST, DataSet, Network, Part, Refinement
from ablate.parts.declare import Field as Declared
from ablate.parts.declare import Loss as LossPart
from ablate.parts.declare import Optimizer as OptimizerPart
from ablate.parts.declare import Schedule as SchedulePart
from ablate.parts.found import Unfit, fields_of, is_theirs, leave_out, on_change, parts
from ablate.parts.types import Count, NonNegative, Positive
from ablate.parts.weights import Init, names_run
from ablate.study.recipes.field import RecipeField as RecipeField
from ablate.study.recipes.field import recipe_field
from ablate.study.recipes.forms import Arguments, ClassWeights, Globs, Groups, Normalize, Split
from ablate.study.recipes.transforms import Transforms, transforms, without_later
from ablate.study.values.recipe import AnyRecipe

RECIPE_VERSION = 1
"""Raised when the meaning of a recipe changes, so that old results keep theirs."""

LATER: Final = "(a field that came after the first release)"
"""The mark of a field of the core that is left out of the hashed text at its default."""

FIRST_OF_PARTS = (
    "optimizer.momentum",
    "optimizer.nesterov",
    "schedule.step_epochs",
    "schedule.gamma",
    "loss.label_smoothing",
    "mixup.alpha",
)
"""The fields of parts that recipes had from the start. This list never grows: a later field has a `before`."""

CHOICES: Mapping[str, type[Part]] = {kind.kind: kind for kind in (OptimizerPart, SchedulePart, LossPart)}
"""Fields that name one part of a kind, and nothing else."""

TWEAKS: dict[str, dict[str, bool]] = {
    "A": {"stride_in_3x3": False, "deep_stem": False, "avgpool_shortcut": False},
    "B": {"stride_in_3x3": True, "deep_stem": False, "avgpool_shortcut": False},
    "C": {"stride_in_3x3": True, "deep_stem": True, "avgpool_shortcut": False},
    "D": {"stride_in_3x3": True, "deep_stem": True, "avgpool_shortcut": True},
    "C-only": {"stride_in_3x3": False, "deep_stem": True, "avgpool_shortcut": False},
    "D-only": {"stride_in_3x3": False, "deep_stem": False, "avgpool_shortcut": True},
}
"""The tweaks of He et al. 2019 (arXiv 1812.01187, section 4), stacked as they stack them, and the isolated readings."""

Tweak = Literal["A", "B", "C", "D", "C-only", "D-only"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(_Section):
    name: str = Field(
        "digits",
        description="a data set, as `ablate data list` names it, or package.module:callable",
    )
    path: str | None = Field(
        None, description="where the data lies, relative to ABLATE_DATA; needed by imagefolder and npz"
    )
    image_size: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        None, description="side of the square that the network sees, in pixels; none: as the data set has it"
    )
    fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="share of the training images that is used, stratified"
    )
    limit: Count | None = Field(None, description="at most this many training images, stratified")
    split: Split = Field(
        None,
        description="official, or fractions of train, val and test; by default the data set's own, else 0.8 and 0.2",
    )
    augment: Transforms = Field((), description="named transforms in order")
    normalize: Normalize = Field("dataset", description="imagenet, dataset or {mean, std}")
    on_bad_image: Literal["fail", "skip"] = Field(
        "fail", description="what an image that cannot be decoded does to the run"
    )


class Model(_Section):
    arch: str = Field("resnet18", description="a registered network or package.module:callable")
    args: Arguments = Field({}, description="the network's own arguments")
    tweak: Tweak | None = Field("B", description="A, B, C, D as He et al. 2019 stack them; C-only and D-only on A")
    stride_in_3x3: bool | None = Field(
        None, description="stride on the bottleneck's 3x3 (B) instead of its first 1x1 (A)"
    )
    deep_stem: bool | None = Field(None, description="three 3x3 convolutions (32, 32, 64) in place of the 7x7")
    avgpool_shortcut: bool | None = Field(None, description="2x2 average pooling before the shortcut's 1x1")
    small_stem: bool = Field(False, description="3x3 stem of stride 1 without pooling, for small images")
    init: Init = Field("scratch", description="scratch, imagenet, imagenet-v2, a file, or a run")
    allow_variant_mismatch: bool = Field(False, description="load weights that were trained as another variant")
    trainable: Globs = Field("all", description="all, or layers by name or glob; the rest is frozen")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="dropout before the last layer")
    zero_init_gamma: bool = Field(False, description="start the last BatchNorm of each block at 0")


class Optimizer(_Section):
    name: str = "sgd"
    lr: Positive = Field(0.1, description="initial learning rate")
    weight_decay: NonNegative = Field(0.0, description="L2 for sgd, adam and rmsprop; decoupled for adamw and lion")
    no_decay_on_norm_and_bias: bool = False
    groups: Groups = Field({}, description="learning rates by glob of parameter names")


class Schedule(_Section):
    name: str = "constant"
    warmup_epochs: NonNegative = Field(0.0, description="linear warm-up from 0, in epochs")


class Loss(_Section):
    name: Annotated[str, LATER] = Field("cross_entropy", description="what is minimised")
    class_weights: ClassWeights = Field("none", description="none, balanced or a list")


class EarlyStopping(_Section):
    metric: str = Field("val_top1", description="a validation metric")
    patience: Count | None = Field(None, description="evaluations without improvement before the run ends; none: never")


class _Core(_Section):
    data: Data = Data()
    model: Model = Model()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    loss: Loss = Loss()
    early_stopping: EarlyStopping = EarlyStopping()
    select: str = Field("last", description="last, or a validation metric whose best epoch is reported")
    evaluate_every: Count = Field(1, description="epochs between evaluations; the last epoch is always evaluated")
    batch_size: Count = 128
    epochs: Count = 10
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="bf16, fp16: autocast, parameters stay fp32; fp16 scales the loss"
    )


class Recipe(_Core):
    """Every setting of one training, all values filled in. `parse_recipe` makes one.

    The core's fields are its attributes; `get` has those of the parts too.
    """

    values: Mapping[str, Any] = Field(repr=False)

    def get(self, path: str) -> Any:
        """The value of any field by its dotted path, JSON-ready. Raises KeyError for anything else."""
        return self.values[path]


@cache
def fields() -> Mapping[str, RecipeField]:
    """Every recipe field by dotted path, section by section. Raises AblateError for a part of ours that declares what cannot be."""
    declared = _declared()  # first: it may leave parts out, and the core's choices are the parts that are left
    found = {**_core(), **declared}
    known = dict.fromkeys(_section(path) for path in _core())
    last = ("early_stopping", "")
    new = dict.fromkeys(_section(path) for path in found if _section(path) not in known)
    order = [*(section for section in known if section not in last), *new, *last]
    return dict(sorted(found.items(), key=lambda item: order.index(_section(item[0]))))


@cache
def weights_paths() -> tuple[str, ...]:
    """The fields whose values name weights."""
    return tuple(path for path, field in fields().items() if field.names_weights)


def _forget() -> None:
    for cached in (_core, fields, weights_paths):
        cached.cache_clear()


on_change(_forget)


def parse_recipe(nested: Mapping[str, Any]) -> Recipe:
    """A stored recipe with every value filled in and typed. Raises StudyError with every field that is wrong."""
    given = flatten(nested)
    problems = [
        Problem("recipe", None, path, _no_field(path), "unknown-field") for path in given if path not in fields()
    ]
    values: dict[str, Any] = {}
    for path, field in fields().items():
        try:
            values[path] = field.parse(given[path]) if path in given else field.default
        except ValidationError as error:
            problems += [Problem("recipe", None, path, mistake["msg"], "wrong-value") for mistake in error.errors()]
    if problems:
        raise StudyError(problems)
    return Recipe(values=values, **nest({path: values[path] for path in _core()}))


def written(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Values by path as they are hashed and stored: nested, without what came later and has the value from before."""
    known = fields()
    kept = {path: value for path, value in flat.items() if path not in known or not known[path].is_left_out(value)}
    if "data.augment" in kept:
        kept["data.augment"] = without_later(kept["data.augment"])
    return nest(kept)


def flatten(nested: Mapping[str, Any]) -> dict[str, Any]:
    """`{"optimizer": {"lr": 1}}` -> `{"optimizer.lr": 1}`: only the fields that are given."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping) and name not in fields():
            flat |= {f"{name}.{leaf}": item for leaf, item in value.items()}
        else:
            flat[name] = value
    return flat


def filled(nested: Mapping[str, Any]) -> dict[str, Any]:
    """A stored recipe by dotted path, with what it leaves out. Nothing is checked."""
    flat = {path: field.default for path, field in fields().items()} | flatten(nested)
    flat["data.augment"] = [_with_arguments(item) for item in flat["data.augment"]]
    return flat


def shape_of(recipe: AnyRecipe) -> tuple[Any, ...]:
    """What the cost of an epoch depends on, as far as a recipe tells."""
    paths = ("model.arch", "data.image_size", "batch_size", "precision", "data.name", "data.fraction", "data.limit")
    return tuple(recipe.get(path) for path in paths)


def replaced(nested: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """A stored recipe with another value in one field of a section."""
    section, _, leaf = path.rpartition(".")
    return {**nested, section: {**nested.get(section, {}), leaf: value}}


def start_of(recipe: AnyRecipe) -> tuple[str, Mapping[str, Any]]:
    """The field of a stored recipe that names a run whose weights are needed, and what it says; ("", {}) for none."""
    for path in weights_paths():
        value = recipe.get(path)
        if names_run(value):
            return path, value
    return "", {}


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """`{"optimizer.lr": 1}` -> `{"optimizer": {"lr": 1}}`."""
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, leaf = path.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = value
    return nested


def _with_arguments(item: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    ((name, given),) = item.items()
    return {name: {key: field.default for key, field in transforms().get(name, {}).items()} | dict(given)}


def _section(path: str) -> str:
    return path.rpartition(".")[0]


def _no_field(path: str) -> str:
    return (
        f"is not a recipe field here.{nearest(path, fields())} The part that declares it is absent: "
        "install its package, or put its file back."
    )


@cache
def _core() -> Mapping[str, RecipeField]:
    return dict(_walk(_Core, ""))


def _walk(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, RecipeField]]:
    for name, info in section.model_fields.items():
        path = prefix + name
        annotation: Any = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, _Section):
            yield from _walk(annotation, path + ".")
            continue
        if path in CHOICES:
            annotation = Literal[tuple(parts(CHOICES[path]))]
        for extra in info.metadata:
            annotation = Annotated[annotation, extra]
        is_first = LATER not in info.metadata
        yield path, recipe_field(path, annotation, info.default, info.description or "", is_first=is_first)


def _declared() -> dict[str, RecipeField]:
    """The fields that parts declare. Parts of other packages that cannot be are left out."""
    while True:
        try:
            return _declared_by_fit_parts()
        except Unfit as unfit:
            leave_out(unfit)


def _declared_by_fit_parts() -> dict[str, RecipeField]:
    """Raises Unfit for the first part that declares what cannot be; ours come before those of other packages."""
    for refinement in parts(Refinement).values():
        if not refinement.is_off({path: declared.default for path, declared in refinement.fields.items()}):
            raise Unfit(refinement, f"{refinement.name} must be off by default: recipes did without it.")
    by_kind = {kind: fields_of(kind) for kind in (Network, OptimizerPart, SchedulePart, LossPart, DataSet, Refinement)}
    owners = [part for kind in by_kind for part in parts(kind).values()]
    found: dict[str, RecipeField] = {}
    kinds: dict[str, type[Part]] = {}
    for part in sorted(owners, key=is_theirs):
        for path, declared in part.fields.items():
            if path in _core() or kinds.setdefault(path, type(part)) is not type(part):
                raise Unfit(part, f"{path} is a field already, of another kind; give this one another name.")
            if path not in found:
                found[path] = _field(part, path, declared)
    return {path: found[path] for declared_by in by_kind.values() for path in declared_by}


def _field(part: Part, path: str, declared: Declared) -> RecipeField:
    if not re.fullmatch(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*", path):
        raise Unfit(part, f"{path!r} cannot be a field; write section.name, in small letters.")
    is_first = declared.before == FIRST
    if is_first != (path in FIRST_OF_PARTS):
        raise Unfit(
            part,
            f"{path} needs before={declared.default!r}, its default: what recipes meant before it existed. At that value it "
            "is left out of what is hashed, so no result loses its id.",
        )
    try:
        return recipe_field(path, declared.type, declared.default, declared.about, is_first=is_first)
    except ValidationError as error:
        raise Unfit(part, f"the default of {path} is not valid: {error}") from None
