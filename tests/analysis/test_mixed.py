"""Runs under one name that are not of one kind: nothing is decided across them, and the table says why."""

from dataclasses import replace
from typing import Any

import pytest
from golden_texts import worded

from ablate.analysis import build_table
from ablate.analysis.mixed import differing, seeds_text, why_mixed
from ablate.analysis.variance import TESTS

OLD, NEW = "1a2b3c4d" * 8, "9f8e7d6c" * 8
VALUES = {"A": [0.61, 0.62, 0.63], "B": [0.81, 0.82, 0.83], "C": [0.71, 0.72, 0.73]}


@pytest.fixture
def study(maker: Any, factor: Any) -> Any:
    made = maker([factor("tweak", "A", "B", "C")], VALUES, baseline={"tweak": "A"})
    for arm in VALUES:
        read(made, arm, OLD, 0, 1, 2)
    return made


def read(made: Any, arm: str, digest: str, *seeds: int) -> None:
    for seed in seeds:
        made.change(arm, seed, details={"data": {"digest": digest}})


def cells(made: Any, **fields: Any) -> Any:
    table = build_table(made.study, made.spec(**fields), made.results)
    return table, {row.name: row.cells["top1"] for row in table.rows}


@pytest.mark.parametrize("test", TESTS)
def test_one_digest_is_not_mixed(study: Any, test: str) -> None:
    table, found = cells(study, test=test)
    assert found["B"].decided
    assert not any("Mixed" in note for note in table.notes)


@pytest.mark.parametrize("test", TESTS)
def test_an_arm_over_two_digests_decides_nothing(study: Any, test: str, claim: Any) -> None:
    read(study, "B", NEW, 1, 2)
    claims = (
        claim(">", ("B", {"tweak": "B"}), ("A", {"tweak": "A"})),
        claim(">", ("C", {"tweak": "C"}), ("A", {"tweak": "A"})),
    )
    table, found = cells(study, test=test, claims=claims, reported={"B": ("0.82",)})
    b = found["B"]
    assert (b.decided, b.p_adjusted, b.delta_ci95, b.agrees) == (False, None, None, None)
    assert b.delta == pytest.approx(0.2)
    worded(b.note, "1a2b3c4d (seed 0)", "9f8e7d6c (seeds 1, 2)")
    assert found["C"].decided  # what is of one kind is judged as before
    assert [result.verdict for result in table.claims] == ["undecided", "holds"]
    assert "mixed: data 1a2b3c4d" in table.claims[0].why
    worded(table.notes, "1a2b3c4d (seed 0)", "9f8e7d6c (seeds 1, 2)")


def test_a_mixed_baseline_leaves_all_undecided(study: Any) -> None:
    read(study, "A", NEW, 2)
    _, found = cells(study)
    assert not any(cell.decided for cell in found.values())
    worded(found["B"].note, "A: mixed: ", "1a2b3c4d (seeds 0, 1)", "9f8e7d6c (seed 2)")


def test_arms_that_read_other_data_under_one_name(study: Any) -> None:
    read(study, "B", NEW, 0, 1, 2)
    table, found = cells(study)
    assert (found["B"].decided, found["B"].p_adjusted, found["C"].decided) == (False, None, True)
    worded(found["B"].note, "A read data 1a2b3c4d", "B 9f8e7d6c")
    worded(table.notes, "1a2b3c4d (A, C)", "9f8e7d6c (B)")


def test_arms_that_name_other_data_may_read_other_data(study: Any) -> None:
    read(study, "B", NEW, 0, 1, 2)
    arms = tuple(
        replace(arm, recipe={**arm.recipe, "data": {**arm.recipe["data"], "image_size": 16}})
        if arm.name == "B"
        else arm
        for arm in study.study.arms
    )
    study.study = replace(study.study, arms=arms)
    table, found = cells(study)
    assert found["B"].decided
    assert not any("Mixed" in note for note in table.notes)


def test_a_run_resumed_under_other_numerics(study: Any) -> None:
    prints = ["cpu, AVX2, 2 threads, eager", "cpu, AVX2, 1 threads, eager"]  # the trainer's order: the newest first
    study.change("B", 1, details={"data": {"digest": OLD}, "mixed_fingerprints": prints})
    table, found = cells(study)
    assert (found["B"].decided, found["B"].p_adjusted) == (False, None)
    worded(found["B"].note, "seed 1", "1 threads", "2 threads")
    assert found["C"].decided
    assert any(note.startswith("Mixed: B: seed 1 resumed under other numerics") for note in table.notes)


@pytest.mark.parametrize("whole", [False, True])
def test_effects_are_not_decided_across_data(maker: Any, factor: Any, whole: bool) -> None:
    values = {"x/u": [0.1, 0.11, 0.12], "x/v": [0.5, 0.51, 0.52], "y/u": [0.2, 0.21, 0.23], "y/v": [0.6, 0.61, 0.63]}
    made = maker([factor("a", "x", "y"), factor("b", "u", "v")], values, baseline={"a": "x", "b": "u"})
    spec = made.spec(kind="effect", factors=())
    for arm in values:
        read(made, arm, OLD, 0, 1, 2)
    assert any(row.cells["top1"].decided for row in build_table(made.study, spec, made.results).rows)
    read(made, "y/v", NEW, *((0, 1, 2) if whole else (2,)))
    table = build_table(made.study, spec, made.results)
    for row in table.rows:
        cell = row.cells["top1"]
        assert (cell.decided, cell.p_adjusted, cell.delta_ci95) == (False, None, None)
        assert cell.delta is not None
        assert "mixed: " in cell.note
        assert cell.run_ids
    assert any(note.startswith("Mixed: ") for note in table.notes)


def test_runs_that_tell_no_digest_are_left_alone(study: Any) -> None:
    assert why_mixed([(0, next(iter(study.results.values())))]) == ""
    study.change("B", 1, details={})
    assert cells(study)[1]["B"].decided


def test_words() -> None:
    assert seeds_text([3]) == "seed 3"
    assert seeds_text(list(range(10))) == "seeds 0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
    assert differing(["a, b", "a, c", "a"]) == ["b", "c", "the rest"]
