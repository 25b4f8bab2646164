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
    said = call("worker", "--study", "tiny", "--device", "cpu", "--threads", "1", "--limit", "1")
    assert counts(call, tiny) == {"done": 2, "to_run": 2}
    assert said.err.splitlines()[-1] == "ablate worker: leaving; 1 done, 0 failed, 0 lost, 0 given back"
    call("worker", "--study", "1", "--device", "cpu", "--threads", "1")
    assert counts(call, tiny) == {"done": 4, "to_run": 0}
    call("worker", "--study", "tiny")


@pytest.mark.parametrize("options", [(), ("--study", "tiny", "--grid", "grid.json")])
def test_one_thing_to_work_on_is_named(call, options: tuple[str, ...]) -> None:
    assert "error: name what to work on: --study NAME, or --grid FILE." in call("worker", *options, code=2).err


def test_studies_that_are_not_there(call, tiny: Path, fill) -> None:
    fill(tiny)
    assert "tni: neither a study file nor a study in the database." in call("worker", "--study", "tni", code=5).err
    assert "has no study with the key 7; it has 1 (tiny)." in call("worker", "--study", "7", code=5).err
    assert "tiny has not been run with profile cpu" in call("worker", "--study", "tiny", "--profile", "cpu", code=5).err


def test_a_grid_file_that_is_not_there(call) -> None:
    said = call("worker", "--grid", "grid.json", code=5).err
    assert "error: the grid file grid.json cannot be read here (No such file or directory)" in said
