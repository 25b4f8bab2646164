"""Workers elsewhere train in a folder that has the scripts of the request, or in none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from golden_texts import raising
from repositories import commit

from ablate.dispatch.elsewhere import gridfile
from ablate.dispatch.worker.folders import working_folder
from ablate.errors import NotFound
from ablate.study.code.provenance import codes_of, digest_of
from ablate.study.code.snapshot import take
from ablate.study.loader import load
from ablate.study.values.study import Study

STUDY = """\
study: s
recipe: {x: 1}
trainer: {command: "python train.py {x} --seed {seed}", metrics: {top1: }, watch: ['*.txt']}
factors: {x: {path: x, levels: [1, 2]}}
seeds: 2
baseline: {x: 1}
"""


def project(folder: Path, script: str = "print(1)\n", notes: str = "a") -> Study:
    folder.mkdir(exist_ok=True)
    (folder / "s.yaml").write_text(STUDY)
    (folder / "train.py").write_text(script)
    (folder / "notes.txt").write_text(notes)
    return load(folder / "s.yaml")


@pytest.fixture
def written(tmp_path: Path, request_of: Any) -> dict[str, Any]:
    """The document of a grid file for the project in A."""
    study = project(tmp_path / "A")
    request = request_of(
        fit="ablate.training.foreign.command:fit", runs=study.runs, code=digest_of(codes_of(study)),
        options={"study_dir": str(tmp_path / "A"), "watch": ["*.txt"]}, database="sqlite:///r.db",
    )  # fmt: skip
    return gridfile.read(gridfile.write(request))


@pytest.fixture
def request_of(tmp_path: Path) -> Any:
    from ablate.dispatch.contract.executor import GridRequest

    return lambda **fields: GridRequest(
        **{
            "request_key": 1,
            "open_store": lambda: None,
            "home": tmp_path / "home",
            "database": "sqlite:///r.db",
            **fields,
        }
    )


def place(document: dict[str, Any]) -> Path:
    found: Path = Path(gridfile.request_from(Path("grid.json"), document)["options"]["study_dir"])
    return found


def test_the_folder_of_the_request_travels_in_the_grid_file(
    written: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path / "B", script="print(2)\n")
    monkeypatch.chdir(tmp_path / "B")
    assert place(written) == tmp_path / "A"
    assert [seeds for _, seeds in written["scripts"]] == [[0, 1], [0, 1]]


@pytest.mark.parametrize("what", ["script", "watched"])
def test_a_worker_with_other_scripts_refuses_and_one_with_the_same_does_not(
    written: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    (tmp_path / "A").rename(tmp_path / "gone")
    project(tmp_path / "B", **({"script": "print(2)\n"} if what == "script" else {"notes": "b"}))
    monkeypatch.chdir(tmp_path / "B")
    with pytest.raises(NotFound) as caught:
        place(written)
    other = digest_of(codes_of(load("s.yaml")))
    assert f"made in {tmp_path / 'A'}, has {written['code'][:12]}" in str(caught.value)
    assert f"{tmp_path / 'B'} has {str(other)[:12]}" in str(caught.value)
    project(tmp_path / "B")
    assert place(written) == tmp_path / "B"


def test_scripts_that_are_unknown_are_looked_for_nowhere_else(tmp_path: Path) -> None:
    study = project(tmp_path / "A")
    assert working_folder(study.runs, (), None, str(tmp_path / "A")) == tmp_path / "A"
    with pytest.raises(NotFound, match="is not here, and its scripts are unknown"):
        working_folder(study.runs, (), None, str(tmp_path / "B"))
    with pytest.raises(NotFound, match="the folder of this request is not here"):
        working_folder(study.runs, (), None, "")


@pytest.fixture
def copied(tmp_path: Path, request_of: Any) -> dict[str, Any]:
    """The document of a grid file for the project in A, whose runs use a snapshot."""
    study = project(tmp_path / "A")
    source = take(tmp_path / "A", tmp_path / "home").document()
    options = {"study_dir": str(tmp_path / "A"), "sources": {"": source}}
    request = request_of(fit="ablate.training.foreign.command:fit", runs=study.runs, code="0" * 64, options=options)
    return gridfile.read(gridfile.write(request))


def sources(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = gridfile.request_from(Path("grid.json"), document)["options"]["sources"]
    return found


def test_the_snapshot_of_a_request_serves_wherever_it_is_seen(copied: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "A").rename(tmp_path / "gone")
    assert sources(copied) == copied["options"]["sources"]


def test_a_snapshot_that_is_not_here_is_made_of_equal_code_or_refused(
    copied: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (asked,) = copied["options"]["sources"].values()
    shutil.rmtree(asked["folder"])
    assert sources(copied) == {"": asked}
    assert (Path(asked["folder"]) / "code" / "train.py").is_file()
    shutil.rmtree(asked["folder"])
    (tmp_path / "A").rename(tmp_path / "gone")
    project(tmp_path / "B", script="print(2)\n")
    monkeypatch.chdir(tmp_path / "B")
    with raising(NotFound) as caught:
        sources(copied)
    assert asked["digest"][:12] in str(caught.value)
    assert f"{tmp_path / 'B'} has {take(tmp_path / 'B', tmp_path / 'home').digest[:12]}" in str(caught.value)
    project(tmp_path / "B")
    assert sources(copied) == {"": asked}


def test_a_commit_that_is_not_here_is_refused(
    copied: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = commit(tmp_path / "A", {"train.py": "print(3)\n"})
    asked = take(tmp_path / "A", tmp_path / "home", made).document()
    copied["options"]["sources"] = {made: asked}
    shutil.rmtree(asked["folder"])
    commit(tmp_path / "A", {"train.py": "print(4)\n"})
    assert sources(copied) == {made: asked}
    assert (Path(asked["folder"]) / "code" / "train.py").read_text() == "print(3)\n"
    shutil.rmtree(asked["folder"])
    shutil.rmtree(tmp_path / "A")
    monkeypatch.chdir(tmp_path)
    with raising(NotFound):
        sources(copied)


def test_our_own_trainer_is_the_same_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_of: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text("study: s\nseeds: 1\n")
    runs = load("s.yaml").runs
    assert working_folder(runs, (), "0" * 64, str(tmp_path / "gone")) == tmp_path
    path = gridfile.write(
        request_of(fit="ablate.training.trainer:fit", runs=runs, code="0" * 64, database="sqlite:///r.db")
    )
    assert "scripts" not in json.loads(path.read_text())
