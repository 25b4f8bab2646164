from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from ablate.parts.declare import FIRST
from ablate.study.recipes import normalise
from ablate.study.recipes.recipe import fields, nest, parse_recipe, written
from ablate.study.recipes.transforms import transforms

DEFAULTS: dict[str, Any] = {
    "data.name": "digits", "data.path": None, "data.image_size": None, "data.fraction": 1.0, "data.limit": None,
    "data.split": None, "data.augment": [], "data.normalize": "dataset", "data.on_bad_image": "fail",
    "model.arch": "resnet18", "model.args": {}, "model.tweak": "B", "model.stride_in_3x3": None, "model.deep_stem": None,
    "model.avgpool_shortcut": None, "model.small_stem": False, "model.init": "scratch",
    "model.allow_variant_mismatch": False, "model.trainable": "all", "model.dropout": 0.0, "model.zero_init_gamma": False,
    "optimizer.name": "sgd", "optimizer.lr": 0.1, "optimizer.momentum": 0.9, "optimizer.nesterov": False,
    "optimizer.weight_decay": 0.0, "optimizer.no_decay_on_norm_and_bias": False, "optimizer.groups": {},
    "schedule.name": "constant", "schedule.warmup_epochs": 0.0, "schedule.step_epochs": 30, "schedule.gamma": 0.1,
    "loss.label_smoothing": 0.0, "loss.class_weights": "none", "mixup.alpha": 0.0,
    "early_stopping.metric": "val_top1", "early_stopping.patience": None,
    "select": "last", "evaluate_every": 1, "batch_size": 128, "epochs": 10, "precision": "fp32",
}  # fmt: skip

NUMBER: dict[str, tuple[float, float | None]] = {
    "data.image_size": (0, 4097), "data.fraction": (0, 1.5), "data.limit": (0, None), "model.dropout": (-0.1, 1),
    "optimizer.lr": (0, None), "optimizer.momentum": (-1, 1), "optimizer.weight_decay": (-1, None),
    "schedule.warmup_epochs": (-1, None), "schedule.gamma": (0, 2), "loss.label_smoothing": (-0.1, 1), "mixup.alpha": (-0.2, None),
    "early_stopping.patience": (0, None), "evaluate_every": (0, None), "batch_size": (0, None), "epochs": (-1, None),
}  # fmt: skip
WHOLE = {"data.image_size", "data.limit", "early_stopping.patience", "evaluate_every", "batch_size", "epochs"}
CHOICES = ["data.on_bad_image", "model.tweak", "optimizer.name", "schedule.name", "precision"]
TRUTHS = [path for path, default in DEFAULTS.items() if isinstance(default, bool)] + [
    "model.stride_in_3x3", "model.deep_stem", "model.avgpool_shortcut",
]  # fmt: skip
TEXTS = ["data.name", "data.path", "model.arch", "select", "early_stopping.metric"]
FORMS = ["data.split", "data.augment", "data.normalize", "model.args", "model.init", "model.trainable", "optimizer.groups", "loss.class_weights", "schedule.step_epochs"]  # fmt: skip


def test_every_field_has_its_default_and_belongs_to_one_of_the_groups_below() -> None:
    """Of the first release; later fields have their own table, in test_before.py."""
    assert {path: field.default for path, field in fields().items() if field.before == FIRST} == DEFAULTS
    assert sorted([*NUMBER, *CHOICES, *TRUTHS, *TEXTS, *FORMS]) == sorted(DEFAULTS)
    assert all(field.description for path, field in fields().items() if path not in CHOICES and path not in UNTOLD)


UNTOLD = {"optimizer.momentum", "optimizer.nesterov", "optimizer.no_decay_on_norm_and_bias", "batch_size", "epochs"}


def test_defaults_are_written_out(recipe_of: Any) -> None:
    recipe = recipe_of("epochs: 10")
    values = dict(DEFAULTS) | {"data.split": {"train": 0.8, "val": 0.2}}
    values |= {"model.stride_in_3x3": True, "model.deep_stem": False, "model.avgpool_shortcut": False}
    assert recipe == nest(values)
    assert written(parse_recipe(recipe).values) == recipe


@pytest.mark.parametrize("path", NUMBER)
def test_numbers_have_their_range(refused: Any, recipe_of: Any, path: str) -> None:
    low, high = NUMBER[path]
    assert refused(f"{path}: {low}") == f"recipe.{path}: out-of-range"
    if high is not None:
        assert refused(f"{path}: {high}") == f"recipe.{path}: out-of-range"
    for wrong in ("many", "true", "[1]", "{a: 1}", "'1'"):
        assert refused(f"{path}: {wrong}") == f"recipe.{path}: wrong-type"
    for wrong in (".nan", ".inf", "1e999"):
        assert refused(f"{path}: {wrong}") == f"recipe.{path}: {'wrong-type' if path in WHOLE else 'out-of-range'}"
    if path in WHOLE:
        assert refused(f"{path}: 1.5") == f"recipe.{path}: wrong-type"


@pytest.mark.parametrize("path", CHOICES)
def test_choices(refused: Any, path: str) -> None:
    assert refused(f"{path}: neither") == f"recipe.{path}: wrong-value"
    assert refused(f"{path}: 3") == f"recipe.{path}: wrong-value"


def test_choices_name_the_nearest(refused: Any) -> None:
    assert refused("schedule.name: cosin") == ("recipe.schedule.name: wrong-value")


@pytest.mark.parametrize("path", TRUTHS)
def test_truths(refused: Any, path: str) -> None:
    for wrong in ("on", "1", "yes"):
        assert refused(f"{path}: {wrong}") == f"recipe.{path}: wrong-type"


@pytest.mark.parametrize("path", TEXTS)
def test_texts(refused: Any, path: str) -> None:
    assert refused(f"{path}: 3") == f"recipe.{path}: wrong-type"
    assert refused(f"{path}: [a]") == f"recipe.{path}: wrong-type"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "model.arch: resnet51",
            'recipe.model.arch: unknown-name',
        ),
        (
            "data.name: cifar",
            'recipe.data.name: unknown-name',
        ),
        (
            "select: top1",
            'recipe.select: unknown-name',
        ),
        (
            "early_stopping: {patience: 3, metric: test_top1}",
            'recipe.early_stopping.metric: unknown-name',
        ),
        ("epocs: 3", "recipe.epocs: unknown-field"),
        ("optimiser: {lr: 1}", "recipe.optimiser: unknown-field"),
        ("optimizer: {rate: 1}", "recipe.optimizer.rate: unknown-field"),
        ("a.b: 1", "recipe.a.b: unknown-field"),
        ("mixup: 0.2", 'recipe.mixup: wrong-type'),
        ("mixup: {alpha: 1}\nmixup.alpha: 2", 'recipe.mixup.alpha: duplicate'),
    ],
)  # fmt: skip
def test_wrong_names_say_what_is_allowed(refused: Any, text: str, line: str) -> None:
    assert refused(text) == line


def test_fields_are_nested_or_dotted_in_any_mixture(recipe_of: Any) -> None:
    text = "optimizer: {lr: 1e-3, name: adam}\nmixup.alpha: 0.2\nmodel: {arch: resnet50, args.width: 2}\nmodel.args.depth: 3\nepochs: 3"
    recipe = recipe_of(text)
    assert recipe["optimizer"]["lr"] == 1e-3
    assert recipe["mixup"]["alpha"] == 0.2
    assert recipe["model"]["args"] == {"width": 2, "depth": 3}
    assert recipe["epochs"] == 3


def test_numbers_are_written_in_one_way(recipe_of: Any) -> None:
    assert [
        math.copysign(1, recipe_of(f"optimizer.weight_decay: {zero}")["optimizer"]["weight_decay"])
        for zero in ("0", "-0.0")
    ] == [1, 1]
    lr = recipe_of("optimizer.lr: 1")["optimizer"]["lr"]
    assert (lr, type(lr)) == (1.0, float)


def test_arguments_of_a_network_are_free_but_finite(recipe_of: Any, refused: Any) -> None:
    recipe = recipe_of(
        "model: {arch: 'my.nets:net', args: {widths: [1, 2], deep: {a: null}, b: text}}\nmodel.args.b: 3"
    )
    assert recipe["model"]["args"] == {"widths": [1, 2], "deep": {"a": None}, "b": 3}
    assert recipe_of("model.args.b: 3\nmodel.args: {a: 1}")["model"]["args"] == {"a": 1, "b": 3}
    assert refused("model.args: {a: [.nan]}") == "recipe.model.args: wrong-value"
    assert refused("model.args.a: .inf") == "recipe.model.args.a: wrong-value"
    assert refused("model.args: 3") == "recipe.model.args: wrong-value"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("{train: 0.8, val: 0.2}", {"train": 0.8, "val": 0.2}),
        ("{test: 0.5, train: 0.5}", {"train": 0.5, "test": 0.5}),
        ("{train: 0.6, val: 0.2, test: 0.2}", {"train": 0.6, "val": 0.2, "test": 0.2}),
        ("official", "official"),
        ("{val: 0.1, test: official}", {"val": 0.1, "test": "official"}),
        ("{train: 0.9, val: 0.1, test: official}", {"val": 0.1, "test": "official"}),
        ("null", "official"),
    ],
)  # fmt: skip
def test_splits(recipe_of: Any, given: str, kept: Any) -> None:
    assert recipe_of(f"data: {{name: cifar10, split: {given}}}")["data"]["split"] == kept


@pytest.mark.parametrize(
    "given",
    [
        "0.8", "{}", "{train: 0.8, valid: 0.2}", "{train: 0.8, val: 0.1}", "{train: 1}", "{train: 0.8}", "{val: 0.5, test: 0.5}",
        "{train: .nan, val: 0.2}", "{train: true, val: 0.2}", "{train: official, val: 0.2}", "{test: official}",
        "{train: 0.5, test: official}", "{train: 0.5, val: 0.1, test: official}",
    ],
)  # fmt: skip
def test_mistakes_in_splits(refused: Any, given: str) -> None:
    assert refused(f"data.split: {given}") == "recipe.data.split: wrong-value"


def test_transforms_are_written_out_with_their_arguments(recipe_of: Any) -> None:
    text = "data.augment: [{random_crop: {padding: 4}}, horizontal_flip, {color_jitter: {hue: 0.1}}, {rotation: }]"
    assert recipe_of(text)["data"]["augment"] == [
        {"random_crop": {"padding": 4}},
        {"horizontal_flip": {"p": 0.5}},
        {"color_jitter": {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.1}},
        {"rotation": {"degrees": 15.0}},
    ]
    for name, arguments in transforms().items():
        (item,) = recipe_of(f"data.augment: [{name}]")["data"]["augment"]
        assert set(item[name]) == {argument for argument, field in arguments.items() if field.before == FIRST}


@pytest.mark.parametrize(
    "given",
    [
        "horizontal_flip", "[3]", "[{horizontal_flip: , rotation: }]", "[flip]", "[{horizontal_flip: 0.5}]", "[{horizontal_flip: 0}]",
        "[{horizontal_flip: {q: 1}}]", "[{horizontal_flip: {p: 1.5}}]", "[{horizontal_flip: {p: -0.5}}]",
        "[{horizontal_flip: {p: .nan}}]", "[{rotation: {degrees: .inf}}]", "[{random_crop: {padding: .inf}}]",
        "[{random_crop: {padding: 1.5}}]", "[{color_jitter: {hue: 0.6}}]", "[{color_jitter: {contrast: x}}]",
        "[{random_resized_crop: {scale_min: 0}}]", "[{horizontal_flip: {p: true}}]",
    ],
)  # fmt: skip
def test_mistakes_in_augment(refused: Any, given: str) -> None:
    assert refused(f"data.augment: {given}") == "recipe.data.augment: wrong-value"


def test_normalisation_of_images(recipe_of: Any, refused: Any) -> None:
    for name in ("imagenet", "dataset"):
        assert recipe_of(f"data.normalize: {name}")["data"]["normalize"] == name
    assert recipe_of("data.normalize: {mean: 0.5, std: [1, 2, 3]}")["data"]["normalize"] == {
        "mean": [0.5] * 3,
        "std": [1.0, 2.0, 3.0],
    }
    for wrong in ("mine", "{mean: 1}", "{mean: [1, 2], std: 1}", "{mean: .nan, std: 1}", "{mean: 0, std: [1, 0, 1]}"):
        assert refused(f"data.normalize: {wrong}") == "recipe.data.normalize: wrong-value"


def test_class_weights_layers_and_groups(recipe_of: Any, refused: Any) -> None:
    assert recipe_of("loss.class_weights: balanced")["loss"]["class_weights"] == "balanced"
    assert recipe_of("loss.class_weights: [1, 0, 2.5]")["loss"]["class_weights"] == [1.0, 0.0, 2.5]
    weights = "recipe.loss.class_weights: wrong-value"
    for wrong in ("[-1]", "[0, 0]", "[]", "[.inf]", "[true]", "some", "3"):
        assert refused(f"loss.class_weights: {wrong}").startswith(weights)
    assert recipe_of("model.trainable: fc")["model"]["trainable"] == ["fc"]
    assert recipe_of("model.trainable: [layer4.*, fc]")["model"]["trainable"] == ["layer4.*", "fc"]
    for wrong in ("[]", "[3]", "['']", "3", "{a: 1}"):
        assert refused(f"model.trainable: {wrong}") == "recipe.model.trainable: wrong-value"
    assert recipe_of("optimizer.groups: {layer1.*: 1e-5, '*': 0}")["optimizer"]["groups"] == {
        "layer1.*": 1e-5,
        "*": 0.0,
    }
    for wrong in ("[1]", "{a: -1}", "{a: .nan}", "{a: true}", "{a: x}"):
        assert refused(f"optimizer.groups: {wrong}") == "recipe.optimizer.groups: wrong-value"


@pytest.mark.parametrize("path", [*NUMBER, *CHOICES, *TRUTHS, *TEXTS, *FORMS])
def test_reading_a_field_twice_changes_nothing(path: str) -> None:
    values: dict[str, list[Any]] = {
        "data.split": ["official", {"train": 0.8, "val": 0.2}, {"train": 0.9, "val": 0.1, "test": "official"}],
        "data.augment": [["rotation"], [{"random_crop": None}]],
        "data.normalize": ["imagenet", {"mean": 0.5, "std": 1}],
        "model.init": [
            "imagenet",
            "w.pt",
            {"file": "a", "sha256": None},
            {"study": "s", "arm": "a"},
            {"entry": "E"},
            {"run": "r"},
        ],
        "model.trainable": ["fc", ["a", "b"]],
        "loss.class_weights": [[1, 2], "none"],
        "optimizer.groups": [{"a": 1}],
        "model.args": [{"a": [1, {"b": -0.0}]}],
        "schedule.step_epochs": [5, [2, 4]],
    }
    field = fields()[path]
    for value in [field.default, *values.get(path, [])]:
        once = field.parse(value)
        assert field.parse(once) == once


def test_normalisation_is_idempotent() -> None:
    options: dict[str, list[Any]] = {
        "model.arch": ["resnet18", "resnet50", "two-layer-fc", "my:net"],
        "model.tweak": ["A", "B", "C", "D", "C-only", "D-only", None],
        "model.avgpool_shortcut": [None, True, False],
        "optimizer.name": ["sgd", "adam"],
        "schedule.name": ["constant", "step"],
        "data.name": ["digits", "cifar10"],
    }
    for choice in itertools.product(*options.values()):
        flat = {path: field.default for path, field in fields().items()}
        flat |= {**dict(zip(options, choice, strict=True)), "schedule.gamma": 0.5, "optimizer.momentum": 0.5}
        once, _ = normalise.normalise(flat)
        twice, reasons = normalise.normalise(once)
        assert twice == once
        assert not {path for path in reasons if once[path] != twice[path]}


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("optimizer: {name: adam, momentum: 0.5, nesterov: true}", "optimizer.momentum", 0.9),
        ("optimizer: {name: adamw, nesterov: true}", "optimizer.nesterov", False),
        ("optimizer: {no_decay_on_norm_and_bias: true}", "optimizer.no_decay_on_norm_and_bias", False),
        ("schedule: {gamma: 0.5, step_epochs: 3}", "schedule.gamma", 0.1),
        ("schedule: {name: cosine, step_epochs: 3}", "schedule.step_epochs", 30),
        ("early_stopping: {metric: val_loss}", "early_stopping.metric", "val_top1"),
        ("model: {allow_variant_mismatch: true}", "model.allow_variant_mismatch", False),
        ("model: {arch: two-layer-fc, tweak: D}", "model.tweak", None),
        ("model: {arch: two-layer-fc, small_stem: true, zero_init_gamma: true}", "model.small_stem", False),
        ("model: {arch: resnet50, tweak: A, stride_in_3x3: true}", "model.tweak", "B"),
        ("model: {arch: resnet50, tweak: null}", "model.tweak", "B"),
        ("model: {arch: resnet50, tweak: A, deep_stem: true}", "model.tweak", "C-only"),
        ("model: {arch: resnet50, tweak: D-only, deep_stem: true}", "model.tweak", None),
        ("model: {arch: resnet18, tweak: A}", "model.tweak", "B"),
        ("model: {arch: resnet18, tweak: C-only}", "model.tweak", "C"),
    ],
)  # fmt: skip
def test_settings_without_effect_are_taken_out(recipe_of: Any, text: str, path: str, value: Any) -> None:
    section, _, leaf = path.rpartition(".")
    assert recipe_of(text)[section][leaf] == value


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("optimizer: {nesterov: true, momentum: 0}", "4: recipe.optimizer.nesterov", 'recipe.optimizer.nesterov: conflict'),
        ("epochs: 3\n  schedule.warmup_epochs: 3", "5: recipe.schedule.warmup_epochs", 'recipe.schedule.warmup_epochs: conflict'),
        ("data.name: npz", "4: recipe.data.name", 'recipe.data.name: conflict'),
        ("data: {name: npz, path: /etc/x.npz, split: official}", "4: recipe.data.path", 'recipe.data.path: conflict'),
        ("data: {name: imagefolder, path: a/../../b, split: official}", "4: recipe.data.path", 'recipe.data.path: conflict'),
        ("data: {name: caltech101, split: official}", "4: recipe.data.split", 'recipe.data.split: conflict'),
        ("data.split: {val: 0.1, test: official}", "4: recipe.data.split", 'recipe.data.split: conflict'),
        ("select: val_top1\n  data.split: {train: 0.5, test: 0.5}", "5: recipe.data.split", 'recipe.data.split: conflict'),
        ("data.name: cifar10\n  data.split: official\n  early_stopping.patience: 3", "5: recipe.data.split", 'recipe.data.split: conflict'),
        ("model: {arch: two-layer-fc, init: imagenet}", "4: recipe.model.init", 'recipe.model.init: conflict'),
        ("model: {arch: resnet34, init: imagenet-v2}", "4: recipe.model.init", 'recipe.model.init: conflict'),
    ],
)  # fmt: skip
def test_contradictions_are_told_once_at_their_place(mistakes: Any, text: str, place: str, message: str) -> None:
    study = f"study: s\nseeds: 1\nrecipe:\n  {text}\nfactors: {{size: {{path: batch_size, levels: [1, 2, 3]}}}}\nbaseline: {{size: 1}}\n"
    assert mistakes(study) == [f"s.yaml:{place}: conflict"]


def test_a_contradiction_of_a_level_stands_at_the_level(mistakes: Any) -> None:
    text = "study: s\nrecipe: {data.name: digits}\nfactors:\n  w:\n    path: schedule.warmup_epochs\n    levels:\n      - 0\n      - 20\nbaseline: {w: 0}"
    assert mistakes(text) == ["s.yaml:8: factors.w.levels.1: conflict"]


def test_the_json_schema_of_each_field_comes_from_its_type() -> None:
    for path, field in fields().items():
        assert isinstance(field.adapter, TypeAdapter)
        assert field.adapter.json_schema(), path


def test_class_weights_that_vanish_or_overflow_are_refused(recipe_of: Any, refused: Any) -> None:
    assert recipe_of("loss.class_weights: [1e-6, 1e-30]")["loss"]["class_weights"] == [1e-6, 1e-30]
    for wrong in ("[1e-30, 1e-30]", "[1, 1e300]"):
        assert "recipe.loss.class_weights: wrong-value" in refused(f"loss.class_weights: {wrong}")


def test_every_field_is_in_the_table_of_the_docs() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "study-files.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.partition("## Recipe fields")[2].splitlines() if line.startswith("| `")]
    told = set()
    for row in rows:
        section = ""
        for name in re.findall(r"`([a-z0-9_.]+)`", row):
            section = section if name.startswith(".") else name.rpartition(".")[0]
            told.add(section + name if name.startswith(".") else name)
    missing = sorted(set(fields()) - told)
    assert not missing, f"add to docs/study-files.md, Recipe fields: {missing}"
