from __future__ import annotations

from typing import Any

import pytest
from golden_texts import coded

CONVNEXT = """
study: convnext
seeds: 3
recipe: {data.name: digits, epochs: 1}
factors:
  stem: {levels: {conv7: {}, patchify: {model.args.stem: patchify}}}
  block: {levels: {basic: {}, resnext: {model.args.block: resnext}, inverted: {model.args.block: inverted}}}
  micro:
    subsets:
      gelu: {model.args.act: gelu}
      ln: {model.args.norm: ln}
      fewer: {model.args.fewer: true}
design: {path: [stem, block, gelu, fewer, ln]}
baseline: {stem: conv7, block: basic, micro: none}
"""


def names(study: Any) -> list[str]:
    return [arm.name for arm in study.arms]


def test_full_is_the_default_and_the_last_factor_changes_fastest(read: Any, lee: str) -> None:
    open_ = lee.replace("exclude: [{tweak: [C, D], refinements: {not: none}}]\n", "")
    study = read(open_.replace("design: full\n", ""))
    assert study.design == "full"
    assert names(study)[:9] == ["A/none", "A/c", "A/l", "A/m", "A/c+l", "A/c+m", "A/l+m", "A/c+l+m", "B/none"]
    assert len(names(study)) == study.arms_before == 32
    assert names(read(open_)) == names(study)
    assert all(arm.step is None and arm.previous is None for arm in study.arms)


def test_exclude_takes_levels_lists_and_not(read: Any, lee: str) -> None:
    study = read(lee)
    assert (study.arms_before, len(study.arms)) == (32, 18)
    assert names(study)[-2:] == ["C/none", "D/none"]
    (rule,) = study.excluded
    assert (rule.text, rule.line, rule.count) == ("{tweak: [C, D], refinements: {not: none}}", 18, 14)


def test_each_arm_is_counted_by_the_first_rule_that_takes_it(read: Any, lee: str) -> None:
    study = read(lee.replace("exclude: [", "exclude: [{tweak: C, refinements: [c, l]}, "))
    assert [rule.count for rule in study.excluded] == [2, 12]
    assert study.arms_before - sum(rule.count for rule in study.excluded) == len(study.arms) == 18


def test_one_at_a_time_counts_members_as_factors(read: Any, lee: str) -> None:
    text = lee.replace("design: full", "design: one-at-a-time").replace(
        "exclude: [{tweak: [C, D], refinements: {not: none}}]\n", ""
    )
    study = read(text)
    assert names(study) == ["A/none", "B/none", "C/none", "D/none", "A/c", "A/l", "A/m"]
    assert study.arms_before == 7
    other = read(
        text.replace(
            "baseline: {tweak: A, refinements: none}\nprofiles", "baseline: {tweak: B, refinements: c}\nprofiles"
        )
    )
    assert names(other) == ["B/c", "A/c", "C/c", "D/c", "B/none", "B/c+l", "B/c+m"]


def test_leave_one_out_starts_from_all_members(read: Any, mistakes: Any, lee: str) -> None:
    text = lee.replace("design: full", "design: leave-one-out").replace(
        "exclude: [{tweak: [C, D], refinements: {not: none}}]\n", ""
    )
    full = text.replace(
        "baseline: {tweak: A, refinements: none}\nprofiles", "baseline: {tweak: A, refinements: c+l+m}\nprofiles"
    )
    assert names(read(full)) == ["A/c+l+m", "B/c+l+m", "C/c+l+m", "D/c+l+m", "A/c+l", "A/c+m", "A/l+m"]
    assert mistakes(text) == ["s.yaml:19: baseline.refinements: conflict"]


def test_a_path_walks_from_the_baseline(read: Any) -> None:
    study = read(CONVNEXT)
    assert names(study) == [
        "conv7/basic/none",
        "patchify/basic/none",
        "patchify/resnext/none",
        "patchify/inverted/none",
        "patchify/inverted/gelu",
        "patchify/inverted/gelu+fewer",
        "patchify/inverted/gelu+ln+fewer",
    ]
    assert [arm.step for arm in study.arms] == [None, "patchify", "resnext", "inverted", "gelu", "fewer", "ln"]
    assert [arm.previous for arm in study.arms] == [None, *names(study)[:-1]]
    assert study.arm("patchify/inverted/gelu").recipe["model"]["args"] == {
        "stem": "patchify",
        "block": "inverted",
        "act": "gelu",
    }
    assert study.design == "path"
    assert study.arms_before == 7


def test_arms_of_a_path_are_called_by_their_last_step(read: Any) -> None:
    text = CONVNEXT + (
        "tables:\n"
        "  t:\n"
        "    rows: [stem, block, micro]\n"
        "    columns: top1\n"
        "    reported: {patchify: 0.5, fewer: 0.6, baseline: 0.4, ln: 0.7}\n"
        "    claims: [ln > gelu, inverted is best of resnext]\n"
    )
    table = read(text).tables["t"]
    assert list(table.reported) == [
        "patchify/basic/none", "patchify/inverted/gelu+fewer", "conv7/basic/none", "patchify/inverted/gelu+ln+fewer",
    ]  # fmt: skip
    assert [term.levels["micro"] for term in table.claims[0].terms] == ["gelu+ln+fewer", "gelu"]
    assert table.claims[1].terms[1].levels == {"stem": "patchify", "block": "resnext", "micro": "none"}


def test_a_path_can_take_a_member_away_and_walk_over_all_members(read: Any) -> None:
    text = CONVNEXT.replace("micro: none", "micro: gelu").replace("[stem, block, gelu, fewer, ln]", "[stem, micro]")
    study = read(text)
    assert [(arm.name, arm.step) for arm in study.arms] == [
        ("conv7/basic/gelu", None), ("patchify/basic/gelu", "patchify"), ("patchify/basic/none", "-gelu"),
        ("patchify/basic/ln", "ln"), ("patchify/basic/ln+fewer", "fewer"),
    ]  # fmt: skip


def test_steps_that_share_a_name_carry_their_factor(read: Any) -> None:
    text = """
    study: s
    recipe: {data.name: digits}
    factors:
      smooth: {path: loss.label_smoothing, levels: {off: 0, on: 0.1}}
      mixup: {path: mixup.alpha, levels: {off: 0, on: 0.2}}
    design: {path: [smooth, mixup]}
    baseline: {smooth: off, mixup: off}
    tables: {t: {rows: [smooth, mixup], columns: top1, reported: {mixup=on: 0.2, smooth=on: 0.1}}}
    """
    study = read(text)
    assert [arm.step for arm in study.arms] == [None, "smooth=on", "mixup=on"]
    assert list(study.tables["t"].reported) == ["on/on", "on/off"]


def test_a_path_for_each_level_of_a_matched_factor(read: Any) -> None:
    text = CONVNEXT.replace("factors:", "factors:\n  arch: {path: model.arch, levels: [resnet18, resnet50]}")
    study = read(text)
    assert len(study.arms) == study.arms_before == 14
    assert [arm.previous for arm in study.arms][7:9] == [None, "resnet50/conv7/basic/none"]


def test_a_step_whose_forerunner_is_left_out_is_compared_with_the_last_one_left(read: Any) -> None:
    study = read(CONVNEXT + "exclude: [{block: resnext}]\n")
    assert names(study)[:3] == ["conv7/basic/none", "patchify/basic/none", "patchify/inverted/none"]
    assert study.arms[2].previous == "patchify/basic/none"


@pytest.mark.parametrize(
    ("design", "line"),
    [
        ("half", "design: wrong-value"),
        ("path", "design: wrong-value"),
        ("[full]", "design: wrong-value"),
        ("{walk: [stem]}", "design.walk: unknown-key"),
        ("{path: []}", "design.path: wrong-type"),
        (
            "{path: [stem, blok]}",
            "design.path.1: unknown-name",
        ),
        ("{path: [stem, stem]}", "design.path: duplicate"),
        ("{path: [micro, ln]}", "design.path: conflict"),
        ("{path: [[stem]]}", "design.path: wrong-type"),
    ],
)
def test_mistakes_in_designs(mistakes: Any, design: str, line: str) -> None:
    assert f"s.yaml:13: {line}" in mistakes(CONVNEXT.replace("{path: [stem, block, gelu, fewer, ln]}", design))


def test_a_path_needs_the_baseline_of_what_it_walks(mistakes: Any) -> None:
    for name in ("stem", "micro"):
        text = CONVNEXT.replace("stem: conv7, " if name == "stem" else ", micro: none}", "" if name == "stem" else "}")
        assert mistakes(text) == ["s.yaml:14: baseline: missing"]


def test_a_name_of_two_things_cannot_be_walked(mistakes: Any) -> None:
    text = CONVNEXT.replace("fewer: {", "stem: {").replace("[stem, block, gelu, fewer, ln]", "[stem]")
    assert mistakes(text) == ["s.yaml:13: design.path.0: ambiguous"]


def test_include_adds_single_arms(read: Any, lee: str) -> None:
    study = read(lee + "include: [{tweak: C, refinements: c+l}, {tweak: D, refinements: m}]\n")
    assert names(study)[-2:] == ["C/c+l", "D/m"]
    assert study.arms_before == 32
    one = lee.replace("design: full", "design: one-at-a-time").replace(
        "exclude: [{tweak: [C, D], refinements: {not: none}}]\n", ""
    )
    assert names(read(one + "include: [{refinements: c+l}]\n"))[-1] == "A/c+l"  # the rest is the baseline's


def test_an_included_arm_that_is_there_already_is_said(read: Any, lee: str) -> None:
    study = read(lee + "include: [{tweak: B}]\n")
    assert len(study.arms) == 18
    assert [w for w in coded(study.warnings) if "include" in w] == ["s.yaml:38: include.0: no-effect"]


@pytest.mark.parametrize(
    ("include", "line"),
    [
        ("{tweak: C}", "include: wrong-type"),
        ("[{tweak: [C, D]}]", "include.0: ambiguous"),
        ("[{tweak: E}]", "include.0.tweak: unknown-name"),
        (
            "[{twek: C}]",
            "include.0.twek: unknown-name",
        ),
        ("[C]", "include.0: wrong-type"),
    ],
)
def test_mistakes_in_include(mistakes: Any, lee: str, include: str, line: str) -> None:
    assert mistakes(lee + f"include: {include}\n") == [f"s.yaml:38: {line}"]


def test_include_names_what_the_baseline_leaves_open(mistakes: Any) -> None:
    text = CONVNEXT.replace("stem: conv7, ", "").replace("{path: [stem, block, gelu, fewer, ln]}", "one-at-a-time")
    assert mistakes(text + "include: [{micro: ln+fewer}]\n") == ["s.yaml:15: include.0: ambiguous"]


def test_a_rule_that_matches_nothing_is_a_mistake(mistakes: Any, lee: str) -> None:
    text = lee.replace("design: full", "design: one-at-a-time").replace(
        "tweak: [C, D], refinements: {not: none}", "tweak: C, refinements: c"
    )
    assert mistakes(text) == ["s.yaml:18: exclude.0: no-effect"]


@pytest.mark.parametrize("rule", ["{}", "{tweak: [A, B, C, D]}", "{tweak: {not: C}}, {tweak: C}"])
def test_rules_that_match_everything_are_a_mistake(mistakes: Any, lee: str, rule: str) -> None:
    text = lee.replace("{tweak: [C, D], refinements: {not: none}}", rule)
    assert "s.yaml:18: exclude: empty" in mistakes(text)


def test_exclude_is_a_list(mistakes: Any, lee: str) -> None:
    (line,) = mistakes(lee.replace("[{tweak: [C, D], refinements: {not: none}}]", "{tweak: C}"))
    assert line == "s.yaml:18: exclude: wrong-type"


def test_a_baseline_that_a_rule_takes_out(mistakes: Any, lee: str) -> None:
    assert mistakes(lee.replace("{tweak: [C, D], refinements: {not: none}}", "{tweak: A, refinements: none}")) == [
        "s.yaml:20: baseline: not-in-grid"
    ]


MATCHED = """
study: s
seeds: 3
factors:
  arch: {path: model.arch, levels: [resnet50, resnet101]}
  tweak: {path: model.tweak, levels: [A, B]}
baseline: {tweak: A}
"""


def test_a_baseline_may_name_some_factors_and_the_others_are_matched(read: Any) -> None:
    study = read(MATCHED)
    assert study.baseline == {"tweak": "A"}
    assert len(study.arms) == 4
    assert study.warnings == ()
    one = read(MATCHED + "design: one-at-a-time")
    assert names(one) == ["resnet50/A", "resnet50/B", "resnet101/A", "resnet101/B"]


def test_a_matched_baseline_that_is_missing_in_one_group_is_said(read: Any) -> None:
    study = read(MATCHED + "exclude: [{arch: resnet50, tweak: A}]")
    assert coded(study.warnings) == ["s.yaml:7: baseline: not-in-grid"]


@pytest.mark.parametrize(
    ("baseline", "lines"),
    [
        ("", ['s.yaml:7: baseline: missing']),
        ("{}", ['s.yaml:7: baseline: missing']),
        ("A", ['s.yaml:7: baseline: wrong-type']),
        ("{tweak: [A]}", ['s.yaml:7: baseline.tweak: wrong-type']),
        ("{tweak: X}", ['s.yaml:7: baseline.tweak: unknown-name']),
        ("{twek: A}", ['s.yaml:7: baseline.twek: unknown-name']),
    ],
)  # fmt: skip
def test_mistakes_in_the_baseline(mistakes: Any, baseline: str, lines: list[str]) -> None:
    assert mistakes(MATCHED.replace("{tweak: A}", baseline)) == lines


def test_a_missing_baseline_is_never_guessed(mistakes: Any) -> None:
    (line,) = mistakes(MATCHED.replace("baseline: {tweak: A}\n", ""))
    assert line.startswith("s.yaml:2: baseline: missing")


def test_a_study_without_factors_is_one_arm(read: Any) -> None:
    study = read("study: s\nseeds: [5]")
    assert names(study) == ["baseline"]
    assert [run.seed for run in study.runs] == [5]


def test_large_grids_are_counted_before_they_are_built(mistakes: Any) -> None:
    many = ", ".join(map(str, range(1, 1001)))
    factors = "".join(
        f"  f{i}: {{path: {path}, levels: [{many}]}}\n" for i, path in enumerate(("epochs", "batch_size", "data.limit"))
    )
    text = f"study: s\nfactors:\n{factors}baseline: {{f0: 1}}\n"
    told = ["s.yaml:2: factors: too-many"]
    assert mistakes(text) == told
    assert mistakes(text + "design: one-at-a-time") == told
    assert mistakes(text.replace("{f0: 1}", "{f0: 1, f1: 1}") + "design: {path: [f0, f1]}") == told
