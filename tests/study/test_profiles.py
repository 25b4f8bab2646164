from __future__ import annotations

from typing import Any

import pytest


def profile(lee: str, text: str) -> str:
    return lee.replace("  cpu: {recipe: {data.image_size: 32, data.fraction: 0.5}}", f"  cpu: {text}")


def test_a_profile_changes_the_base_and_levels_apply_after_it(read: Any, lee: str) -> None:
    full, cpu = (
        read(lee),
        read(profile(lee, "{recipe: {data.image_size: 32, loss.label_smoothing: 0.3}}"), profile="cpu"),
    )
    assert (full.profile, cpu.profile) == (None, "cpu")
    assert full.profiles == cpu.profiles == ("cpu",)
    assert {run.recipe["data"]["image_size"] for run in cpu.runs} == {32}
    assert cpu.arm("A/c").recipe["loss"]["label_smoothing"] == 0.3
    assert cpu.arm("A/l").recipe["loss"]["label_smoothing"] == 0.1
    assert not {run.run_id for run in full.runs} & {run.run_id for run in cpu.runs}


def test_a_profile_that_changes_nothing_has_the_same_runs(read: Any, lee: str) -> None:
    assert read(profile(lee, ""), profile="cpu").runs == read(lee).runs


def test_levels_change_just_those_paths(read: Any, lee: str) -> None:
    text = profile(
        lee, "{levels: {tweak: {B: {model.dropout: 0.5}}, refinements: {c: {optimizer.lr: 0.5}, m: {mixup.alpha: 1}}}}"
    )
    study = read(text, profile="cpu")
    assert study.arm("B/none").recipe["model"]["dropout"] == 0.5
    assert study.arm("B/none").recipe["model"]["tweak"] == "B"
    assert study.arm("A/none").recipe["model"]["dropout"] == 0.0
    assert study.arm("A/c+l").recipe["optimizer"]["lr"] == 0.5
    assert study.arm("A/c+l").recipe["schedule"]["name"] == "cosine"
    assert study.arm("A/m").recipe["mixup"]["alpha"] == 1.0
    assert study.arm("A/l").recipe == read(lee).arm("A/l").recipe


def test_a_level_of_a_list_is_matched_by_value_and_keeps_its_name(read: Any) -> None:
    text = "study: s\nfactors: {lr: {path: optimizer.lr, levels: [0.10, 1]}}\nbaseline: {lr: 1}\nprofiles: {p: {levels: {lr: {0.1: {optimizer.lr: 7}}}}}"
    study = read(text, profile="p")
    assert study.arm("0.10").recipe["optimizer"]["lr"] == 7.0


def test_exclude_is_added_and_counted(read: Any, lee: str) -> None:
    study = read(profile(lee, "{exclude: [{tweak: D}]}"), profile="cpu")
    assert len(study.arms) == 17
    assert [(rule.text, rule.line, rule.count) for rule in study.excluded] == [
        ("{tweak: [C, D], refinements: {not: none}}", 18, 14),
        ("{tweak: D}", 22, 1),
    ]


def test_seeds_and_design_replace(read: Any, lee: str) -> None:
    study = read(profile(lee, "{seeds: [4, 9], design: one-at-a-time}"), profile="cpu")
    assert study.seeds == (4, 9)
    assert study.design == "one-at-a-time"
    assert len(study.arms) == 7
    assert study.excluded == ()  # the rule was written for the whole grid
    path = read(profile(lee, "{design: {path: [tweak, m]}}"), profile="cpu")
    assert [arm.name for arm in path.arms] == ["A/none", "B/none", "C/none", "D/none"]  # D/m is excluded
    assert read(profile(lee, "{design: {path: [c, l]}}"), profile="cpu").arms[-1].name == "A/c+l"


def test_the_command_lines_seeds_go_before_a_profiles(read: Any, lee: str) -> None:
    assert read(profile(lee, "{seeds: 5}"), profile="cpu", seeds=(8,)).seeds == (8,)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("[a]", ['cpu: wrong-type']),
        ("{recipes: {}}", ['cpu.recipes: unknown-key']),
        ("{recipe: {epoch: 3}}", ['cpu.recipe.epoch: unknown-field']),
        ("{recipe: {model.tweak: B}}", ['cpu.recipe.model.tweak: no-effect']),
        ("{levels: {twek: {A: {epochs: 3}}}}", ['cpu.levels.twek: unknown-name']),
        ("{levels: {tweak: {E: {epochs: 3}}}}", ['cpu.levels.tweak.E: unknown-name']),
        ("{levels: {refinements: {c+l: {epochs: 3}}}}", ['cpu.levels.refinements.c+l: unknown-name']),
        ("{levels: {refinements: {c: {mixup.alpha: 0.9}}}}", ['cpu.levels.refinements.m: conflict']),
        ("{levels: {tweak: {A: {epochs: 0}}}}", ['cpu.levels.tweak.A.epochs: out-of-range']),
        ("{exclude: {tweak: A}}", ['cpu.exclude: wrong-type']),
        ("{exclude: [{tweak: E}]}", ['cpu.exclude.0.tweak: unknown-name']),
        ("{seeds: 0}", ['cpu.seeds: wrong-value']),
        ("{design: half}", ['cpu.design: wrong-value']),
        ("{design: {path: [twek]}}", ['cpu.design.path.0: unknown-name']),
    ],
)  # fmt: skip
def test_mistakes_in_profiles_are_told_whichever_is_used(mistakes: Any, lee: str, text: str, lines: list[str]) -> None:
    for used in ("cpu", None) if "conflict" not in lines[0] else ("cpu",):
        found = mistakes(profile(lee, text), profile=used)
        assert all(any(f"s.yaml:22: profiles.{line}" in told for told in found) for line in lines), found


def test_a_rule_of_a_profile_that_matches_nothing(mistakes: Any, lee: str) -> None:
    assert mistakes(profile(lee, "{design: one-at-a-time, exclude: [{tweak: C, refinements: c}]}"), profile="cpu") == [
        "s.yaml:22: profiles.cpu.exclude.0: no-effect"
    ]


def test_a_profile_that_is_not_there(mistakes: Any, read: Any, lee: str) -> None:
    assert mistakes(lee, profile="cpus") == ["s.yaml:21: profiles: unknown-name"]
    assert mistakes("study: s", profile="cpu") == ["s.yaml:1: profiles: unknown-name"]


def test_no_level_overrides_a_path_that_only_some_set(read: Any, lee: str) -> None:
    study = read(profile(lee, "{recipe: {schedule.name: cosine}}"), profile="cpu")  # `none` leaves it alone
    assert study.arm("A/none").recipe["schedule"]["name"] == "cosine"
    assert study.arm("A/c").merged_into == "A/none"
