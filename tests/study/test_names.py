from __future__ import annotations

import pytest
from golden_texts import raising

from ablate.study.designs.names import UnclearName, arm_name, resolve
from ablate.study.values.study import Factor, Level


def factor(name: str, *levels: str, members: tuple[str, ...] = ()) -> Factor:
    return Factor(name, tuple(Level(level, {}, tuple(level.split("+")) if members and level != "none" else ()) for level in levels), members)  # fmt: skip


ARCH = factor("arch", "resnet18", "resnet50")
TWEAK = factor("tweak", "A", "B", "C")
REFINE = factor("refinements", "none", "c", "l", "c+l", members=("c", "l"))
MIXUP, CUTMIX, CUTOUT = factor("mixup", "off", "on"), factor("cutmix", "off", "on"), factor("cutout", "off", "on")
LEE = (ARCH, TWEAK, REFINE)
BASE = {"arch": "resnet18", "tweak": "A", "refinements": "none"}
OFF = {"mixup": "off", "cutmix": "off", "cutout": "off"}


def means(text: str, factors: tuple[Factor, ...], baseline: dict[str, str]) -> str:
    return arm_name(resolve(text, factors, baseline))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("resnet50/B/c+l", "resnet50/B/c+l"),
        ("B", "resnet18/B/none"),
        ("c", "resnet18/A/c"),
        ("B/c", "resnet18/B/c"),
        ("resnet50/c", "resnet50/A/c"),
        ("l+c", "resnet18/A/c+l"),
        ("c/B", "resnet18/B/c"),
        ("c+l/B/resnet50", "resnet50/B/c+l"),
        ("none", "resnet18/A/none"),
        ("A/none", "resnet18/A/none"),
        ("baseline", "resnet18/A/none"),
        ("tweak=B", "resnet18/B/none"),
        ("tweak=B/refinements=c", "resnet18/B/c"),
        ("resnet50/tweak=B", "resnet50/B/none"),
    ],
)
def test_levels_that_equal_the_baselines_may_be_left_out(text: str, name: str) -> None:
    assert means(text, LEE, BASE) == name


def test_an_arm_is_named_by_all_of_its_levels() -> None:
    assert arm_name({"arch": "resnet18", "tweak": "A", "refinements": "c+l"}) == "resnet18/A/c+l"
    assert arm_name({}) == "baseline"
    assert resolve("baseline", (), {}) == {}


def test_shared_level_names_follow_the_files_order_or_say_their_factor() -> None:
    three = (MIXUP, CUTMIX, CUTOUT)
    assert means("mixup=off/cutmix=on", three, OFF) == "off/on/off"
    assert means("off/on/off", three, OFF) == "off/on/off"
    assert means("off", three, OFF) == "off/off/off"  # all readings are one arm
    with raising(UnclearName) as caught:
        means("on", three, OFF)
    assert caught.value.code == "ambiguous"
    with pytest.raises(UnclearName, match="ambiguous"):
        means("on/off", three, OFF)


def test_ambiguity_is_seen_among_many_factors() -> None:
    many = tuple(factor(f"f{i}", "off", "on") for i in range(20))
    off = {f.name: "off" for f in many}
    with pytest.raises(UnclearName, match="ambiguous"):
        means("/".join(["on"] * 10), many, off)
    assert means("/".join(["on"] * 20), many, off) == "/".join(["on"] * 20)
    assert means("f3=on/f17=on", many, off).split("/").count("on") == 2


def test_a_matched_factor_must_be_named() -> None:
    part = {"tweak": "A", "refinements": "none"}
    assert means("resnet50/B", LEE, part) == "resnet50/B/none"
    with raising(UnclearName) as caught:
        means("B", LEE, part)
    assert caught.value.code == "ambiguous"
    with raising(UnclearName):
        means("baseline", LEE, part)


@pytest.mark.parametrize("text", ["D", "resnet51", "", "A/", "tweek=B", "tweak=c", "A/B", "A/A/A/A"])
def test_unknown_names(text: str) -> None:
    with raising(UnclearName) as caught:
        means(text, LEE, BASE)
    assert caught.value.code == "unknown-name"


def test_a_name_of_many_parts_is_refused_at_once() -> None:
    with pytest.raises(UnclearName, match="has 1000001 levels"):
        means("A/" * 1_000_000, LEE, BASE)


STEM, BLOCK = factor("stem", "conv7", "patchify"), factor("block", "basic", "resnext", "convnext")
WALK = {
    "patchify": {"stem": "patchify", "block": "basic"},
    "resnext": {"stem": "patchify", "block": "resnext"},
    "convnext": {"stem": "patchify", "block": "convnext"},
}
START = {"stem": "conv7", "block": "basic"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("patchify", "patchify/basic"),
        ("resnext", "patchify/resnext"),
        ("convnext", "patchify/convnext"),
        ("patchify/convnext", "patchify/convnext"),
        ("baseline", "conv7/basic"),
        ("conv7", "conv7/basic"),
    ],
)
def test_in_a_path_an_arm_may_be_called_by_its_last_step(text: str, name: str) -> None:
    assert arm_name(resolve(text, (STEM, BLOCK), START, WALK)) == name


def test_a_step_beside_a_matched_factor() -> None:
    assert arm_name(resolve("resnet50/resnext", (ARCH, STEM, BLOCK), START, WALK)) == "resnet50/patchify/resnext"
    with raising(UnclearName):
        resolve("resnext", (ARCH, STEM, BLOCK), START, WALK)
    with raising(UnclearName):
        resolve("patchify/resnext", (ARCH, STEM, BLOCK), START, WALK)
