"""`--set`: values as they are given, and the variant that they make of a study."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablate.study.loader import Choices, load_text
from ablate.study.values.study import Study, full_name

OWN = """\
study: s
recipe: {x: 1, y: 0, t: hi, n: {a: 1, b: [1, 2]}}
trainer: {command: "python t.py {x} {t}", metrics: {top1: }, seed: env}
factors: {x: {path: x, levels: [1, 2]}}
seeds: 2
baseline: {x: 1}
"""
BUILT_IN = (
    "study: s\nrecipe: {epochs: 5}\nfactors: {lr: {path: optimizer.lr, levels: [0.1, 0.01]}}\nbaseline: {lr: 0.1}\n"
)


def own(*sets: str) -> Study:
    return load_text(OWN, "s.yaml", Choices(sets=sets))


def built_in(*sets: str) -> Study:
    return load_text(BUILT_IN, "s.yaml", Choices(sets=sets))


def given_as(value: str) -> Any:
    """What a `--set` of this value comes to in the recipe."""
    return own(f"t={value}").runs[0].recipe["t"]


@pytest.mark.parametrize(
    "value",
    [
        "#ff0000", "a #b", "=>", ">", "|", "|-", "&a b", "&", "*a", "*", "!tag", "!tag x", "!", "%x", "@x", "`x", "a:", "a: b",
        "- a", "-", "? x", "?", ":", "{a}", "a\nb", "1\ny: 3", "a\u2028b", "a\tb", "[&a b]", '"x" # c', "a] #",
        "http://x.y/z?a=b#c", "yes", "1:30", "2024-01-01", "1_000", "<<", "...", "a, b", "a'b", "\\", "$x", "x}", "😀",
    ],
)  # fmt: skip
def test_what_yaml_would_take_for_syntax_is_text(value: str) -> None:
    assert given_as(value) == value
    assert own(f"t={value}").runs[0].trainer["command"][-1] == value.replace("{", "{{").replace("}", "}}")


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("", None), ("null", None), ("~", None), ("true", True), ("2", 2), ("2.0", 2.0), ("1e-5", 1e-5), ("0x10", 16), ("-.5", -0.5),
        ("[1, a]", [1, "a"]), ("[1,2,]", [1, 2]), ("[]", []), ("['#ff', \"&a\"]", ["#ff", "&a"]), ("'2'", "2"), ('"a\\nb"', "a\nb"),
        ("''", ""), ("'it''s'", "it's"),
    ],
)  # fmt: skip
def test_ordinary_values_are_what_they_are_in_a_file(value: str, meant: Any) -> None:
    found = given_as(value)
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize("value", ["[a", "[INFO] x", "{a: 1", "'x", '"x', "[!x]", "[#ff0000]", "{a: 1, a: 2}"])
def test_what_begins_like_a_list_and_is_none_is_an_error_that_says_so(mistakes: Any, value: str) -> None:
    (line,) = mistakes(OWN, sets=(f"t={value}",))
    assert line in (f"--set t={value}: bad-yaml", f"--set t={value}: duplicate")


@pytest.mark.parametrize(
    ("sets", "variant"),
    [
        (("y=2",), ("y=2",)),
        ((" y = 2 ",), ("y=2",)),
        (("y=0x2",), ("y=2",)),  # not in the command: the number is what counts
        (("y=2", "t=b"), ("t=b", "y=2")),
        (("n={a: 3}",), ("n.a=3",)),
        (("n.b=[3,4]",), ("n.b=[3, 4]",)),
        (("t=1e-4",), ("t=1e-4",)),  # in the command: the words are other ones
        (("t=0.0001",), ("t=0.0001",)),
        (("t='1'",), ('t="1"',)),
        (("t=#f",), ('t="#f"',)),
        (("y=0",), ()),
        (("t=hi", "n.b=[1,2]"), ()),
        (("y=0", "t=b"), ("t=b",)),
    ],
)
def test_a_variant_is_the_sorted_text_of_what_changes_something(
    sets: tuple[str, ...], variant: tuple[str, ...]
) -> None:
    study = own(*sets)
    assert study.sets == variant
    again = own(*study.sets)
    assert (again.sets, again.text, again.runs) == (variant, study.text, study.runs)
    assert (study.text == own().text) is not bool(variant)


def test_a_field_of_ours_has_one_text_for_one_value() -> None:
    assert built_in("batch_size=32").sets == built_in("batch_size=0x20").sets == ("batch_size=32",)
    assert (
        built_in("optimizer.momentum=0").sets
        == built_in("optimizer={momentum: 0.0}").sets
        == ("optimizer.momentum=0.0",)
    )
    assert built_in("epochs=5").sets == ()
    assert built_in("schedule.gamma=0.5").sets == ()  # without a schedule that has a gamma nothing is another
    assert built_in("schedule.gamma=0.5", "epochs=3").sets == ("epochs=3",)
    assert len(built_in("schedule={name: step, step_epochs: 2, gamma: 0.5}").sets) == 3
    assert built_in("model.init=scratch").sets == ()
    assert built_in("model.init=imagenet").sets == ("model.init=imagenet",)


def test_a_setting_that_every_arm_but_one_overrides_still_counts(read: Any) -> None:
    levels = "{levels: {one: {x: 1}, two: {x: 2, y: 7}}}}\nbaseline: {x: one}"
    text = OWN.replace("{path: x, levels: [1, 2]}}", levels).replace("baseline: {x: 1}\n", "")
    assert read(text, sets=("y=7",)).sets == ("y=7",)


def test_the_text_is_the_design_as_resolved_and_nothing_else(read: Any) -> None:
    text = own().text
    assert len(text) == 64
    same = [
        OWN.replace("seeds: 2", "seeds: [5, 9]"),
        OWN + "# a comment\n",
        OWN + "about: something\ntables: {t: {rows: x, claims: [2 is best], reported: {1: [0.5]}, caption: c}}\n",
        OWN.replace("{x: 1, y: 0, t: hi, n: {a: 1, b: [1, 2]}}", "{y: 0, x: 2, t: 'hi', n.a: 1, n.b: [1, 2]}"),
        OWN.replace("levels: [1, 2]", "levels: [2, 1]"),
    ]
    assert {read(other).text for other in same} == {text}
    others = [
        OWN.replace("y: 0", "y: 1"),
        OWN.replace("levels: [1, 2]", "levels: [1, 2, 3]"),
        OWN.replace("t.py", "u.py"),
        OWN.replace("seed: env", "seed: env, version: 2"),
    ]
    assert len({read(other).text for other in others} | {text}) == 5


def test_full_names() -> None:
    assert full_name("quick") == "quick"
    assert full_name("quick", "cpu") == "quick (cpu)"
    assert full_name("quick", None, ("a=1", "y=2")) == "quick [a=1, y=2]"
    assert full_name("quick", "cpu", ("y=2",)) == "quick (cpu) [y=2]"


VALUES = st.one_of(
    st.integers(-(2**40), 2**40).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12),
    st.text("#&*!|>%@`-?:,[]{}'\" ab1=", max_size=8),
    st.lists(st.integers(0, 9), max_size=3).map(str),
)


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.sampled_from(["y", "t", "n.a", "n.b"]), VALUES), max_size=4, unique_by=lambda item: item[0])
)
def test_a_variant_reads_as_itself_again(settings: list[tuple[str, str]]) -> None:
    from ablate.errors import StudyError

    try:
        study = own(*(f"{path}={value}" for path, value in settings))
    except StudyError:  # no whole list, an endless number: told, as it is elsewhere
        return
    again = own(*study.sets)
    assert (again.sets, again.text, again.runs) == (study.sets, study.text, study.runs)
    assert own(*reversed([f"{path}={value}" for path, value in settings])).sets == study.sets
