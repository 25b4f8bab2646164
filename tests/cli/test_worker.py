"""`ablate worker` by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

INLINE = ("--executor", "inline", "--threads", "1")


def counts(call, study: object) -> dict[str, int]:
    found = call("status", study, "--json").document["counts"]
    return {name: found[name] for name in ("done", "to_run")}


@pytest.mark.slow
def test_a_worker_trains_what_is_left_of_a_study(call, tiny: Path) -> None:
    call("grid", "run", tiny, *INLINE, "--limit", "1")
    call("worker", "--study", "tiny", "--device", "cpu", "--threads", "1", "--limit", "1").told()
    assert counts(call, tiny) == {"done": 2, "to_run": 2}
    call("worker", "--study", "1", "--device", "cpu", "--threads", "1")
    assert counts(call, tiny) == {"done": 4, "to_run": 0}
    call("worker", "--study", "tiny")


@pytest.mark.parametrize("options", [(), ("--study", "tiny", "--grid", "grid.json")])
def test_one_thing_to_work_on_is_named(call, options: tuple[str, ...]) -> None:
    call("worker", *options, code=2).told("usage")


def test_studies_that_are_not_there(call, tiny: Path, fill) -> None:
    fill(tiny)
    call("worker", "--study", "tni", code=5).told("unknown-study")
    call("worker", "--study", "7", code=5).told("unknown-study")
    call("worker", "--study", "tiny", "--profile", "cpu", code=5).told("unknown-profile")


def test_a_grid_file_that_is_not_there(call) -> None:
    call("worker", "--grid", "grid.json", code=5).told("not-found")
