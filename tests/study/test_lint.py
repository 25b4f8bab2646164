from __future__ import annotations

from typing import Any

import pytest
from golden_texts import coded


def warnings(read: Any, text: str, **settings: Any) -> list[str]:
    return coded(read(text, **settings).warnings)


def test_a_sound_study_has_no_warning(read: Any, lee: str) -> None:
    assert warnings(read, lee) == []
    assert warnings(read, "study: s") == []


def test_a_member_that_sets_several_fields(read: Any, lee: str) -> None:
    assert warnings(
        read, lee.replace("c: {schedule.name: cosine}", "c: {schedule.name: cosine, optimizer.lr: 0.001}")
    ) == ["s.yaml:14: factors.refinements.subsets.c: confounded"]


def test_a_level_that_sets_several_fields(read: Any) -> None:
    text = "study: s\nfactors:\n  o:\n    levels:\n      sgd:\n      adam: {optimizer: {name: adam, lr: 1e-3}}\nbaseline: {o: sgd}"
    assert warnings(read, text) == ["s.yaml:6: factors.o.levels.adam: confounded"]


def test_levels_of_a_path_are_told_from_the_level_before(read: Any) -> None:
    text = """
study: s
factors:
  step:
    levels:
      old: {schedule.name: step}
      cosine: {schedule.name: cosine}
      more: {schedule.name: cosine, mixup.alpha: 0.2}
      both: {schedule.name: cosine, optimizer.lr: 0.01}
design: {path: [step]}
baseline: {step: old}
"""
    assert warnings(read, text) == ["s.yaml:9: factors.step.levels.both: confounded"]
    assert "changes 2 fields at once (optimizer.lr, mixup.alpha)" in read(text).warnings[0].message


def test_a_factor_with_one_level(read: Any) -> None:
    text = "study: s\nfactors:\n  lr: {path: optimizer.lr, levels: [0.1]}\nbaseline: {lr: 0.1}"
    assert warnings(read, text) == ["s.yaml:3: factors.lr: no-effect"]


def test_few_seeds_where_a_claim_is_made(read: Any, lee: str) -> None:
    text = lee.replace("    claims: [c+l is best, c > l by 0.05]\n", "    claims: [{prose: it feels better}]\n")
    told = ["s.yaml:29: tables.table1.claims: too-few-seeds"]
    assert warnings(read, text, seeds=2) == told
    assert warnings(read, text.replace("seeds: 3", "seeds: [4]")) == told
    assert warnings(read, text, seeds=3) == []
    assert warnings(read, lee[: lee.index("tables:")], seeds=1) == []


SELECT = """
study: s
recipe:
  data: {name: digits, split: {train: 0.8, val: 0.2}}
  CHOICE
"""


@pytest.mark.parametrize(
    ("choice", "key"), [("select: val_top1", "select"), ("early_stopping: {patience: 3}", "early_stopping.patience")]
)
def test_what_selects_is_what_is_reported(read: Any, choice: str, key: str) -> None:
    text = SELECT.replace("CHOICE", choice)
    assert warnings(read, text) == [f"s.yaml:5: recipe.{key}: selects-on-reported"]
    assert warnings(read, text.replace("{train: 0.8, val: 0.2}", "{train: 0.6, val: 0.2, test: 0.2}")) == []
    cut = text.replace("digits", "cifar10").replace("{train: 0.8, val: 0.2}", "{val: 0.1, test: official}")
    assert warnings(read, cut) == []
    assert warnings(read, SELECT.replace("CHOICE", "early_stopping: {metric: val_loss}")) == []


def test_arms_that_come_to_the_same_run(read: Any) -> None:
    text = """
study: s
factors:
  arch: {path: model.arch, levels: [resnet18, resnet50]}
  tweak: {path: model.tweak, levels: [A, B]}
  lr: {path: optimizer.lr, levels: [1, 2, 3, 4, 5]}
baseline: {tweak: A, lr: 1}
"""
    assert warnings(read, text) == ["s.yaml:3: factors: same-run"]
    one = text.replace("[1, 2, 3, 4, 5]", "[1, 2]").replace("factors:", "exclude: [{lr: 2, arch: resnet18}]\nfactors:")
    assert warnings(read, one) == ["s.yaml:4: factors: same-run"]


@pytest.mark.parametrize(
    ("path", "levels"),
    [
        ("epochs", "[10, 5, 20]"),
        ("data.fraction", "[1, 0.5]"),
        ("data.limit", "[null, 100]"),
        ("early_stopping.patience", "[3, null]"),
        ("epochs", "[1, 2, 3, 4, 5, 6, 7]"),
    ],
)
def test_unequal_budgets(read: Any, path: str, levels: str) -> None:
    first = levels[1:].partition(",")[0]
    text = (
        "study: s\nrecipe: {data.split: {train: 0.6, val: 0.2, test: 0.2}}\n"
        f"factors: {{f: {{path: {path}, levels: {levels}}}}}\nbaseline: {{f: {first}}}"
    )
    (told,) = warnings(read, text)
    assert told.endswith(": unequal-budgets")
    assert told.startswith(("s.yaml:3: factors.f.levels", "s.yaml:1: recipe"))


def test_budgets_that_all_arms_share_are_equal(read: Any, lee: str) -> None:
    assert warnings(read, lee, profile="cpu") == []


def test_a_table_without_an_arm(read: Any, lee: str) -> None:
    text = lee.replace("  cpu: {recipe", "  cpu: {exclude: [{tweak: B}], recipe")
    found = warnings(read, text, profile="cpu")
    assert "s.yaml:30: tables.table3: empty" in found
    assert "s.yaml:37: tables.figure4: empty" in found
    assert "s.yaml:29: tables.table1.claims.0: not-in-grid" in found
    assert "s.yaml:28: tables.table1.reported.B: not-in-grid" in found
    assert len(found) == 4


def test_a_claim_about_an_arm_that_is_left_out(read: Any, lee: str) -> None:
    text = (
        lee.replace("rows: tweak\n", "rows: [tweak, refinements]\n")
        .replace("    where: {refinements: none}\n", "", 1)
        .replace("B is best", "C/c > c")
    )
    assert warnings(read, text) == ["s.yaml:28: tables.table1.claims.0: not-in-grid"]
