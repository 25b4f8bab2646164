from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest

from ablate.errors import StudyError
from ablate.study.recipes.digest import arm_id, canonical_json, run_id
from ablate.study.recipes.recipe import RECIPE_VERSION

RESNETS = """
study: s
seeds: [0, 7]
recipe: {data.name: digits, epochs: 1}
factors:
  arch: {path: model.arch, levels: [resnet18, resnet50]}
  tweak: {path: model.tweak, levels: [A, B, C]}
baseline: {tweak: A}
"""


def test_arms_that_come_to_one_run_are_merged_with_the_reason(read: Any) -> None:
    study = read(RESNETS)
    assert len(study.arms) == 6
    merged = [arm for arm in study.arms if arm.merged_into]
    assert [(arm.name, arm.merged_into, arm.why) for arm in merged] == [
        ("resnet18/B", "resnet18/A", "resnet18 has no bottleneck, so the stride has one place: A and B are one network")
    ]
    assert study.arm("resnet18/A").arm_id == study.arm("resnet18/B").arm_id
    assert len(study.runs) == 5 * 2
    assert len({run.run_id for run in study.runs}) == len(study.runs)


@pytest.mark.parametrize(
    ("factors", "why"),
    [
        (
            "f: {path: model.stride_in_3x3, levels: [false, true]}",
            "resnet18 has no bottleneck, so the stride has one place: A and B are one network",
        ),
        ("f: {path: schedule.gamma, levels: [0.1, 0.5]}", "the constant schedule has no gamma setting"),
        ("f: {path: optimizer.lr, levels: [0.1, 1e-1]}", "their levels set the same values"),
        ("f: {levels: {a: , b: {model.tweak: B}}}", "their levels set the same values"),
    ],
)
def test_the_reason_is_that_of_what_differs(read: Any, factors: str, why: str) -> None:
    level = factors.rpartition("[" if "[" in factors else "{")[2].partition(",")[0] if "path" in factors else "a"
    level = "a" if "a:" in factors.partition("levels")[2] else level
    study = read(
        f"study: s\nrecipe: {{model.tweak: {'B' if 'a:' in factors else 'A'}}}\nfactors:\n  {factors}\nbaseline: {{f: {level}}}"
    )
    assert [arm.why for arm in study.arms if arm.merged_into] == [why]


def test_the_reason_leaves_out_what_is_equal_in_both(read: Any) -> None:
    text = """
    study: s
    factors:
      tweak: {path: model.tweak, levels: [A, D]}
      adam: {levels: {low: {optimizer.momentum: 0.5}, high: {optimizer.momentum: 0.9}}}
    recipe: {optimizer.name: adam}
    baseline: {tweak: A, adam: low}
    """
    study = read(text)
    assert [(arm.merged_into, arm.why) for arm in study.arms if arm.merged_into] == [
        ("A/low", "adam has no momentum setting"),
        ("D/low", "adam has no momentum setting"),
    ]


CLASH = """
study: s
seeds: 3
recipe: {data.name: digits, epochs: 1}
factors:
  opt:
    levels: {sgd: , adam: {optimizer.name: adam, optimizer.lr: 1e-3}}
  refine:
    subsets:
      c: {schedule.name: cosine, optimizer.lr: 0.01}
      l: {loss.label_smoothing: 0.1}
      m: {mixup.alpha: 0.2}
baseline: {opt: sgd, refine: none}
"""


def shown_rule(read: Any, text: str) -> str:
    """The line that the message offers."""
    with pytest.raises(StudyError) as caught:
        read(text)
    (rule,) = re.findall(r"exclude: \[.*\]", str(caught.value))
    return str(rule)


def test_factors_that_set_one_path_differently_show_the_line_to_write_and_the_line_works(
    read: Any, mistakes: Any
) -> None:
    assert mistakes(CLASH) == ["s.yaml:8: factors.refine: conflict"]
    shown = shown_rule(read, CLASH)
    study = read(CLASH + shown)
    assert len(study.arms) == 12
    assert not any(arm.levels["opt"] == "adam" and "c" in arm.levels["refine"].split("+") for arm in study.arms)


def test_the_shown_line_quotes_names_that_yaml_reads_as_something_else(read: Any) -> None:
    text = """
study: s
factors:
  a#1: {path: epochs, levels: {'*x': 1, '-': 2, 'y:z': 3}}
  b: {path: epochs, levels: [1, 2, 3]}
baseline: {'a#1': '*x', b: 1}
"""
    shown = shown_rule(read, text)
    assert shown == "exclude: [{'a#1': '*x', b: [2, 3]}, {'a#1': '-', b: [1, 3]}, {'a#1': 'y:z', b: [1, 2]}]"
    assert [arm.name for arm in read(text + shown).arms] == ["*x/1", "-/2", "y:z/3"]


def test_a_conflict_is_told_once_a_pair_of_factors(mistakes: Any) -> None:
    levels = ", ".join(map(str, range(1, 60)))
    text = f"study: s\nfactors:\n  a: {{path: epochs, levels: [{levels}]}}\n  b: {{path: epochs, levels: [{levels}]}}\nbaseline: {{a: 1, b: 1}}"
    assert len(mistakes(text)) == 1


def test_factors_that_set_one_path_to_one_value_agree(read: Any) -> None:
    text = CLASH.replace("optimizer.lr: 0.01}", "optimizer.lr: 0.001}")
    assert len(read(text).arms) == 16


def test_a_network_s_arguments_conflict_too(read: Any, mistakes: Any) -> None:
    text = "study: s\nfactors:\n  a: {levels: {x: , y: {model.args: {w: 1}}}}\n  b: {levels: {u: , v: {model.args.w: 2}}}\nbaseline: {a: x, b: u}"
    (line,) = mistakes(text)
    assert "factors.b: conflict" in line
    fine = text.replace("model.args: {w: 1}", "model.args.d: 1")
    assert read(fine).arm("y/v").recipe["model"]["args"] == {"d": 1, "w": 2}


def test_levels_apply_after_the_recipe(read: Any) -> None:
    study = read(
        CLASH.replace("epochs: 1}", "epochs: 1, optimizer.lr: 5}")
        + "exclude: [{opt: adam, refine: [c, c+l, c+m, c+l+m]}]"
    )
    assert study.arm("sgd/none").recipe["optimizer"]["lr"] == 5.0
    assert study.arm("adam/none").recipe["optimizer"]["lr"] == 1e-3
    assert study.arm("sgd/c").recipe["optimizer"]["lr"] == 0.01


def test_runs_go_replicate_by_replicate(read: Any) -> None:
    study = read(RESNETS)
    assert [run.seed for run in study.runs] == [0] * 5 + [7] * 5
    assert [run.arm_id for run in study.runs[:5]] == [run.arm_id for run in study.runs[5:]]
    assert all(run.parent is None and run.trainer is None for run in study.runs)


def test_run_id_is_the_hash_of_the_canonical_json(read: Any) -> None:
    for run in read(RESNETS).runs:
        whole = {"recipe": run.recipe.json, "seed": run.seed, "trainer": None, "version": RECIPE_VERSION}
        text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
        assert run.run_id == hashlib.sha256(text.encode()).hexdigest()
        del whole["seed"]
        text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
        assert run.arm_id == hashlib.sha256(text.encode()).hexdigest()


def test_ids_of_a_trainer_hash_it_too() -> None:
    assert (
        run_id("{}", 3, '{"command":"x"}')
        == hashlib.sha256(b'{"recipe":{},"seed":3,"trainer":{"command":"x"},"version":1}').hexdigest()
    )
    assert arm_id("{}", '{"command":"x"}') != arm_id("{}")


def test_a_fixed_recipe_has_a_fixed_run_id(read: Any) -> None:
    """An accidental change of a default, of a number's form or of the hash shows here; a meant one raises RECIPE_VERSION."""
    (run,) = read("study: s\nseeds: [0]").runs
    assert run.run_id == "bad7a86bdec882f1260b794d1c7dc4bb6d6af7a31e5a33514e97524f8a6ef616"
    text = """
    study: s
    seeds: [3]
    recipe:
      data: {name: cifar10, split: {val: 0.1, test: official}, augment: [random_crop, {horizontal_flip: {p: 0.5}}], normalize: imagenet}
      model: {arch: resnet50, tweak: D, init: imagenet, allow_variant_mismatch: true, trainable: [layer4, fc]}
      optimizer: {name: adamw, lr: 1e-3, weight_decay: 0.05, groups: {'layer4.*': 1e-4}}
      schedule: {name: cosine, warmup_epochs: 1}
      loss: {label_smoothing: 0.1, class_weights: balanced}
      mixup.alpha: 0.2
      precision: bf16
    """
    (run,) = read(text).runs
    assert run.run_id == "b8cc2a2ab9652a4d3392d98f3cb6e9d789c824231c50bf64d6a4f1fbe51f6b7b"


CHANGES = {
    "data.name": "synthetic", "data.path": "x", "data.image_size": "16", "data.fraction": "0.5", "data.limit": "10",
    "data.split": "{train: 0.5, val: 0.5}", "data.augment": "[rotation]", "data.normalize": "imagenet",
    "data.on_bad_image": "skip", "model.arch": "resnet50", "model.args": "{a: 1}", "model.tweak": "D",
    "model.stride_in_3x3": "false", "model.deep_stem": "true", "model.avgpool_shortcut": "true", "model.small_stem": "true",
    "model.init": "imagenet", "model.trainable": "[fc]", "model.dropout": "0.1", "model.zero_init_gamma": "true",
    "optimizer.name": "adam", "optimizer.lr": "0.2", "optimizer.momentum": "0.8", "optimizer.nesterov": "true",
    "optimizer.weight_decay": "0.2", "optimizer.no_decay_on_norm_and_bias": "true", "optimizer.groups": "{a: 1}",
    "schedule.name": "cosine", "schedule.warmup_epochs": "1", "schedule.step_epochs": "5", "schedule.gamma": "0.2",
    "loss.label_smoothing": "0.1", "loss.class_weights": "balanced", "mixup.alpha": "0.1",
    "early_stopping.metric": "val_loss", "early_stopping.patience": "7", "select": "val_top1", "evaluate_every": "2",
    "batch_size": "64", "epochs": "9", "precision": "bf16", "model.allow_variant_mismatch": "true",
}  # fmt: skip
WITH_EFFECT = {
    "data.path": "data.name: cifar10",
    "model.stride_in_3x3": "model.arch: resnet50", "optimizer.no_decay_on_norm_and_bias": "optimizer.weight_decay: 0.1",
    "schedule.step_epochs": "schedule.name: step", "schedule.gamma": "schedule.name: step",
    "early_stopping.metric": "early_stopping.patience: 3", "model.allow_variant_mismatch": "model.init: imagenet",
}  # fmt: skip


def test_every_recipe_field_is_hashed(read: Any) -> None:
    from ablate.parts.declare import FIRST
    from ablate.study.recipes.recipe import fields

    assert sorted(CHANGES) == sorted(path for path, field in fields().items() if field.before == FIRST)
    for path, value in CHANGES.items():
        others = f"recipe: {{{WITH_EFFECT[path]}}}" if path in WITH_EFFECT else "recipe: {}"
        text = f"study: s\nseeds: 1\n{others}"
        changed = read(text, sets=(f"{path}={value}",))
        assert changed.runs[0].run_id != read(text).runs[0].run_id, path


def test_what_is_not_hashed(read: Any) -> None:
    text = "study: a\nseeds: 2\nrecipe: {epochs: 3}"
    ids = [run.run_id for run in read(text).runs]
    other = "study: b\nabout: c\ncite: {title: d}\nkeep: all\nseeds: [1, 0, 5]\nrecipe: {epochs: 3, data: {}, optimizer.lr: 0.10}\ntables: {t: {rows: epoch}}"
    found = {run.seed: run.run_id for run in read(other).runs}
    assert [found[0], found[1]] == ids
    assert found[5] not in ids


@pytest.mark.slow
def test_a_hundred_thousand_runs_share_what_they_share(read: Any) -> None:
    rates = ", ".join(f"{i + 1}e-4" for i in range(500))
    decays = ", ".join(f"{i + 1}e-6" for i in range(100))
    study = read(
        "study: s\nseeds: 2\nrecipe: {data.augment: [rotation]}\nfactors:\n"
        f"  lr: {{path: optimizer.lr, levels: [{rates}]}}\n"
        f"  size: {{path: batch_size, levels: [{', '.join(str(i + 1) for i in range(100))}]}}\n"
        "baseline: {lr: 1e-4, size: 1}\n".replace("{decays}", decays)
    )
    assert len(study.arms) == study.arms_before == 50_000
    assert len(study.runs) == 100_000
    assert len({run.run_id for run in study.runs}) == 100_000
    assert len({id(arm.recipe["data"]) for arm in study.arms}) == 1
    assert len({id(arm.recipe["optimizer"]) for arm in study.arms}) == 500
    assert study.runs[0].recipe is study.runs[50_000].recipe is study.arms[0].recipe
    last = study.runs[-1]
    assert last.run_id == run_id(canonical_json(last.recipe.json), 1)


def test_more_runs_than_can_be_planned_are_refused_not_sampled(mistakes: Any) -> None:
    text = f"study: s\nseeds: 100000\nfactors: {{n: {{path: epochs, levels: [{', '.join(str(i) for i in range(1, 31))}]}}}}\nbaseline: {{n: 1}}"
    assert mistakes(text) == ["s.yaml:2: seeds: too-many"]
