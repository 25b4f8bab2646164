from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from golden_texts import coded

from ablate.errors import StudyError
from ablate.study.loader import Choices, load, load_text
from ablate.study.values.study import Study


def child(folder: Path, init: str, more: str = "", seeds: str = "3", name: str = "child") -> Study:
    """A study beside the parent whose recipe starts from `init`."""
    file = folder / f"{name}.yaml"
    file.write_text(
        f"study: {name}\nrecipe:\n  data.name: digits\n  epochs: 1\n  model.init: {init}\nseeds: {seeds}\n{more}"
    )
    return load(file)


def told(folder: Path, init: str, more: str = "", seeds: str = "3") -> list[str]:
    with pytest.raises(StudyError) as caught:
        child(folder, init, more, seeds)
    return [line.removeprefix(str(folder) + os.sep) for line in coded(caught.value.problems)]


def init_of(study: Study) -> Any:
    return study.runs[0].recipe["model"]["init"]


@pytest.mark.parametrize(("init", "entry"), [("imagenet", "IMAGENET1K_V1"), ("imagenet-v2", "IMAGENET1K_V2")])
def test_imagenet_weights_are_hashed_by_torchvisions_name(recipe_of: Any, init: str, entry: str) -> None:
    assert recipe_of(f"model: {{arch: resnet50, init: {init}}}")["model"]["init"] == {"entry": entry}


def test_scratch_is_the_default(recipe_of: Any) -> None:
    assert recipe_of("model.init: scratch") == recipe_of("epochs: 10")


def test_a_file_is_hashed_by_its_sha256(two: Path) -> None:
    (two / "w.pt").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    first = child(two, "w.pt")
    assert init_of(first) == {"file": "w.pt", "sha256": digest}
    assert child(two, "./w.pt").runs == first.runs
    assert child(two, f"{{file: w.pt, sha256: {digest}}}").runs == first.runs
    (two / "w.pt").write_bytes(b"others")
    assert child(two, "w.pt").runs[0].run_id != first.runs[0].run_id


def test_a_file_that_is_absent_can_be_planned_by_its_sha256(two: Path) -> None:
    digest = "0123456789abcdef" * 4
    assert init_of(child(two, f"{{file: far/w.pt, sha256: {digest}}}")) == {"file": "far/w.pt", "sha256": digest}


def test_mistakes_in_files(two: Path) -> None:
    (two / "w.pt").write_bytes(b"weights")
    wrong = "0" * 64
    assert told(two, f"{{file: w.pt, sha256: {'a' * 64}}}") == ["child.yaml:5: recipe.model.init: digest-differs"]
    absent = ["child.yaml:5: recipe.model.init: absent-file"]
    assert told(two, "imagnet") == absent
    assert told(two, "{file: no.pt}") == absent
    assert told(two, "x" * 300) == absent
    for wrong_init in (f"{{file: w.pt, sha256: {wrong}}}", "{file: w.pt, sha: x}", "{file: 3}", "''", "3", "[a]"):
        assert told(two, wrong_init) == ["child.yaml:5: recipe.model.init: wrong-value"]


def test_a_run_of_another_study_with_the_same_seed(two: Path) -> None:
    study = child(two, "{study: parent.yaml, arm: resnet50}")
    parents = {run.seed: run for run in load(two / "parent.yaml").runs if run.recipe["model"]["arch"] == "resnet50"}
    assert [run.parent for run in study.runs] == [parents[seed].run_id for seed in range(3)]
    assert [run.recipe["model"]["init"] for run in study.runs] == [
        {"run": parents[seed].run_id, "weights": "last"} for seed in range(3)
    ]
    assert study.parents == tuple(parents[seed] for seed in range(3))
    assert init_of_arm(study) == {"arm": parents[0].arm_id, "seed": "same", "weights": "last"}
    assert len({run.arm_id for run in study.runs}) == 1


def init_of_arm(study: Study) -> Any:
    return study.arms[0].recipe["model"]["init"]


def test_a_run_of_another_study_with_one_seed_weights_and_profile(two: Path) -> None:
    study = child(two, "{study: parent.yaml, profile: cpu, arm: baseline, seed: 1, weights: selected}")
    (parent,) = study.parents
    assert (parent.seed, parent.recipe["data"]["fraction"]) == (1, 0.5)
    assert [run.parent for run in study.runs] == [parent.run_id] * 3
    assert init_of(study) == {"run": parent.run_id, "weights": "selected"}
    assert len({run.run_id for run in study.runs}) == 3


def test_a_run_id_follows_its_parents_recipe(two: Path) -> None:
    before = child(two, "{study: parent.yaml, arm: resnet50}").runs[0].run_id
    text = (two / "parent.yaml").read_text()
    (two / "parent.yaml").write_text(text.replace("epochs: 1", "epochs: 2"))
    assert child(two, "{study: parent.yaml, arm: resnet50}").runs[0].run_id != before


def test_an_arm_keeps_its_text(two: Path) -> None:
    (two / "rates.yaml").write_text(
        "study: r\nfactors: {lr: {path: optimizer.lr, levels: {1e-4: 0.5, 007: 0.1}}}\nbaseline: {lr: 007}\n"
    )
    assert child(two, "{study: rates.yaml, arm: 1e-4}").parents[0].recipe["optimizer"]["lr"] == 0.5
    assert child(two, "{study: rates.yaml, arm: 007}").parents[0].recipe["optimizer"]["lr"] == 0.1


@pytest.mark.parametrize(
    ("init", "line"),
    [
        ("{study: parent.yaml}", ': missing'),
        ("{arm: resnet50}", ': missing'),
        ("{}", ': missing'),
        ("{study: parent.yaml, arm: resnet51}", '.arm: unknown-name'),
        ("{study: parents.yaml, arm: resnet50}", ".study: unusable-study"),
        ("{study: ., arm: resnet50}", ".study: unusable-study"),
        ("{study: parent.yaml, profile: gpu, arm: resnet50}", ".study: unusable-study"),
        ("{study: parent.yaml, arm: resnet50, seed: 7}", ': missing'),
        ("{study: parent.yaml, arm: resnet50, seed: some}", ': wrong-value'),
        ("{study: parent.yaml, arm: resnet50, weights: best}", ': wrong-value'),
        ("{study: parent.yaml, arm: resnet50, epoch: 3}", ': wrong-value'),
        ("{study: [a], arm: resnet50}", ': wrong-value'),
        ("{study: true, arm: resnet50}", ".study: unusable-study"),
    ],
)  # fmt: skip
def test_mistakes_in_runs(two: Path, init: str, line: str) -> None:
    assert told(two, init) == [f"child.yaml:5: recipe.model.init{line}"]


def test_a_child_with_more_seeds_than_its_parent(two: Path) -> None:
    assert told(two, "{study: parent.yaml, arm: resnet50}", seeds="[0, 2, 5]") == [
        "child.yaml:5: recipe.model.init: missing"
    ]


def test_an_arm_that_the_parent_leaves_out(two: Path) -> None:
    (two / "parent.yaml").write_text((two / "parent.yaml").read_text() + "exclude: [{arch: resnet50}]\n")
    assert told(two, "{study: parent.yaml, arm: resnet50}") == ["child.yaml:5: recipe.model.init.arm: not-in-grid"]


def test_mistakes_of_a_parent_name_its_file(two: Path) -> None:
    (two / "parent.yaml").write_text("study: parent\nepochs: 3\n")
    (line,) = told(two, "{study: parent.yaml, arm: baseline}")
    assert "recipe.model.init.study: unusable-study" in line
    assert "recipe.model.init.study: unusable-study" in line


def test_circles_are_seen(two: Path) -> None:
    (two / "other.yaml").write_text("study: other\nrecipe: {model.init: {study: child.yaml, arm: baseline}}\n")
    (line,) = told(two, "{study: other.yaml, arm: baseline}")
    assert line.endswith("recipe.model.init.study: unusable-study")
    (line,) = told(two, "{study: child.yaml, arm: baseline}")
    assert line.endswith("unusable-study")


def test_parents_come_before_their_children_and_only_those_that_are_needed(two: Path) -> None:
    middle = child(two, "{study: parent.yaml, arm: resnet50}", name="middle")
    study = child(two, "{study: middle.yaml, arm: baseline, seed: 1}", seeds="2")
    assert [run.parent for run in study.runs] == [middle.runs[1].run_id] * 2
    assert [run.run_id for run in study.parents] == [middle.runs[1].parent, middle.runs[1].run_id]
    every = child(two, "{study: middle.yaml, arm: baseline}")
    place = {run.run_id: index for index, run in enumerate(every.parents)}
    assert len(every.parents) == 6
    assert all(place[run.parent] < place[run.run_id] for run in every.parents if run.parent)


def test_a_parent_that_the_study_trains_itself_is_not_listed_again(two: Path) -> None:
    more = (
        "factors:\n"
        "  arch: {path: model.arch, levels: [resnet18]}\n"
        "  start: {levels: {fresh: {model.init: scratch}, warm: {model.init: {study: parent.yaml, arm: resnet18}}}}\n"
        "baseline: {arch: resnet18, start: fresh}\n"
    )
    study = child(two, "scratch", more)
    assert study.parents == ()
    fresh, warm = ([run for run in study.runs if run.arm_id == arm.arm_id] for arm in study.arms)
    assert [run.parent for run in warm] == [run.run_id for run in fresh]


def test_a_mistake_in_a_levels_init_stands_at_the_level(two: Path) -> None:
    more = "factors:\n  start:\n    levels:\n      a: \n      b: {model.init: {study: parent.yaml, arm: resnet51}}\nbaseline: {start: a}\n"
    (line,) = told(two, "scratch", more)
    assert line.startswith("child.yaml:11: factors.start.levels.b.model.init.arm: unknown-name")


def test_one_run_under_two_names_is_trained_once(two: Path) -> None:
    more = (
        "factors:\n  start:\n    levels:\n"
        "      same: {model.init: {study: parent.yaml, arm: resnet18}}\n"
        "      zero: {model.init: {study: parent.yaml, arm: resnet18, seed: 0}}\n"
        "baseline: {start: same}\n"
    )
    study = child(two, "scratch", more)
    assert len(study.arms) == 2
    assert len(study.runs) == len({run.run_id for run in study.runs}) == 5  # with seed 0 the two are one run


def test_a_study_that_many_arms_start_from_is_read_once(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ablate.study import loader

    reads: list[str] = []
    original = loader.read
    monkeypatch.setattr(loader, "read", lambda path: reads.append(path.name) or original(path))
    inits = "".join(f"      x{i}: {{model.init: {{study: parent.yaml, arm: resnet18, seed: {i}}}}}\n" for i in range(3))
    child(two, "scratch", f"factors:\n  start:\n    levels:\n{inits}baseline: {{start: x0}}\n")
    assert reads == ["child.yaml", "parent.yaml"]


def test_a_long_chain_of_studies_ends_in_a_sentence(two: Path) -> None:
    for i in range(40):
        (two / f"s{i}.yaml").write_text(
            f"study: s{i}\nseeds: 1\nrecipe: {{model.init: {{study: s{i + 1}.yaml, arm: baseline}}}}\n"
        )
    (line,) = told(two, "{study: s0.yaml, arm: baseline}", seeds="1")
    assert line.endswith("recipe.model.init.study: unusable-study")


def test_settings_of_the_command_line_do_not_reach_the_parent(two: Path) -> None:
    child(two, "{study: parent.yaml, arm: resnet18}")
    study = load(two / "child.yaml", Choices(sets=("epochs=7",), seeds=1))
    assert study.runs[0].recipe["epochs"] == 7
    assert [run.recipe["epochs"] for run in study.parents] == [1]


def test_the_folders_of_parents_are_known_where_their_files_of_weights_lie(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "w.pt").write_bytes(b"weights")
    first = child(tmp_path / "a", "w.pt", name="first")
    second = child(tmp_path / "b", "{study: ../a/first.yaml, arm: baseline}", name="second")
    third = child(tmp_path, "{study: b/second.yaml, arm: baseline}", name="third")
    assert first.parent_folders == ()
    assert [Path(folder).resolve().name for folder in third.parent_folders] == ["b", "a"]
    assert [Path(folder).resolve().name for folder in second.parent_folders] == ["a"]


def stored(study: Study, file: str) -> Study:
    """The study as its stored text says it, its file now being called `file`."""
    return load_text(study.source, file, Choices(sources=study.parent_sources, weights=study.weights))


def test_a_stored_text_needs_neither_its_parents_files_nor_its_weights(two: Path, tmp_path: Path) -> None:
    (two / "w.pt").write_bytes(b"weights")
    (two / "deep").mkdir()
    top = two / "deep" / "top.yaml"
    top.write_text("study: top\nseeds: 3\nrecipe: {epochs: 1, model.init: ../w.pt}\n")
    child(two, "{study: deep/top.yaml, arm: baseline}", name="middle")
    study = child(two, "{study: middle.yaml, arm: baseline}")
    assert sorted(study.parent_sources) == ["deep/top.yaml", "middle.yaml"]
    assert study.weights == {"w.pt": hashlib.sha256(b"weights").hexdigest()}
    (two / "w.pt").write_bytes(b"others")
    top.write_text("study: top\nrecipe: {epochs: 9}\n")
    (two / "middle.yaml").unlink()
    for file in (str(two / "child.yaml"), "elsewhere/child.yaml"):
        again = stored(study, file)
        assert (again.runs, again.parents, again.text) == (study.runs, study.parents, study.text)
        assert (again.parent_sources, again.weights) == (study.parent_sources, study.weights)


def test_a_stored_text_is_the_same_from_any_folder(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child(two, "{study: parent.yaml, arm: resnet50}")
    monkeypatch.chdir(two)
    study = load("child.yaml")
    (two / "empty").mkdir()
    monkeypatch.chdir(two / "empty")
    assert stored(study, study.file).runs == study.runs == load(two / "child.yaml").runs


def test_what_a_stored_text_does_not_hold_is_read_from_the_disk(two: Path) -> None:
    study = child(two, "{study: parent.yaml, arm: resnet50}")
    assert load_text(study.source, study.file).runs == study.runs
