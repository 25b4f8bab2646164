"""The recipe: every setting that can change a number, with its type, range and default.

This module is the single list of recipe fields. `FIELDS` flattens it to dotted paths (`optimizer.lr`), which is how
study files, levels and the command line address a field. What each name does is implemented in `ablate.training`;
a test holds the two in step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

RECIPE_VERSION = 1
"""Raised when the meaning of a recipe changes, so that old results keep theirs."""

Fraction = Annotated[float, Field(ge=0, le=1)]
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

TRANSFORMS: dict[str, dict[str, tuple[type, Any]]] = {
    "random_crop": {"padding": (int, 4)},
    "horizontal_flip": {"p": (float, 0.5)},
    "color_jitter": {
        "brightness": (float, 0.0),
        "contrast": (float, 0.0),
        "saturation": (float, 0.0),
        "hue": (float, 0.0),
    },
    "rotation": {"degrees": (float, 15.0)},
    "random_resized_crop": {"scale_min": (float, 0.08), "ratio_min": (float, 0.75)},
}
"""Augmentations by name, each argument with its type and default."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _transforms(value: Any) -> Any:
    """`[flip]`, `[{flip: {p: 0.5}}]` -> `({"name": "flip", "args": {"p": 0.5}},)` with every argument written out."""
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list of transforms, as in [{random_crop: {padding: 4}}, horizontal_flip]")
    return tuple(_transform(item) for item in value)


def _transform(item: Any) -> dict[str, dict[str, Any]]:
    if isinstance(item, str):
        item = {item: {}}
    if not isinstance(item, Mapping) or len(item) != 1:
        raise ValueError("each transform is a name or one {name: {argument: value}}")
    ((name, given),) = item.items()
    given = given or {}
    known = TRANSFORMS.get(name)
    if known is None:
        raise ValueError(f"unknown transform {name!r}; allowed: {', '.join(TRANSFORMS)}")
    if not isinstance(given, Mapping):
        raise ValueError(f"the arguments of {name} are a mapping, as in {{{name}: {{{next(iter(known))}: ...}}}}")
    for argument, value in given.items():
        if argument not in known:
            raise ValueError(f"{name} has no argument {argument!r}; allowed: {', '.join(known)}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name}.{argument} must be a number, not {value!r}")
        if value < 0 or (known[argument][0] is int and value != int(value)):
            raise ValueError(f"{name}.{argument} must be a {known[argument][0].__name__} of at least 0, not {value!r}")
    return {name: {argument: kind(given.get(argument, default)) for argument, (kind, default) in known.items()}}


def _split(value: Any) -> Any:
    if value is None or value == "official":
        return value
    if not isinstance(value, Mapping) or not value or set(value) - {"train", "val", "test"}:
        raise ValueError(
            "must be 'official' or a mapping of train, val and test to fractions, as in {train: 0.8, val: 0.2}"
        )
    shares = {name: share for name, share in value.items() if share != "official"}
    if any(name != "test" for name, share in value.items() if share == "official"):
        raise ValueError("only test can be 'official', as in {val: 0.1, test: official}")
    for name, share in shares.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise ValueError(f"{name} must be a fraction between 0 and 1, not {share!r}")
    if value.get("test") == "official":
        if set(shares) - {"val"} and abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError("train and val must add up to 1 beside an official test set")
        if "val" not in shares:
            raise ValueError("say 'official' alone where nothing is cut from train")
        return {"val": float(shares["val"]), "test": "official"}
    if "train" not in shares or len(shares) < 2:
        raise ValueError("must name train and at least one of val and test")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"the fractions add up to {sum(shares.values()):g}, not to 1")
    return {name: float(shares[name]) for name in ("train", "val", "test") if name in shares}


def _normalize(value: Any) -> Any:
    if value in ("imagenet", "dataset"):
        return value
    if isinstance(value, Mapping) and set(value) == {"mean", "std"}:
        result = {}
        for name in ("mean", "std"):
            numbers = value[name] if isinstance(value[name], list | tuple) else [value[name]] * 3
            if len(numbers) not in (1, 3) or any(
                isinstance(n, bool) or not isinstance(n, int | float) for n in numbers
            ):
                raise ValueError(f"{name} must be one number or one a channel")
            if name == "std" and min(numbers) <= 0:
                raise ValueError("std must be above 0")
            result[name] = [float(n) for n in numbers]
        return result
    raise ValueError("must be 'imagenet', 'dataset' or {mean: ..., std: ...}")


def _init(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        allowed = {"study", "profile", "arm", "seed", "weights"}
        if not set(value) <= allowed | {"run", "sha256", "file", "entry"}:
            raise ValueError(f"a run is named by {', '.join(sorted(allowed))}")
        return dict(value)
    raise ValueError("must be 'scratch', 'imagenet', 'imagenet-v2', a file of weights, or a run: {study, arm, ...}")


def _class_weights(value: Any) -> Any:
    if value in ("none", "balanced"):
        return value
    if (
        isinstance(value, list | tuple)
        and value
        and all(isinstance(w, int | float) and not isinstance(w, bool) and w >= 0 for w in value)
    ):
        return tuple(float(w) for w in value)
    raise ValueError("must be 'none', 'balanced' or a list of one weight a class, none negative")


def _globs(value: Any) -> Any:
    if value == "all":
        return value
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list | tuple) and names and all(isinstance(n, str) and n for n in names):
        return tuple(names)
    raise ValueError("must be 'all' or a list of layer names or globs, as in [layer4, fc]")


def _groups(value: Any) -> Any:
    if isinstance(value, Mapping) and all(
        isinstance(rate, int | float) and not isinstance(rate, bool) and rate >= 0 for rate in value.values()
    ):
        return {str(name): float(rate) for name, rate in value.items()}
    raise ValueError("must map globs of parameter names to learning rates, as in {'layer1.*': 1e-5}")


class Data(_Section):
    name: str = Field(
        "digits",
        description="digits, cifar10, cifar100, caltech101, imagefolder, npz, synthetic or package.module:callable",
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
    split: Annotated[Any, BeforeValidator(_split)] = Field(
        None,
        description="official, or fractions of train, val and test; by default the data set's own, else 0.8 and 0.2",
    )
    augment: Annotated[Any, BeforeValidator(_transforms)] = Field((), description="named transforms in order")
    normalize: Annotated[Any, BeforeValidator(_normalize)] = Field(
        "dataset", description="imagenet, dataset or {mean, std}"
    )
    on_bad_image: Literal["fail", "skip"] = Field(
        "fail", description="what an image that cannot be decoded does to the run"
    )


class Model(_Section):
    arch: str = Field("resnet18", description="a registered network or package.module:callable")
    args: dict[str, Any] = Field({}, description="arguments of the network's own")
    tweak: Tweak | None = Field("B", description="A, B, C, D as He et al. 2019 stack them; C-only and D-only on A")
    stride_in_3x3: bool | None = Field(
        None, description="stride on the bottleneck's 3x3 (B) instead of its first 1x1 (A)"
    )
    deep_stem: bool | None = Field(None, description="three 3x3 convolutions (32, 32, 64) in place of the 7x7")
    avgpool_shortcut: bool | None = Field(None, description="2x2 average pooling before the shortcut's 1x1")
    small_stem: bool = Field(False, description="3x3 stem of stride 1 without pooling, for small images")
    init: Annotated[Any, BeforeValidator(_init)] = Field(
        "scratch", description="scratch, imagenet, imagenet-v2, a file, or a run"
    )
    allow_variant_mismatch: bool = Field(False, description="load weights that were trained as another variant")
    trainable: Annotated[Any, BeforeValidator(_globs)] = Field(
        "all", description="all, or layers by name or glob; the rest is frozen"
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="dropout before the last layer")
    zero_init_gamma: bool = Field(False, description="start the last BatchNorm of each block at 0")


class Optimizer(_Section):
    name: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: Positive = Field(0.1, description="initial learning rate")
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = False
    weight_decay: NonNegative = Field(0.0, description="L2 for sgd and adam, decoupled for adamw")
    no_decay_on_norm_and_bias: bool = False
    groups: Annotated[Any, BeforeValidator(_groups)] = Field(
        {}, description="learning rates by glob of parameter names"
    )


class Schedule(_Section):
    name: Literal["constant", "cosine", "step"] = "constant"
    warmup_epochs: NonNegative = Field(0.0, description="linear warm-up from 0, in epochs")
    step_epochs: Annotated[int, Field(ge=1)] = Field(30, description="step: the rate falls every so many epochs")
    gamma: Annotated[float, Field(gt=0, le=1)] = Field(0.1, description="step: the factor by which it falls")


class Loss(_Section):
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="epsilon, spread as epsilon/C over all C classes"
    )
    class_weights: Annotated[Any, BeforeValidator(_class_weights)] = Field(
        "none", description="none, balanced or a list"
    )


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
        return self.adapter.dump_python(self.adapter.validate_python(value, strict=True), mode="json")


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
