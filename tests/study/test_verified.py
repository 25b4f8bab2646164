"""What follows for a run from others that the present code trained again."""

from __future__ import annotations

import math

import pytest

from ablate.study.code.provenance import CORE, Code, Freshness
from ablate.study.code.verified import (
    ELSEWHERE,
    ITSELF,
    PARTS,
    Evidence,
    Verified,
    between,
    compare,
    numbers_of,
    said,
    steps,
)

X = "x" * 64
CPU, GPU = "cpu, AVX2", "cuda, H200"


def code(*names: str, core: str = "c2", **digests: str) -> Code:
    """The present code of a run that uses these parts; `name="digest"` for one that has another."""
    parts = {CORE: core, **{name: f"{name}2" for name in names}, **digests}
    return Code("+".join(sorted(f"{name}={digest}" for name, digest in parts.items())), parts=parts)


def row(run: str, now: Code, *, then: str = X, noted: object = None, equal: bool = True, under: str = CPU) -> Verified:
    difference, what = (0.0, "") if equal else (0.25, "the final top1")
    return Verified(run, then, now.digest, under, equal, between(then, noted, now), difference, what)


def judged(
    rows: list[Verified], run: str, now: Code, then: str = X, noted: object = None, under: str = CPU
) -> Freshness:
    return Evidence(rows).judge(run, then, noted, now, under, "core changed")


STALE = Freshness(True, why="core changed")


def test_a_run_is_verified_itself_or_by_its_parts() -> None:
    rows = [row("a", code("sgd", "net")), row("b", code("adam", "net"))]
    assert judged(rows, "a", code("sgd", "net")) == Freshness(verified=ITSELF)
    assert judged(rows, "z", code("adam", "net")) == Freshness(verified=PARTS)
    assert judged(rows, "z", code("sgd", "net", "mixup")) == STALE, "mixup was in none"
    assert judged([], "a", code("sgd", "net")) == STALE


def test_another_pair_of_codes_says_nothing() -> None:
    rows = [row("a", code("sgd"))]
    assert judged(rows, "a", code("sgd"), then="y" * 64) == STALE
    assert judged(rows, "z", code("sgd", core="c3")) == STALE
    assert judged(rows, "a", code("sgd", core="c3")) == STALE
    assert judged(rows, "z", code(sgd="sgd3")) == STALE


def test_parts_are_joined_from_runs_of_the_same_core_alone() -> None:
    before = {CORE: "c1", "sgd": "s1", "mixup": "m1"}
    now = code("mixup", sgd="s1")
    with_mixup = row("a", code("mixup", "adam", core="c3"), noted={CORE: "c1", "mixup": "m1", "adam": "a1"})
    plain = row("b", code(sgd="s1"), noted={CORE: "c1", "sgd": "s1"})
    assert judged([with_mixup, plain], "z", now, noted=before) == STALE, "mixup was seen with another core only"
    with_mixup = row("a", code("mixup", "adam"), noted={CORE: "c1", "mixup": "m1", "adam": "a1"})
    assert judged([with_mixup, plain], "z", now, noted=before) == Freshness(verified=PARTS)


def test_a_part_that_changes_later_takes_back_what_was_said_of_its_runs_alone() -> None:
    rows = [row("a", code("sgd", "net")), row("b", code("adam", "net"))]
    assert judged(rows, "a", code("net", sgd="sgd3")) == STALE
    assert judged(rows, "b", code("adam", "net")) == Freshness(verified=ITSELF)


def test_an_unequal_run_stays_stale_and_takes_those_with_all_of_its_parts_along() -> None:
    rows = [row("a", code("sgd", "mixup"), equal=False), row("b", code("sgd", "mixup")), row("c", code("sgd"))]
    told = judged(rows, "a", code("sgd", "mixup"))
    assert told.stale
    assert told.why == "core changed; trained again with the present code, the final top1 differs by 0.25"
    assert judged(rows, "b", code("sgd", "mixup")) == Freshness(verified=ITSELF), "it came out equal itself"
    assert judged(rows, "y", code("sgd", "mixup")) == STALE
    assert judged(rows, "z", code("sgd")) == Freshness(verified=PARTS)


def test_other_arithmetic_is_told() -> None:
    rows = [row("a", code("sgd", "net"))]
    assert judged(rows, "z", code("sgd", "net"), under=GPU) == Freshness(verified=PARTS + ELSEWHERE)
    assert judged(rows, "a", code("sgd", "net"), under=GPU) == Freshness(verified=ITSELF + ELSEWHERE)
    rows += [row("b", code("sgd"), under=GPU)]
    assert judged(rows, "z", code("sgd", "net"), under=GPU) == Freshness(verified=PARTS + ELSEWHERE), (
        "net was not seen under it"
    )
    rows += [row("c", code("net"), under=GPU)]
    assert judged(rows, "z", code("sgd", "net"), under=GPU) == Freshness(verified=PARTS)


def test_a_part_that_was_none_then_is_a_step_of_its_own() -> None:
    assert between(X, {CORE: "c1"}, code("sgd")) == {CORE: ("c1", "c2"), "sgd": ("", "sgd2")}
    assert between(X, None, code("sgd")) == {CORE: (X, "c2"), "sgd": (X, "sgd2")}
    assert len(steps(between(X, None, code("sgd", "net")))) == 3


@pytest.mark.parametrize(
    ("how", "total", "told"),
    [
        ([], 4, ""),
        (["", ""], 4, ""),
        ([ITSELF], 4, "1 of 4 runs verified with the present code: trained again, bit-equal"),
        (
            [ITSELF, PARTS, PARTS, PARTS],
            4,
            "1 of 4 runs verified with the present code: trained again, bit-equal; "
            "the others use no other parts than runs that did so",
        ),
        (
            [ITSELF, PARTS, PARTS + ELSEWHERE],
            4,
            "1 of 4 runs verified with the present code: trained again, bit-equal; "
            "2 others use no other parts than runs that did so; 1 of them under other arithmetic than their own",
        ),
        (
            [PARTS] * 4,
            4,
            "4 of 4 runs verified with the present code by their parts: other runs with the same parts, trained again, "
            "came out bit-equal",
        ),
    ],
)
def test_what_is_said(how: list[str], total: int, told: str) -> None:
    assert said(how, total) == told


THEN = numbers_of(
    {"top1": 0.5, "examples_per_second": 7.0, "peak_memory": 8.0}, {1: {"train_loss": 1.0, "test_top1": 0.5}}
)


@pytest.mark.parametrize(
    ("metrics", "epochs", "found"),
    [
        ({"top1": 0.5, "examples_per_second": 9.0}, {1: {"train_loss": 1.0, "test_top1": 0.5}}, (0.0, "")),
        ({"top1": 0.5, "new": 1.0}, {1: {"train_loss": 1.0, "test_top1": 0.5, "new": 1.0}}, (0.0, "")),
        ({"top1": 0.5}, {1: {"train_loss": 1.25, "test_top1": 0.625}}, (0.25, "train_loss of epoch 1")),
        ({"top1": 0.75}, {1: {"train_loss": 1.0, "test_top1": 0.5}}, (0.25, "the final top1")),
        ({"top1": math.nextafter(0.5, 1)}, {1: {"train_loss": 1.0, "test_top1": 0.5}}, (2**-53, "the final top1")),
        ({"top1": math.nan}, {1: {"train_loss": 1.0, "test_top1": 0.5}}, (None, "the final top1 is not a number")),
        ({}, {1: {"train_loss": 1.0, "test_top1": 0.5}}, (None, "the final top1 is not a number")),
        ({"top1": 0.5}, {}, (None, "0 epochs instead of 1")),
    ],
)  # fmt: skip
def test_numbers_are_compared_bit_for_bit(
    metrics: dict[str, float], epochs: dict[int, dict[str, float]], found: object
) -> None:
    difference, what = compare(THEN, numbers_of(metrics, epochs))
    assert what == found[1]
    assert difference == (pytest.approx(found[0]) if found[0] else found[0])
