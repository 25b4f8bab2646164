"""The recipe: every setting that can change a number, with its type, range and default.

This module is the single list of recipe fields. `fields()` flattens it to dotted paths (`optimizer.lr`), which is how
study files, levels and the command line address a field. What each name does is implemented in `ablate.training`;
a test holds the two in step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ablate.study.forms import Arguments, ClassWeights, Globs, Groups, Init, Normalize, Split, Transforms
from ablate.study.readers import TRANSFORMS as TRANSFORMS

RECIPE_VERSION = 1
"""Raised when the meaning of a recipe changes, so that old results keep theirs."""

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]

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
        description="digits, cifar10, cifar100, caltech101, caltech100 (without Faces_easy), imagefolder, npz, synthetic "
        "or package.module:callable",
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
    args: Arguments = Field({}, description="arguments of the network's own")
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
    name: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: Positive = Field(0.1, description="initial learning rate")
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = False
    weight_decay: NonNegative = Field(0.0, description="L2 for sgd and adam, decoupled for adamw")
    no_decay_on_norm_and_bias: bool = False
    groups: Groups = Field({}, description="learning rates by glob of parameter names")


class Schedule(_Section):
    name: Literal["constant", "cosine", "step"] = "constant"
    warmup_epochs: NonNegative = Field(0.0, description="linear warm-up from 0, in epochs")
    step_epochs: Annotated[int, Field(ge=1)] = Field(30, description="step: the rate falls every so many epochs")
    gamma: Annotated[float, Field(gt=0, le=1)] = Field(0.1, description="step: the factor by which it falls")


class Loss(_Section):
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="epsilon, spread as epsilon/C over all C classes"
    )
    class_weights: ClassWeights = Field("none", description="none, balanced or a list")


class Mixup(_Section):
    alpha: NonNegative = Field(0.0, description="lam ~ Beta(alpha, alpha) per batch; 0 is off")


class EarlyStopping(_Section):
    metric: str = Field("val_top1", description="a validation metric")
    patience: Count | None = Field(None, description="evaluations without improvement before the run ends; none: never")


class Recipe(_Section):
    """Every setting of one training, all defaults written out."""

    data: Data = Data()
    model: Model = Model()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    loss: Loss = Loss()
    mixup: Mixup = Mixup()
    early_stopping: EarlyStopping = EarlyStopping()
    select: str = Field("last", description="last, or a validation metric whose best epoch is reported")
    evaluate_every: Count = Field(1, description="epochs between evaluations; the last epoch is always evaluated")
    batch_size: Count = 128
    epochs: Count = 10
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: autocast, parameters stay fp32")


@dataclass(frozen=True)
class RecipeField:
    """One leaf of the recipe, addressed by its dotted path."""

    path: str
    default: Any
    description: str
    adapter: TypeAdapter[Any]

    def parse(self, value: Any) -> Any:
        """`value` as the field's type, JSON-ready; raises `pydantic.ValidationError`."""
        found = self.adapter.dump_python(self.adapter.validate_python(value, strict=True), mode="json")
        return found + 0.0 if isinstance(found, float) else found  # -0.0 and 0.0 are one setting


@cache
def fields() -> Mapping[str, RecipeField]:
    """Every recipe field by dotted path, in the order of the recipe."""
    return dict(_walk(Recipe, ""))


def _walk(section: type[BaseModel], prefix: str) -> list[tuple[str, RecipeField]]:
    found: list[tuple[str, RecipeField]] = []
    for name, info in section.model_fields.items():
        path = prefix + name
        if isinstance(info.annotation, type) and issubclass(info.annotation, _Section):
            found += _walk(info.annotation, path + ".")
            continue
        annotation: Any = info.annotation
        for extra in info.metadata:
            annotation = Annotated[annotation, extra]
        adapter: TypeAdapter[Any] = TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))
        default = adapter.dump_python(info.default, mode="json")
        found.append((path, RecipeField(path, default, info.description or "", adapter)))
    return found


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
