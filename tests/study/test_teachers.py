"""A teacher: weights of another run, or of a file, that a run learns from. Its run is the one parent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from golden_texts import coded

from ablate.errors import StudyError
from ablate.parts.declare import Refinement
from ablate.parts.found import register, unregister
from ablate.parts.weights import TEACHER
from ablate.store.store import Store
from ablate.study.grammar import json_schema
from ablate.study.loader import load
from ablate.study.recipes.digest import canonical_json, run_id
from ablate.study.recipes.first_weights import absent
from ablate.study.recipes.recipe import fields, parse_recipe, start_of, weights_paths
from ablate.study.values.study import Study

PATH = "mentor.teacher"


@pytest.fixture(autouse=True)
def mentor() -> Iterator[None]:
    """A refinement with a teacher, as distillation is one."""
    part = Refinement(
        name="mentor", acts=("loss",), fields={PATH: TEACHER}, is_off=lambda settings: settings[PATH] is None
    )
    register(part, __name__)
    yield
    unregister(part)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "big.yaml").write_text(
        "study: big\nrecipe: {data.name: digits, epochs: 1, model.arch: resnet50}\nseeds: 3\n"
        "factors: {lr: {path: optimizer.lr, levels: [0.1, 0.2]}}\nbaseline: {lr: 0.1}\n"
    )
    return tmp_path


def pupil(folder: Path, teacher: str, more: str = "") -> Study:
    file = folder / "pupil.yaml"
    file.write_text(f"study: pupil\nrecipe:\n  data.name: digits\n  epochs: 1\n  {PATH}: {teacher}\n{more}seeds: 3\n")
    return load(file)


def told(folder: Path, teacher: str, more: str = "") -> list[str]:
    with pytest.raises(StudyError) as caught:
        pupil(folder, teacher, more)
    return [line.rpartition("pupil.yaml:")[2] for line in coded(caught.value.problems)]


def test_nobody_is_the_default_and_is_left_out(folder: Path, read: Any) -> None:
    plain = read("study: s\nrecipe: {data.name: digits, epochs: 1}")
    assert pupil(folder, "null").runs == plain.runs
    assert "mentor" not in plain.runs[0].recipe
    assert {"model.init", PATH} <= set(weights_paths())


def test_a_teacher_s_run_is_the_parent_of_the_same_seed_and_is_hashed(folder: Path) -> None:
    big = load(folder / "big.yaml")
    study = pupil(folder, "{study: big.yaml, arm: '0.2'}")
    wanted = {run.seed: run.run_id for run in big.runs if run.arm_id == big.arm("0.2").arm_id}
    assert [run.parent for run in study.runs] == [wanted[0], wanted[1], wanted[2]]
    assert [run.run_id for run in study.parents] == [wanted[0], wanted[1], wanted[2]]
    for run in study.runs:
        assert run.recipe["mentor"] == {"teacher": {"run": run.parent, "weights": "last"}}
        assert run.recipe["model"]["init"] == "scratch"
        assert run.run_id == run_id(canonical_json(run.recipe.json), run.seed)
        assert start_of(run.recipe) == (PATH, {"run": run.parent, "weights": "last"})
        assert parse_recipe(run.recipe).get(PATH) == {"run": run.parent, "weights": "last"}
    other = pupil(folder, "{study: big.yaml, arm: '0.1', seed: 1, weights: selected}")
    assert {run.parent for run in other.runs} == {
        run.run_id for run in big.runs if run.arm_id == big.arm("0.1").arm_id and run.seed == 1
    }
    assert not {run.run_id for run in other.runs} & {run.run_id for run in study.runs}


def test_a_teacher_s_file_is_hashed_by_its_sha256_and_looked_for(folder: Path) -> None:
    (folder / "t.pt").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    run = pupil(folder, "t.pt").runs[0]
    assert run.recipe["mentor"] == {"teacher": {"file": "t.pt", "sha256": digest}}
    assert run.parent is None
    assert absent(run.recipe, home=folder / "home", folders=[folder]) == ""
    (folder / "t.pt").unlink()
    assert absent(run.recipe, home=folder / "home", folders=[folder]) == (
        f"no weights: put t.pt (SHA-256 {digest[:12]}...) into {folder}/home/weights"
    )


def test_a_file_to_start_from_beside_a_teacher_s_run(folder: Path) -> None:
    (folder / "w.pt").write_bytes(b"weights")
    run = pupil(folder, "{study: big.yaml, arm: '0.2'}", "  model.init: w.pt\n").runs[0]
    assert run.parent is not None
    assert "file" in run.recipe["model"]["init"]


def test_two_parents_are_refused(folder: Path) -> None:
    assert told(folder, "{study: big.yaml, arm: '0.2'}", "  model.init: {study: big.yaml, arm: '0.1'}\n") == [
        f"5: recipe.{PATH}: conflict"
    ]


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("scratch", "recipe.mentor.teacher: wrong-value"),
        ("{study: big.yaml, arm: '0.3'}", "unknown-name"),
        ("{study: none.yaml, arm: x}", "unusable-study"),
        ("{study: big.yaml, arm: '0.1', seed: 7}", "recipe.mentor.teacher: missing"),
        ("gone.pt", "absent-file"),
        ("3", "recipe.mentor.teacher: wrong-value"),
        ("{}", "recipe.mentor.teacher: wrong-value"),
        ("{arm: x}", "missing"),
    ],
)
def test_mistakes_are_told_at_the_teacher(folder: Path, teacher: str, message: str) -> None:
    (line,) = told(folder, teacher)
    assert line.startswith(f"5: recipe.{PATH}")
    assert message in line


def test_the_store_gives_each_seed_its_own_teacher_back(folder: Path) -> None:
    study = pupil(folder, "{study: big.yaml, arm: '0.2'}")
    with Store.open(str(folder / "runs.db")) as store:
        store.save_study(study, call_options={})
        kept = {one.run.run_id: one.run for one in store.list_runs(study="pupil")}
    assert {run.run_id: run for run in (*study.runs, *study.parents)} == kept


def test_a_teacher_is_in_the_schema_and_reading_it_twice_changes_nothing() -> None:
    shape = json_schema()["$defs"]["settings"]["properties"][PATH]
    assert shape["default"] is None
    assert {"type": "null"} in shape["anyOf"]
    assert json.dumps(shape)
    for value in (None, "imagenet", {"file": "a"}, {"study": "s", "arm": "a"}, {"run": "r"}, {"entry": "E"}):
        once = fields()[PATH].parse(value)
        assert fields()[PATH].parse(once) == once
