"""Ids that last: a field that came after the first release is left out of what is hashed at the value from before it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from golden_texts import raising

from ablate.errors import AblateError, StudyError
from ablate.parts.declare import FIRST, Field, Network, Optimizer, Part, Refinement, Transform
from ablate.parts.found import parts, register, unregister
from ablate.study.grammar import json_schema
from ablate.study.loader import Choices, load
from ablate.study.recipes.digest import arm_id, canonical_json
from ablate.study.recipes.recipe import FIRST_OF_PARTS, fields, flatten, parse_recipe, written
from ablate.study.recipes.transforms import transforms
from ablate.study.recipes.uses import parts_used, settings_of

ROOT = Path(__file__).resolve().parents[2]

FROM_THE_START = [
    "data.name",
    "data.path",
    "data.image_size",
    "data.fraction",
    "data.limit",
    "data.split",
    "data.augment",
    "data.normalize",
    "data.on_bad_image",
    "model.arch",
    "model.args",
    "model.tweak",
    "model.stride_in_3x3",
    "model.deep_stem",
    "model.avgpool_shortcut",
    "model.small_stem",
    "model.init",
    "model.allow_variant_mismatch",
    "model.trainable",
    "model.dropout",
    "model.zero_init_gamma",
    "optimizer.name",
    "optimizer.lr",
    "optimizer.momentum",
    "optimizer.nesterov",
    "optimizer.weight_decay",
    "optimizer.no_decay_on_norm_and_bias",
    "optimizer.groups",
    "schedule.name",
    "schedule.warmup_epochs",
    "schedule.step_epochs",
    "schedule.gamma",
    "loss.label_smoothing",
    "loss.class_weights",
    "mixup.alpha",
    "early_stopping.metric",
    "early_stopping.patience",
    "select",
    "evaluate_every",
    "batch_size",
    "epochs",
    "precision",
]

BEFORE: dict[str, Any] = {
    "loss.name": "cross_entropy",
    "loss.gamma": 2.0,
    "loss.target_threshold": None,
    "schedule.power": 1.0,
    "cutmix.alpha": 0.0,
    "optimizer.clip_norm": None,
    "distillation.teacher": None,
    "distillation.alpha": 0.5,
    "distillation.temperature": 1.0,
    "ema.decay": 0.0,
    "sam.rho": 0.0,
    "model.activation": "relu",
    "model.blur_pool": False,
    "model.norm": "batch",
    "model.squeeze_excitation": False,
    "model.stochastic_depth": 0.0,
}
"""What recipes meant before a field existed. Lines are added; none is changed or taken out."""

ARGUMENTS_FROM_THE_START: dict[str, dict[str, Any]] = {
    "color_jitter": {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0},
    "horizontal_flip": {"p": 0.5},
    "random_crop": {"padding": 4},
    "random_resized_crop": {"scale_min": 0.08, "ratio_min": 0.75},
    "rotation": {"degrees": 15.0},
    "auto_contrast": {"p": 0.5},
    "equalize": {"p": 0.5},
    "grayscale": {"p": 0.1},
    "invert": {"p": 0.5},
    "posterize": {"bits": 4, "p": 0.5},
    "rand_augment": {"num_ops": 2, "magnitude": 9},
    "random_erasing": {"p": 0.5, "scale_min": 0.02, "scale_max": 0.33, "ratio_min": 0.3, "value": 0},
    "sharpness": {"sharpness": 0.9},
    "shear_x": {"shear": 0.3},
    "shear_y": {"shear": 0.3},
    "solarize": {"threshold": 128, "p": 0.5},
    "translate_x": {"share": 0.1},
    "translate_y": {"share": 0.1},
    "trivial_augment": {},
}
"""The arguments with which a transform was released, written out wherever it is used; a later argument has a `before`."""


def test_the_fields_of_the_first_release_are_a_closed_list() -> None:
    found = [path for path, field in fields().items() if field.before == FIRST]
    new = set(found) - set(FROM_THE_START)
    assert not new, f"{new}: give each before=(its default), and write it into BEFORE; else every published id moves"
    assert set(found) == set(FROM_THE_START)


def test_what_recipes_meant_before_a_field_never_changes() -> None:
    found = {path: field.before for path, field in fields().items() if field.before != FIRST}
    new = {path: value for path, value in found.items() if path not in BEFORE}
    assert not new, f"add to BEFORE, for good: {new}"
    assert found == BEFORE
    assert all(fields()[path].default == value for path, value in BEFORE.items())


def test_the_arguments_of_a_transform_never_change() -> None:
    found = {
        name: {key: field.default for key, field in arguments.items() if field.before == FIRST}
        for name, arguments in transforms().items()
    }
    new = {name: arguments for name, arguments in found.items() if name not in ARGUMENTS_FROM_THE_START}
    assert not new, f"add to ARGUMENTS_FROM_THE_START, for good: {new}"
    assert found == ARGUMENTS_FROM_THE_START
    later = [field for arguments in transforms().values() for field in arguments.values() if field.before != FIRST]
    assert all(field.default == field.before for field in later)


def test_a_default_that_is_not_the_value_from_before_is_refused() -> None:
    with raising(ValueError):
        Field(float, 0.1, "", before=0.0)


# What is added while the program runs ---------------------------------------------------------------------------------


@pytest.fixture
def add() -> Iterator[Callable[[Part], None]]:
    added: list[Part] = []

    def one(part: Part) -> None:
        register(part, __name__)
        added.append(part)

    yield one
    for part in added:
        unregister(part)


def shake(**fields_: Field) -> Refinement:
    declared = {"shake.alpha": Field(float, 0.0, "how much", before=0.0), **fields_}
    return Refinement(
        name="shake", acts=("loss",), fields=declared, is_off=lambda settings: settings["shake.alpha"] == 0
    )


def ids_of(name: str, profile: str | None = "cpu") -> list[tuple[str, str]]:
    study = load(ROOT / "experiments" / name, Choices(profile))
    return [(run.run_id, canonical_json(run.recipe.json)) for run in study.runs]


def test_a_field_a_refinement_and_a_network_that_are_added_move_no_id(add: Any, read: Any) -> None:
    plain = "study: s\nseeds: 1\nrecipe: {data.augment: [random_crop]}"
    names = ("lee2024/lee2024.yaml", "refinements.yaml")
    before = [ids_of(name) for name in names], read(plain).runs
    add(shake())
    add(Network(name="third-net", build=dict, takes=("model.dropout", "model.depth_of_mine"),
                fields={"model.depth_of_mine": Field(int, 3, "blocks", before=3)}))  # fmt: skip
    add(Optimizer(name="mine", make=dict, fields={"optimizer.beta_of_mine": Field(float, 0.5, "", before=0.5)}))
    assert ([ids_of(name) for name in names], read(plain).runs) == before
    used = read(plain.replace("{", "{shake.alpha: 0.5, model.arch: third-net, optimizer.name: mine, ")).runs[0].recipe
    assert used["shake"] == {"alpha": 0.5}
    assert "depth_of_mine" not in used["model"]
    assert "beta_of_mine" not in used["optimizer"]
    assert "shake.alpha" in json_schema()["$defs"]["settings"]["properties"]
    assert [part.name for part in parts_used(used)][:4] == ["mine", "constant", "cross_entropy", "third-net"]
    assert [settings_of(part, used) for part in parts_used(used) if part.name in ("shake", "third-net")] == [
        {"model.depth_of_mine": 3},
        {"shake.alpha": 0.5},
    ]


def test_a_section_added_and_taken_back_is_forgotten(add: Any, refused: Any) -> None:
    part = shake()
    register(part, __name__)
    assert "shake.alpha" in fields()
    unregister(part)
    assert "shake.alpha" not in fields()
    assert "unknown-field" in refused("shake.alpha: 0.1")


def test_settings_of_what_is_not_chosen_lose_their_value(add: Any, read: Any) -> None:
    extra = {"shake.width": Field(int, 3, "how wide", before=3)}
    add(shake(**extra))
    add(Optimizer(name="mine", make=dict, fields={"optimizer.beta_of_mine": Field(float, 0.5, "", before=0.5)}))
    for settings, why in (
        ("shake.width: 7", "shake is off"),
        ("optimizer.beta_of_mine: 0.9", "sgd has no beta_of_mine setting"),
    ):
        study = read(f"study: s\nseeds: 1\nfactors: {{f: {{levels: {{a: , b: {{{settings}}}}}}}}}\nbaseline: {{f: a}}")
        assert [arm.why for arm in study.arms if arm.merged_into] == [why]
        assert study.runs == read("study: s\nseeds: 1").runs
    on = read("study: s\nseeds: 1\nrecipe: {shake: {alpha: 0.5, width: 7}}").runs[0]
    assert on.recipe["shake"] == {"alpha": 0.5, "width": 7}


def test_a_network_takes_what_it_says(add: Any, read: Any) -> None:
    add(Network(name="third-net", build=dict, takes=("model.dropout",)))
    add(Network(name="deep-net", build=dict, takes=("model.depth_of_mine",),
                fields={"model.depth_of_mine": Field(int, 3, "blocks", before=3)}))  # fmt: skip

    def model(text: str) -> Any:
        return read(f"study: s\nseeds: 1\nrecipe: {{model: {{{text}}}}}").runs[0].recipe["model"]

    assert "depth_of_mine" not in model("arch: third-net, depth_of_mine: 9")
    assert model("arch: third-net, dropout: 0.5")["dropout"] == 0.5
    assert model("arch: deep-net, depth_of_mine: 9, dropout: 0.5")["depth_of_mine"] == 9
    assert model("arch: deep-net, dropout: 0.5")["dropout"] == 0.0
    own = model("arch: 'my.nets:net', depth_of_mine: 9, dropout: 0.5")
    assert "depth_of_mine" not in own
    assert own["dropout"] == 0.5


def test_refinements_that_exclude_each_other_are_refused_with_what_to_write(add: Any, read: Any, mistakes: Any) -> None:
    add(shake())
    still = Refinement(
        name="still", acts=("loss",), fields={"still.rate": Field(float, 0.0, "", before=0.0)},
        is_off=lambda settings: settings["still.rate"] == 0, excludes={"shake": "set shake.alpha to 0."},
    )  # fmt: skip
    add(still)
    text = "study: s\nseeds: 1\nrecipe:\n  still.rate: 0.1\n  shake.alpha: "
    assert mistakes(text + "0.5") == ["s.yaml:4: recipe.still.rate: conflict"]
    read(text + "0.0")


def test_a_later_argument_of_a_transform_is_left_out_at_the_value_from_before(read: Any) -> None:
    first = {"size": Field(int, 4, "pixels")}

    def recipes(fields_: dict[str, Field], *written: str) -> list[Any]:
        part = Transform(name="smear", fields=fields_, draws=1, kernel=dict)
        register(part, __name__)
        try:
            return [read(f"study: s\nseeds: 1\nrecipe: {{data.augment: [{item}]}}").runs[0] for item in written]
        finally:
            unregister(part)

    (before,) = recipes(first, "smear")
    later = {**first, "mode": Field(str, "zero", "what is outside", before="zero")}
    same, told, other = recipes(later, "smear", "{smear: {mode: zero}}", "{smear: {mode: edge}}")
    assert before == same == told
    assert other.recipe["data"]["augment"] == [{"smear": {"size": 4, "mode": "edge"}}]
    assert other.run_id != before.run_id


def test_who_reads_a_stored_recipe_fills_in_what_it_leaves_out(add: Any, read: Any) -> None:
    later = {"size": Field(int, 4, "pixels"), "mode": Field(str, "zero", "what is outside", before="zero")}
    add(Transform(name="smear", fields=later, draws=1, kernel=dict))
    add(shake())
    stored = read("study: s\nseeds: 1\nrecipe: {data.augment: [smear]}").runs[0].recipe
    recipe = parse_recipe(stored)
    assert recipe.get("shake.alpha") == 0.0
    assert recipe.loss.name == recipe.get("loss.name") == "cross_entropy"
    assert recipe.get("data.augment") == [{"smear": {"size": 4, "mode": "zero"}}]
    assert written(recipe.values) == stored


@pytest.mark.parametrize(
    ("fields_", "named"),
    [
        ({"shake.alpha": Field(float, 0.0, "")}, "shake.alpha"),
        ({"mixup.alpha": Field(float, 0.0, "")}, "mixup.alpha"),
        ({"optimizer.lr": Field(float, 0.1, "", before=0.1)}, "optimizer.lr"),
        ({"alpha": Field(float, 0.0, "", before=0.0)}, "alpha"),
        ({"a.b.c": Field(float, 0.0, "", before=0.0)}, "a.b.c"),
        ({"shake.alpha": Field(int, "x", "", before="x")}, "shake.alpha"),
    ],
)  # fmt: skip
def test_a_declaration_that_cannot_be_says_why(add: Any, fields_: Any, named: str) -> None:
    add(Refinement(name="shake", acts=("loss",), fields=fields_, is_off=lambda settings: True))
    with raising(AblateError, match=named):
        fields()


def test_a_refinement_that_is_on_by_default_is_refused(add: Any) -> None:
    fields_ = {"shake.alpha": Field(float, 0.5, "", before=0.5)}
    add(Refinement(name="shake", acts=("loss",), fields=fields_, is_off=lambda settings: not settings["shake.alpha"]))
    with raising(AblateError):
        fields()


def test_the_first_fields_of_parts_are_a_closed_list() -> None:
    declared = {path for kind in (Refinement, Optimizer) for part in parts(kind).values() for path in part.fields}
    assert set(FIRST_OF_PARTS) <= declared | {"schedule.step_epochs", "schedule.gamma"}
    assert set(FIRST_OF_PARTS) <= set(FROM_THE_START)


def test_a_stored_recipe_with_a_field_that_nobody_declares_is_not_trained(read: Any) -> None:
    stored = read("study: s\nseeds: 1").runs[0].recipe
    with raising(StudyError):
        parse_recipe({**stored, "shake": {"alpha": 0.5}})


# What is published ----------------------------------------------------------------------------------------------------


def test_the_published_database_holds_the_texts_that_are_hashed_today() -> None:
    with sqlite3.connect(f"file:{ROOT / 'results.db'}?mode=ro", uri=True) as database:
        stored = database.execute(
            "select arm_id, recipe from arms where trainer is null or trainer = 'null'"
        ).fetchall()
    assert len(stored) >= 84
    for identity, text in stored:
        recipe = json.loads(text)
        again = written(parse_recipe(recipe).values)
        assert canonical_json(again) == canonical_json(recipe)
        assert set(flatten(recipe)) >= set(FROM_THE_START)
        starts = (recipe["model"]["init"], recipe.get("distillation", {}).get("teacher"))
        if not any("run" in str(start) for start in starts):  # a child's arm hashes its parent's arm, not its run
            assert arm_id(canonical_json(again)) == identity
