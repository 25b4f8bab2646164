"""A call works on what it asked for: variants, seeds, two projects of one name, workers started by hand, names from any folder."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import ablate
from ablate.errors import NotFound
from ablate.store.store import Store

INLINE = ("--executor", "inline", "--threads", "1")
ONE = ("--workers", "1", "--threads", "1")
STUDY = """\
study: {name}
recipe: {{x: 1, y: 0}}
trainer: {{command: "python tick.py {{x}} {{y}}", metrics: {{top1: }}, seed: env}}
factors: {{x: {{path: x, levels: {levels}}}}}
seeds: {seeds}
baseline: {{x: {first}}}
tables: {{t: {{rows: x, columns: [top1]}}}}
"""
SCRIPT = """\
import json, os, sys
x, y, seed = *map(float, sys.argv[1:]), int(os.environ["ABLATE_SEED"])
print(json.dumps({{"top1": {base} + 0.01 * x + 0.001 * y + 0.0001 * seed}}))
"""


def project(folder: Path, *, name: str = "st", levels: str = "[1, 2]", seeds: str = "2", base: float = 0.5) -> Path:
    folder.mkdir(exist_ok=True)
    first = levels.strip("[]").split(",")[0]
    (folder / "st.yaml").write_text(STUDY.format(name=name, levels=levels, seeds=seeds, first=first))
    (folder / "tick.py").write_text(SCRIPT.format(base=base))
    return folder / "st.yaml"


@pytest.fixture
def st(tmp_path: Path) -> Path:
    return project(tmp_path)


def runs() -> list[Any]:
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        return store.list_runs()


def states() -> Counter[str]:
    return Counter(run.state for run in runs())


def attempts() -> Counter[int]:
    return Counter(len(run.attempts) for run in runs())


def values(y: float | None = None) -> set[float]:
    found = [run for run in runs() if run.state == "done" and (y is None or run.run.recipe["y"] == y)]
    return {round(run.metrics["top1"], 4) for run in found}


# Two at a time --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_three_grids_of_one_name_at_once_train_all_that_each_was_asked_for(start, st: Path) -> None:
    grids = [start("grid", "run", "st.yaml", "--set", f"y={y}", *ONE) for y in (1, 2, 3)]
    said = [grid.communicate(timeout=240) for grid in grids]
    assert [grid.returncode for grid in grids] == [0, 0, 0], said
    assert (states(), attempts()) == (Counter(done=12), Counter({1: 12}))


@pytest.mark.slow
def test_two_ranges_of_seeds_at_once_are_trained_whole_and_shown_together(start, call, st: Path) -> None:
    grids = [start("grid", "run", "st.yaml", "--seeds", seeds, *ONE) for seeds in ("0,1", "1,2,3")]
    said = [grid.communicate(timeout=240) for grid in grids]
    assert [grid.returncode for grid in grids] == [0, 0], said
    assert (states(), attempts()) == (Counter(done=8), Counter({1: 8}))
    assert call("status", "st").out.startswith("st: 8 of 8 runs done")


@pytest.mark.slow
def test_a_grid_leaves_the_runs_that_another_call_asked_for(call, st: Path) -> None:
    call("grid", "run", st, "--set", "y=1", "--limit", "1", *INLINE)
    call("grid", "run", st, "--set", "y=2", *INLINE)
    assert states() == {"done": 5, "queued": 3}
    assert "st [y=1]: 1 of 4 runs done, 3 to run" in call("status").out
    said = call("worker", "--study", "st", "--set", "y=1", *ONE)
    assert states() == {"done": 8}, said.err
    assert values(1) == {0.511, 0.5111, 0.521, 0.5211}


@pytest.mark.slow
def test_seeds_of_two_calls_are_one_study_and_each_call_speaks_of_its_own(call, st: Path) -> None:
    first = call("grid", "run", st, "--seeds", "0,1", "--limit", "1", *INLINE)
    assert first.err.startswith("st: 4 runs, 0 done, 4 to run")
    second = call("grid", "run", st, "--seeds", "5,", *INLINE)
    assert second.err.startswith("st: 2 runs, 0 done, 2 to run")
    second.told()
    assert states() == {"done": 3, "queued": 3}
    for named in ("st", st):
        assert call("status", named).out.startswith("st: 3 of 6 runs done, 3 to run")
    assert "--seeds 0,1,5" in call("status", "st").err
    assert call("grid", "plan", st, "--json").document["counts"]["total"] == 4, "a plan speaks of its own call"
    call("worker", "--study", "st", *ONE)
    assert call("report", "st", "--format", "json").document["rows"][0]["cells"]["top1"]["n"] == 3


@pytest.mark.slow
def test_exit_codes_of_a_call_that_leaves_runs(call, st: Path) -> None:
    call("grid", "run", st, "--limit", "1", *INLINE)
    assert "3 of 4 runs missing (3 to run)" in call("report", "st", "--format", "md", "--check", code=4).err
    queued = call("runs", "list", "--state", "queued", "--json").document["runs"]
    call("runs", "cancel", queued[0]["run_id"])
    call(
        "grid", "run", st, "--limit", "1", *INLINE, code=4
    )  # a limit leaves what is still to run, not what was cancelled
    call("grid", "run", st, *INLINE, code=4)
    call("grid", "run", st, "--retry", "all", *INLINE)
    call("report", "st", "--format", "md", "--check")
    (st.parent / "tick.py").write_text(SCRIPT.format(base=0.25))
    assert "stale" in call("grid", "run", st, *INLINE).err, "told, and no reason to leave with 4"


# One database, two projects -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_projects_of_one_name_are_each_trained_by_their_own_script(call, tmp_path: Path) -> None:
    first = project(tmp_path / "A", levels="[1, 2]", base=0.1)
    second = project(tmp_path / "B", levels="[1, 3]", base=0.9)
    call("grid", "run", first, "--limit", "1", *INLINE)
    said = call("grid", "run", second, "--limit", "1", *INLINE)
    assert f"warning: st was last run from {first}, " in said.told().err
    assert f" {second}." in said.err
    call("grid", "run", first, *INLINE)
    call("worker", "--study", "st", *ONE)
    assert values() == {0.11, 0.1101, 0.12, 0.1201, 0.93, 0.9301}, "x = 1 is one run, and the first to ask trained it"
    assert attempts() == {1: 6}
    assert call("status", second).out.startswith("st: 4 of 4 runs done")
    assert "x=1 seed 0" not in call("status", second).err
    assert call("status", first).out.startswith("st: 4 of 4 runs done")
    for command in ("status", "report"):
        said = call(command, second).err
        assert f"st was last run from {first}, with a different design; `ablate report st` shows that one." in said
        assert "has changed" not in said, "nobody edited it"


@pytest.mark.slow
def test_a_worker_from_another_copy_of_the_project_trains_in_the_folder_of_the_request(
    call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path / "A")
    project(tmp_path / "B", base=0.25)
    monkeypatch.chdir(tmp_path / "A")
    call("grid", "run", "st.yaml", "--limit", "1", *INLINE)
    monkeypatch.chdir(tmp_path / "B")
    call("worker", "--study", "st", *ONE)
    assert values() == {0.51, 0.5101, 0.52, 0.5201}


@pytest.mark.slow
def test_a_worker_without_the_requests_folder_needs_the_same_scripts(
    call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path / "A")
    project(tmp_path / "B", base=0.25)
    monkeypatch.chdir(tmp_path / "A")
    call("grid", "run", "st.yaml", "--limit", "1", *INLINE)
    monkeypatch.chdir(tmp_path / "B")
    shutil.rmtree(tmp_path / "A")
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        (request,) = store.requests()
    refused = call("worker", "--study", "st", *ONE, code=5).err
    assert f"The request, made in {tmp_path / 'A'}, has {request.code[:12]}; " in refused
    assert f"{tmp_path / 'A'} does not have these scripts; {tmp_path / 'B'} has " in refused
    assert states() == {"done": 1, "queued": 3}, "nothing was trained, and nothing failed"
    project(tmp_path / "B")  # now it has the scripts of the request
    call("worker", "--study", "st", *ONE)
    assert values() == {0.51, 0.5101, 0.52, 0.5201}


@pytest.mark.slow
def test_a_worker_refuses_scripts_that_were_edited_since_and_serves_the_other_requests(call, st: Path) -> None:
    call("grid", "run", st, "--set", "y=1", "--limit", "1", *INLINE)
    (st.parent / "tick.py").write_text(SCRIPT.format(base=0.25))
    call("worker", "--study", "st", "--set", "y=1", *ONE, code=5)
    call("grid", "run", st, "--seeds", "1", "--limit", "1", *INLINE)
    call("grid", "run", st, "--seeds", "0,3", "--limit", "1", *INLINE)
    assert "1 of 2 runs done" not in call("worker", "--study", "st", *ONE).err
    assert Counter(run.state for run in runs() if run.run.recipe["y"] == 0) == {"done": 4}


@pytest.mark.slow
def test_a_worker_bounds_the_runs_of_all_requests(call, st: Path) -> None:
    call("grid", "run", st, "--seeds", "0,", "--limit", "1", *INLINE)
    call("grid", "run", st, "--seeds", "1,2", "--limit", "1", *INLINE)
    call("worker", "--study", "st", "--limit", "2", *ONE)
    assert states() == {"done": 4, "queued": 2}
    call("worker", "--study", "st", *ONE)
    assert states() == {"done": 6}
    assert call("worker", "--study", "st", *ONE).code == 0, "nothing is open, and that is no mistake"
    call("worker", "--grid", "x", "--set", "y=1", code=2).told("usage")


# Variants -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_variant_is_named_shown_and_never_held_against_the_paper(call, st: Path, tmp_path: Path) -> None:
    st.write_text(st.read_text().replace("columns: [top1]", "columns: [top1], reported: {1: [0.51]}"))
    call("grid", "run", st, *INLINE)
    plain = call("report", "st", "--format", "json").document
    assert (plain["comparable"], plain["set"], plain["study"]) == (True, [], "st")
    done = call("grid", "run", st, "--set", "y=2", *INLINE)
    assert done.err.startswith("st [y=2]: 4 runs, 0 done, 4 to run")
    assert f"ablate report {st} --set y=2" in done.told().err
    variant = call("report", "st", "--set", "y=2", "--format", "json").document
    assert (variant["comparable"], variant["set"], variant["study"]) == (False, ["y=2"], "st")
    assert variant["rows"][0]["cells"]["top1"]["agrees"] is None
    text = call("report", st, "--set", " y = 2 ", "--format", "md").out.replace("\\", "")
    assert "st, with --set y=2, own command python" in text
    assert "not comparable with the paper (with --set y=2 it is another recipe than the paper's)" in text
    call("report", "st", "--set", "y=2", "--out", tmp_path / "out")
    page = (tmp_path / "out" / "st[y=2].html").read_text()
    assert "<title>st [y=2]" in page
    assert "The recipe that ran" in page
    assert "y: 2" in page
    assert "y: 0" in page, "the file's text is there too"
    assert call("report", "--format", "json").document["set"] == [], "without a name a variant is never meant"
    assert call("status", "--json").document["studies"][0]["set"] == ["y=2"]
    assert "st [y=2]: 4 of 4 runs done" in call("watch", "--once").out
    assert ablate.frame("st", set="y=2")["set"].unique().tolist() == ["y=2"]
    assert ablate.frame("st")["top1"].max() < ablate.frame("st", set=["y=2"])["top1"].max()


@pytest.mark.slow
def test_a_setting_that_changes_nothing_is_no_variant(call, st: Path) -> None:
    call("grid", "run", st, "--set", "y=0", *INLINE)
    assert call("status", "st").out.startswith("st: 4 of 4 runs done")
    assert call("status", "st", "--set", "y=0").out.startswith("st: 4 of 4 runs done")


@pytest.mark.slow
def test_a_name_that_was_only_run_with_settings_says_so(call, st: Path) -> None:
    call("grid", "run", st, "--set", "y=2", "--limit", "1", *INLINE)
    call("grid", "run", st, "--set", "y=3", "--limit", "1", *INLINE)
    for command in (("report", "st"), ("status", "st"), ("watch", "st", "--once"), ("worker", "--study", "st")):
        said = call(*command, code=5).err
        assert (
            "st has been run only with changed settings: st [y=3], st [y=2]. Name one of these variants. Repeat its settings with --set."
            in said
        )
    said = call("status", "st", "--set", "y=4", code=5).told("unknown-variant").err
    assert "st [y=4] " in said
    assert "st [y=3], st [y=2]" in said
    assert "st [y=2], st [y=3]" in call("report", code=5).told("no-runs").err
    with pytest.raises(NotFound, match="only with changed settings"):
        ablate.frame("st")


@pytest.mark.slow
def test_settings_that_yaml_would_drop_reach_the_command(call, st: Path) -> None:
    (st.parent / "tick.py").write_text("import json, sys\nprint(json.dumps({'top1': len(sys.argv[2]) / 10}))\n")
    call("grid", "run", st, "--set", "y=#ff0000", "--seeds", "1", *INLINE)
    assert values() == {0.7}
    assert call("status", "st", "--set", "y=#ff0000").out.startswith('st [y="#ff0000"]: 2 of 2 runs done')


# Names and versions ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_another_design_is_a_second_version_of_a_name(call, st: Path, tmp_path: Path) -> None:
    call("grid", "run", st, *INLINE)
    old = st.with_name("old.yaml")
    old.write_text(st.read_text())
    project(tmp_path, levels="[1, 2, 3]", seeds="1")
    said = call("grid", "run", st, *INLINE)
    assert "note: " in said.told().err
    assert call("status", "st").out.startswith("st: 3 of 3 runs done"), (
        "seeds of the old design are not asked of the new"
    )
    assert call("status", old).out.startswith("st: 4 of 4 runs done"), "a file means its own version"
    found = call("runs", "list", "--json").document["runs"]
    assert all(run["studies"] == ["st"] for run in found), "whoever ever asked for a run is named"
    assert found[0]["asked_by"] == [{"study": "st", "profile": None, "set": []}]
    again = call("grid", "run", old, "--limit", "1", *INLINE)
    assert f"warning: st was last run from {st}, " in again.told().err


@pytest.mark.slow
def test_the_same_file_from_another_folder_is_no_other_version(call, st: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call("grid", "run", "st.yaml", "--limit", "1", *INLINE)
    (st.parent / "deep").mkdir()
    monkeypatch.chdir(st.parent / "deep")
    said = call("grid", "run", "../st.yaml", "--limit", "1", *INLINE).err
    assert "warning" not in said
    assert "note" not in said
    assert ": ablate grid run ../st.yaml\n" in call("status", "st").told().err
    assert "t " in call("report", "st", "--format", "md").out


@pytest.mark.slow
def test_a_table_that_a_file_gained_is_shown_by_name_from_anywhere(
    call, st: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("grid", "run", "st.yaml", *INLINE)
    text = st.read_text()
    st.write_text(text.replace("tables: {", "tables: {paper: {rows: x, columns: [top1], caption: New}, "))
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert "New" in call("report", "st", "--table", "paper", "--format", "md").out
    st.write_text(text.replace("y: 0", "y: 5").replace("tables: {", "tables: {paper: {rows: x, columns: [top1]}, "))
    said = call("report", "st", "--table", "paper", "--format", "md", code=5).err
    assert f"st has no table 'paper'. Tables: t. {st} has changed since st was last run" in said
    st.unlink()
    said = call("report", "st", "--table", "paper", code=5).told("unknown-table").err
    assert "'paper'" in said
    assert "Tables: t." in said


PARENT = "study: parent\nrecipe: {data: {name: digits, limit: 20}, model.arch: three-layer-cnn, epochs: 1, batch_size: 10}\nseeds: 1\n"
CHILD = PARENT.replace("study: parent", "study: child").replace(
    "epochs: 1", "model.init: {study: ../par/parent.yaml, arm: baseline}, epochs: 1"
)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["edited", "gone", "elsewhere"])
def test_a_study_that_starts_from_anothers_runs_is_shown_by_name_from_any_folder(
    call, fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    for folder, text in (("par/parent.yaml", PARENT), ("ch/child.yaml", CHILD)):
        (tmp_path / folder).parent.mkdir()
        (tmp_path / folder).write_text(text)
    monkeypatch.chdir(tmp_path / "ch")
    call("grid", "run", "child.yaml", *INLINE)
    if what == "edited":
        (tmp_path / "par/parent.yaml").write_text(PARENT.replace("epochs: 1", "epochs: 2"))
    elif what == "gone":
        shutil.rmtree(tmp_path / "par")
    (tmp_path / "far").mkdir()
    monkeypatch.chdir(tmp_path / "far")
    assert call("status", "child").out.startswith("child: 1 of 1 run done")
    for command in (
        ("report", "--format", "md"),
        ("report", "child", "--format", "md"),
        ("watch", "--once"),
        ("watch", "child", "--once"),
    ):
        call(*command)
    call("worker", "--study", "child")
    assert len(ablate.frame("child")) == 1
