from __future__ import annotations

from typing import Any

import pytest

HEAD = "study: s\nseeds: 1\n"


def levels(study: Any) -> dict[str, dict[str, Any]]:
    return {factor.name: {level.name: dict(level.sets) for level in factor.levels} for factor in study.factors}


def test_a_list_of_values_for_a_path(read: Any) -> None:
    study = read(
        HEAD
        + "factors: {lr: {path: optimizer.lr, levels: [1e-4, 0.10, '1']}}\nbaseline: {lr: 0.10}".replace("'1'", "1")
    )
    assert levels(study) == {
        "lr": {"1e-4": {"optimizer.lr": 1e-4}, "0.10": {"optimizer.lr": 0.1}, "1": {"optimizer.lr": 1.0}}
    }
    assert [arm.name for arm in study.arms] == ["1e-4", "0.10", "1"]
    assert [arm.recipe["optimizer"]["lr"] for arm in study.arms] == [1e-4, 0.1, 1.0]


def test_a_mapping_of_names_to_values_of_a_path(read: Any) -> None:
    study = read(
        HEAD + "factors: {size: {path: data.image_size, levels: {small: 8, large: 16}}}\nbaseline: {size: small}"
    )
    assert levels(study) == {"size": {"small": {"data.image_size": 8}, "large": {"data.image_size": 16}}}


def test_a_path_takes_whatever_its_field_takes(read: Any) -> None:
    text = """
    study: s
    factors:
      split:
        path: data.split
        levels: {half: {train: 0.5, test: 0.5}, most: {train: 0.8, val: 0.2}}
    baseline: {split: half}
    """
    assert levels(read(text)) == {
        "split": {"half": {"data.split": {"train": 0.5, "test": 0.5}}, "most": {"data.split": {"train": 0.8, "val": 0.2}}}
    }  # fmt: skip


def test_a_mapping_of_names_to_fields_dotted_or_nested(read: Any) -> None:
    text = """
    study: s
    factors:
      opt:
        levels:
          sgd:
          adam: {optimizer.name: adam, optimizer: {lr: 1e-3}}
    baseline: {opt: sgd}
    """
    assert levels(read(text)) == {"opt": {"sgd": {}, "adam": {"optimizer.name": "adam", "optimizer.lr": 1e-3}}}


def test_subsets_are_ordered_by_size_then_as_in_the_file(read: Any, lee: str) -> None:
    study = read(lee)
    names = [level.name for level in study.factors[1].levels]
    assert names == ["none", "c", "l", "m", "c+l", "c+m", "l+m", "c+l+m"]
    assert study.factors[1].members == ("c", "l", "m")
    assert study.factors[1].level("c+l").members == ("c", "l")
    assert dict(study.factors[1].level("c+l").sets) == {"schedule.name": "cosine", "loss.label_smoothing": 0.1}
    assert dict(study.factors[1].level("none").sets) == {}


def test_names_keep_their_text(read: Any) -> None:
    study = read(
        HEAD + "factors: {on: {path: model.dropout, levels: {off: 0, no: 0.5, 0.90: 0.9}}}\nbaseline: {on: off}"
    )
    assert [arm.name for arm in study.arms] == ["off", "no", "0.90"]
    assert study.baseline == {"on": "off"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("0.10", "0.10"), ("0.1", "0.10"), ("1e-1", "0.10"), ("'0.1'", "0.10"),  # by value
        ("1", "1"), ("1.0", "1"), ("half", "half"), (".5", "half"),
    ],
)  # fmt: skip
def test_a_level_is_matched_by_its_text_then_by_its_value(read: Any, text: str, name: str) -> None:
    factors = "factors: {lr: {path: optimizer.lr, levels: {0.10: 0.1, 1: 1, half: 0.5}}}\n"
    assert read(HEAD + factors + f"baseline: {{lr: {text}}}").baseline == {"lr": name}


def test_text_goes_before_value_and_truth_is_no_number(read: Any, mistakes: Any) -> None:
    swapped = HEAD + "factors: {lr: {path: optimizer.lr, levels: {2: 1, 1: 2}}}\nbaseline: {lr: 1}"
    assert read(swapped).baseline == {"lr": "1"}
    named = HEAD + "factors: {s: {path: schedule.name, levels: {flat: constant, cos: cosine}}}\nbaseline: {s: cosine}"
    assert read(named).baseline == {"s": "cos"}
    (line,) = mistakes(HEAD + "factors: {e: {path: epochs, levels: [1, 2]}}\nbaseline: {e: true}")
    assert line == "s.yaml:4: baseline.e: unknown-name"


def test_a_subset_may_be_written_in_another_order(read: Any, lee: str) -> None:
    assert (
        read(lee.replace("refinements: none}\nprofiles", "refinements: l+c}\nprofiles")).baseline["refinements"]
        == "c+l"
    )


@pytest.mark.parametrize(
    ("factors", "line"),
    [
        ("[a]", 'factors: wrong-type'),
        ("{f: 3}", 'factors.f: wrong-type'),
        ("{f: }", 'factors.f: wrong-type'),
        ("{f: {level: [1]}}", 'factors.f.level: unknown-key'),
        ("{f: {path: epochs}}", 'factors.f: missing'),
        ("{f: {levels: {a: }, subsets: {b: }}}", 'factors.f: missing'),
        ("{f: {levels: [1, 2]}}", 'factors.f.levels: missing'),
        ("{f: {path: epochs, levels: []}}", 'factors.f.levels: empty'),
        ("{f: {path: epochs, levels: }}", 'factors.f.levels: empty'),
        ("{f: {path: epochs, levels: 3}}", 'factors.f.levels: wrong-type'),
        ("{f: {path: epochs, levels: [3, 3]}}", 'factors.f.levels.1: duplicate'),
        (
            "{f: {path: epochs, levels: [[3]]}}",
            'factors.f.levels.0: wrong-type',
        ),
        ("{f: {path: 3, levels: [3]}}", 'factors.f.path: wrong-type'),
        (
            "{f: {path: optimizer.rate, levels: [3]}}",
            'factors.f.path: unknown-field',
        ),
        (
            "{f: {path: mixup, levels: [3]}}",
            'factors.f.path: unknown-field',
        ),
        ("{f: {path: epochs, levels: [3, 0]}}", 'factors.f.levels.1: out-of-range'),
        (
            "{f: {levels: {a: 3}}}",
            'factors.f.levels.a: wrong-type',
        ),
        (
            "{f: {levels: {a: {epoch: 3}}}}",
            'factors.f.levels.a.epoch: unknown-field',
        ),
        ("{f: {subsets: {a+b: }}}", 'factors.f.subsets.a+b: bad-name'),
        ("{f: {subsets: {none: }}}", 'factors.f.subsets.none: bad-name'),
        ("{f: {subsets: }}", 'factors.f.subsets: empty'),
        ("{f: {subsets: [a]}}", 'factors.f.subsets: wrong-type'),
        (
            "{f: {subsets: {a: {epochs: 1}, b: {epochs: 2}}}}",
            'factors.f.subsets.b: conflict',
        ),
        (
            f"{{f: {{subsets: {{{', '.join(f'm{i}: ' for i in range(15))}}}}}}}",
            'factors.f.subsets: too-many',
        ),
        ("{f: {path: epochs, levels: [1, 2], together: 3}}", 'factors.f.together: wrong-type'),
    ],
)  # fmt: skip
def test_mistakes_in_factors(mistakes: Any, factors: str, line: str) -> None:
    found = mistakes(f"study: s\nbaseline: {{f: 3}}\nfactors: {factors}")
    assert f"s.yaml:3: {line}" in found


@pytest.mark.parametrize("name", ["a b", "'a,b'", "a/b", "(a", "a)", "a=b", "''", '"a\\tb"', "x" * 101, "'\u200b'"])
def test_names_hold_none_of_the_characters_that_mean_something(mistakes: Any, name: str) -> None:
    for text in (
        (f"{{? {name} : {{path: epochs, levels: [1]}}}}"),
        (f"{{f: {{levels: {{? {name} : }}}}}}"),
    ):
        assert any(line.endswith(": bad-name") for line in mistakes(f"study: s\nfactors: {text}"))


@pytest.mark.parametrize("name", ["baseline", "epoch", "class", "effect"])
def test_reserved_names(mistakes: Any, name: str) -> None:
    lines = mistakes(f"study: s\nfactors: {{{name}: {{path: epochs, levels: [1]}}}}\nbaseline: {{{name}: 1}}")
    assert lines == [f"s.yaml:2: factors.{name}: bad-name"]


def test_a_wrong_path_is_told_once_and_not_where_the_factor_is_used(mistakes: Any, lee: str) -> None:
    (line,) = mistakes(lee.replace("path: model.tweak", "path: model.tweek"))
    assert line.startswith("s.yaml:11: factors.tweak.path: unknown-field")


def test_a_factor_without_levels_is_told_alone(mistakes: Any, lee: str) -> None:
    assert mistakes(lee.replace("levels: [A, B, C, D]", "levels: []")) == ["s.yaml:11: factors.tweak.levels: empty"]


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("{twek: A}", "exclude.0.twek: unknown-name"),
        ("{tweak: E}", "exclude.0.tweak: unknown-name"),
        ("{tweak: {not: E}}", "exclude.0.tweak.not: unknown-name"),
        ("{tweak: {nor: A}}", "exclude.0.tweak.nor: unknown-key"),
        ("{tweak: {}}", "exclude.0.tweak: empty"),
        ("{tweak: []}", "exclude.0.tweak: empty"),
        ("{tweak: {not: []}}", "exclude.0.tweak.not: empty"),
        ("{tweak: [[A]]}", "exclude.0.tweak: wrong-type"),
        ("[tweak]", "exclude.0: wrong-type"),
        ("tweak", "exclude.0: wrong-type"),
    ],
)
def test_mistakes_in_conditions(mistakes: Any, lee: str, where: str, line: str) -> None:
    assert mistakes(lee.replace("{tweak: [C, D], refinements: {not: none}}", where)) == [f"s.yaml:18: {line}"]


def test_a_condition_matches_levels_by_value_too(read: Any) -> None:
    factors = "factors: {lr: {path: optimizer.lr, levels: [0.10, 1e-2, 1e-3]}}\nbaseline: {lr: 0.1}\n"
    study = read(HEAD + factors + "exclude: [{lr: 0.01}]")
    assert [arm.name for arm in study.arms] == ["0.10", "1e-3"]
    study = read(HEAD + factors + "exclude: [{lr: {not: [0.01, 0.100]}}]")
    assert [arm.name for arm in study.arms] == ["0.10", "1e-2"]
