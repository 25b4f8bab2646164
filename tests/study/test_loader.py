from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from golden_texts import raising

from ablate.errors import NotFound
from ablate.study.document.keys import STUDY
from ablate.study.loader import Choices, find, load, load_text


def test_a_study_is_a_value(lee: str) -> None:
    assert load_text(lee, "s.yaml") == load_text(lee, "s.yaml")


def test_what_a_study_says_of_itself(read: Any, lee: str) -> None:
    study = read(lee + "keep: last\n")
    assert (study.name, study.file, study.about, study.keep) == ("lee", "s.yaml", "Which tweaks help?", "last")
    assert study.cite == {"title": "A paper", "source": "somewhere"}
    assert study.source == lee + "keep: last\n"
    assert read("study: s").keep is None
    assert (study.trainer, study.tune, study.steps) == (None, None, {})


def test_names_keep_their_text(read: Any) -> None:
    for name in ("2024", "1e-4", "0.90", "no", "a.b_c-d"):
        assert read(f"study: {name}\nabout: 0.90").name == name
    assert read("study: s\nabout: 0.90").about == "0.90"


def test_the_smallest_study(read: Any) -> None:
    study = read("study: s")
    assert study.seeds == (0, 1, 2)
    assert [arm.name for arm in study.arms] == ["baseline"]
    assert len(study.runs) == 3
    assert list(study.tables) == ["top1_top5"]


@pytest.mark.parametrize("seeds", ["3", "[0, 1, 2]", "null"])
def test_seeds_are_a_number_or_a_list(read: Any, seeds: str) -> None:
    assert read(f"study: s\nseeds: {seeds}").seeds == (0, 1, 2)
    assert read("study: s\nseeds: [7, 3]").seeds == (7, 3)


@pytest.mark.parametrize("seeds", ["0", "-1", "1.5", "true", "three", "[]", "[0, 0]", "[-1]", "[true]", "[1.0]", "[a]", "[[1]]", "{a: 1}", "100001", "[2147483648]"])  # fmt: skip
def test_what_are_no_seeds(mistakes: Any, seeds: str) -> None:
    (line,) = mistakes(f"study: s\nseeds: {seeds}")
    assert line == ("s.yaml:2: seeds: wrong-value")


def test_seeds_of_the_command_line(read: Any, mistakes: Any) -> None:
    assert read("study: s\nseeds: 5", seeds=2).seeds == (0, 1)
    assert read("study: s\nseeds: 5", seeds=(4, 9)).seeds == (4, 9)
    assert mistakes("study: s", seeds=0) == ["--seeds: wrong-value"]
    assert mistakes("study: s\nseeds: x", seeds=2) == ["s.yaml:2: seeds: wrong-value"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("study: Lee 2024", "study: bad-name"),
        ("study: ..", "study: bad-name"),
        ("study: [a]", "study: bad-name"),
        ("study:", "study: bad-name"),
        (f"study: {'a' * 81}", "study: bad-name"),
        ("study: s\nkeep: best", "keep: wrong-value"),
        ("study: s\nkeep: [all]", "keep: wrong-value"),
        ("study: s\nabout: [a]", "about: wrong-type"),
        ("study: s\nabout: {a: b}", "about: wrong-type"),
        ("study: s\ncite: Lee", "cite: wrong-type"),
        ("study: s\nrecipe: 3", "recipe: wrong-type"),
        ("study: s\nfactors: 3", "factors: wrong-type"),
        ("study: s\ntables: [a]", "tables: wrong-type"),
        ("study: s\nprofiles: [a]", "profiles: wrong-type"),
        ("study: s\ntune: [a.yaml]", "tune: wrong-type"),
        ("study: s\nfactor: {}", "factor: unknown-key"),
        ("study: s\nepochs: 3", "epochs: unknown-key"),
    ],
)
def test_mistakes_at_the_top(mistakes: Any, line: str, message: str) -> None:
    (told,) = mistakes(line)
    assert told == f"s.yaml:{line.count(chr(10)) + 1}: {message}"


def test_the_top_level_keys_are_those_of_the_contract() -> None:
    contract = (
        "study about cite recipe trainer factors design exclude include seeds baseline profiles labels tables keep tune "
        "resources"
    )
    assert list(STUDY) == contract.split()


def test_a_file_without_a_name_says_so(mistakes: Any) -> None:
    assert mistakes("about: x") == ["s.yaml:1: study: bad-name"]


def test_several_mistakes_are_told_together_in_the_order_of_the_file(mistakes: Any, lee: str) -> None:
    text = (
        lee.replace("study: lee", "study: Lee!")
        .replace("lr: 0.01", "lr: -0.01")
        .replace("epochs: 10", "epoch: 10")
        .replace("seeds: 3", "seeds: none")
        .replace("tweak: [C, D]", "tweak: [C, E]")
        .replace("baseline: {tweak: A, refinements: none}\nprofiles", "baseline: {tweak: X}\nprofiles")
        .replace("data.fraction: 0.5", "data.fraction: 5")
        .replace("B is best", "B is better")
    )
    assert mistakes(text) == [
        's.yaml:1: study: bad-name',
        's.yaml:7: recipe.optimizer.lr: out-of-range',
        's.yaml:9: recipe.epoch: unknown-field',
        's.yaml:18: exclude.0.tweak: unknown-name',
        's.yaml:19: seeds: wrong-value',
        's.yaml:20: baseline.tweak: unknown-name',
        's.yaml:22: profiles.cpu.recipe.data.fraction: out-of-range',
        's.yaml:29: tables.table1.claims.0: bad-claim',
    ]  # fmt: skip


@pytest.mark.slow
def test_a_file_full_of_mistakes_shows_the_first_hundred(mistakes: Any) -> None:
    lines = mistakes("study: s\nrecipe:\n" + "".join(f"  x{i}: 1\n" for i in range(50_000)))
    assert len(lines) == 101
    assert lines[-1] == "s.yaml: too-many"


def test_long_values_are_shortened_in_messages(mistakes: Any) -> None:
    lines = mistakes(
        f"study: {'x' * 1_000_000}\n{'y' * 1000}: 1\nrecipe: {{epochs: {'z' * 1_000_000}, data.name: {'w' * 100_000}}}"
    )
    assert len(lines) == 4
    assert all(len(line) < 2500 for line in lines)


def test_set_changes_the_base_and_levels_apply_after_it(read: Any, lee: str) -> None:
    study = read(lee, sets=("epochs=2", "data.split={train: 0.5, test: 0.5}", "mixup.alpha = 0.7", "data.limit="))
    recipe = study.arm("A/none").recipe
    assert (recipe["epochs"], recipe["data"]["split"], recipe["mixup"]["alpha"]) == (
        2,
        {"train": 0.5, "test": 0.5},
        0.7,
    )
    assert recipe["data"]["limit"] is None
    assert study.arm("A/m").recipe["mixup"]["alpha"] == 0.2
    assert read(lee, profile="cpu", sets=("data.image_size=16",)).runs[0].recipe["data"]["image_size"] == 16


@pytest.mark.parametrize(
    ("sets", "line"),
    [
        (("epochs",), "--set epochs: bad-format"),
        (("=3",), "--set =3: bad-format"),
        (("epoch=3",), "--set epoch=3: unknown-field"),
        (("epochs=x",), "--set epochs=x: wrong-type"),
        (("epochs=[",), "--set epochs=[: bad-yaml"),
        (("epochs=3", "epochs=4"), "--set epochs=4: duplicate"),
        (
            ("model.tweak=B",),
            "--set model.tweak=B: no-effect",
        ),
        (("model.arch=x",), "--set model.arch=x: unknown-name"),
    ],
)
def test_mistakes_in_set(mistakes: Any, lee: str, sets: tuple[str, ...], line: str) -> None:
    (told,) = mistakes(lee, sets=sets)
    assert told.startswith(line)


def test_all_mistakes_of_set_are_told_with_those_of_the_file(mistakes: Any) -> None:
    assert mistakes("study: S", sets=("epochs=0", "batch_size=0")) == [
        "--set epochs=0: out-of-range",
        "--set batch_size=0: out-of-range",
        "s.yaml:1: study: bad-name",
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "experiments/lee").mkdir(parents=True)
    for name in ("here.yaml", "experiments/there.yaml", "experiments/lee/table1.yaml"):
        (tmp_path / name).write_text("study: s\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_bare_name_is_looked_for_here_then_in_experiments(folder: Path) -> None:
    found = {
        "here.yaml": "here.yaml", "here": "here.yaml", "there.yaml": "experiments/there.yaml", "there": "experiments/there.yaml",
        "experiments/there.yaml": "experiments/there.yaml", "table1.yaml": "experiments/lee/table1.yaml", "table1": "experiments/lee/table1.yaml",
    }  # fmt: skip
    assert {name: str(find(name)) for name in found} == found
    (folder / "there.yaml").write_text("study: s\n")
    assert str(find("there.yaml")) == "there.yaml"
    assert load("there", Choices(seeds=1)).file == "experiments/there.yaml"


def test_a_name_that_is_not_there_says_what_is(folder: Path) -> None:
    with pytest.raises(NotFound) as caught:
        find("ther.yaml")
    assert str(caught.value) == (
        "ther.yaml: no such study file, neither here nor in experiments/. Did you mean 'there.yaml'? "
        "Study files here: experiments/lee/table1.yaml, experiments/there.yaml."
    )
    (folder / "experiments/xu").mkdir()
    (folder / "experiments/xu/table1.yaml").write_text("study: s\n")
    with raising(NotFound):
        find("table1")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "x" * 5000, "a\0b", "no/where.yaml", "/no/where.yaml", "/dev", "lee/table1.yaml"]
)
def test_odd_names_are_not_found(folder: Path, name: str) -> None:
    with pytest.raises(NotFound):
        load(name)
