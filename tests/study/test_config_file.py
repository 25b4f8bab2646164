"""Config files of scripts: what is set in them, what is refused at plan, and what a run's own copy holds."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ablate.errors import RunFailure
from ablate.study.assign.config_file import read_config
from ablate.study.assign.foreign_config import written_config
from ablate.study.code.provenance import codes_of
from ablate.study.loader import load

YAML = """\
# a comment
shared: &shared {lr: 1e-3, nesterov: yes}
optim:
  <<: *shared
  name: "on"   # quoted
other: *shared
layers: [{size: 3}, {size: !!python/tuple [1, 2]}]
out: ${oc.env:HOME}/runs
day: 2020-01-01
seed: 1
empty:
"""
STUDY = """\
study: s
seeds: 2
recipe: {RECIPE}
trainer:
  command: python train.py -c {config} --width {width}
  config: {file: base.yaml, set: {seed: "{seed}", out: "{run_dir}"}}
"""


def changed(name: str, text: str, **values: Any) -> Any:
    """The file with values under paths in which __ is a dot."""
    base = read_config(name, text)
    for path, value in values.items():
        base.set(path.replace("__", "."), value)
    return base


def test_yaml_keeps_what_is_not_set_as_it_was_written() -> None:
    text = changed("a.yaml", YAML, optim__lr=1e-5, layers__0__size=[1, 2e20], seed=4, empty=None).text()
    for kept in (
        'name: "on"',
        "!!python/tuple [1, 2]",
        "${oc.env:HOME}/runs",
        "day: 2020-01-01",
        "nesterov: yes",
        "lr: 1e-3",
        "seed: 4\n",
    ):
        assert kept in text
    found = yaml.unsafe_load(text)
    assert found["optim"] == {"lr": 1e-5, "nesterov": True, "name": "on"}
    assert found["shared"] == found["other"] == {"lr": "1e-3", "nesterov": True}
    assert found["layers"] == [{"size": [1, 2e20]}, {"size": (1, 2)}]


@pytest.mark.parametrize("value", [1e-05, 2.5e20, 1e300, -0.0, 3, True, None, "1e-4", "off", "0o7", "{x}", "", "é: x", [1e-9, {"a": "on"}], {}])  # fmt: skip
def test_values_are_read_by_pyyaml_as_they_were_set(value: Any) -> None:
    found = yaml.safe_load(changed("a.yml", "a: {b: 0}", a__b=value).text())["a"]["b"]
    assert found == value
    assert type(found) is type(value)


def test_an_alias_is_left_alone_where_another_place_is_set() -> None:
    found = yaml.safe_load(changed("a.yaml", "a: &x {k: {v: 1}, l: [1]}\nb: *x", a__k__v=2, b__l__0=3).text())
    assert found == {"a": {"k": {"v": 2}, "l": [1]}, "b": {"k": {"v": 1}, "l": [3]}}


def test_toml_and_json_and_ini() -> None:
    toml = changed(
        "a.toml", 'a = 1\n[b.c]\nd = [1, 2]\n[[e]]\nx = "y"\n', b__c__d=1e-5, e__0__x=True, n__m=[1.0]
    ).text()
    assert tomllib.loads(toml) == {"a": 1, "b": {"c": {"d": 1e-5}}, "e": [{"x": True}], "n": {"m": [1.0]}}
    text = changed("a.json", '{"z": [{"y": 1}], "a": "é"}', z__0__y=None, z__1=2).text()
    assert json.loads(text) == {"z": [{"y": None}, 2], "a": "é"}
    assert "é" in text
    ini = changed(
        "a.ini",
        "[DEFAULT]\nq = 1\n[net.one]\nLr = %(q)s\nflag\n",
        net__one__Lr=1e-5,
        net__one__q=[1, True],
        new__x="a b",
    ).text()
    assert ini == "[DEFAULT]\nq = 1\n\n[net.one]\nLr = 1e-05\nflag\nq = 1, true\n\n[new]\nx = a b\n\n"


@pytest.mark.parametrize(
    ("name", "text", "has", "lacks"),
    [
        ("a.yaml", YAML, ["optim.lr", "optim.name", "layers.1.size.0", "empty", "other"], ["optim.lrr", "layers.2", "layers.x", "seed.x", "empty.x", ""]),
        ("a.json", '{"a": [[1]], "b.c": 1}', ["a.0.0"], ["a.0.1", "a.-1", "b.c", "a.²"]),
        ("a.toml", "[t]\nx = 1", ["t", "t.x"], ["x"]),
        ("a.cfg", "[DEFAULT]\nd = 1\n[s.t]\nX = 1", ["s.t.X", "s.t.d", "DEFAULT.d"], ["s.t.x", "s.t", "X"]),
        ("a.yaml", "", [], ["a"]),
    ],
)  # fmt: skip
def test_which_paths_a_file_has(name: str, text: str, has: list[str], lacks: list[str]) -> None:
    base = read_config(name, text)
    assert [path for path in has if not base.has(path)] == []
    assert [path for path in lacks if base.has(path)] == []
    assert [path for path in base.paths() if not base.has(path)] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.json", "{"), ("a.toml", "a =="), ("a.ini", "x = 1"), ("a.yaml", "a: [1"), ("a.yaml", "a: 1\n---\nb: 2")],
)
def test_a_file_that_is_none_of_its_kind(name: str, text: str) -> None:
    with pytest.raises(ValueError, match="not valid"):
        read_config(name, text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(YAML)
    (tmp_path / "train.py").write_text("")
    return tmp_path


def study(folder: Path, recipe: str = "width: 8, optim: {lr: 1e-5}", *changes: str) -> Path:
    text = STUDY.replace("RECIPE", recipe)
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    (folder / "s.yaml").write_text(text)
    return folder / "s.yaml"


def test_all_that_no_placeholder_names_is_set_in_the_file(folder: Path) -> None:
    run = load(study(folder, "width: 8, optim: {lr: 1e-5, name: '{x}'}, layers.0.size: [1]")).runs[1]
    assert run.trainer["command"][2:] == ["-c", "{config}", "--width", "8"]
    block = run.trainer["config"]
    assert block == {
        "file": "base.yaml",
        "paths": ["layers.0.size", "optim.lr", "optim.name"],
        "set": {"seed": "{seed}", "out": "{run_dir}"},
    }
    known = {"run_dir": "/r {x}", "threads": "2", "port": "5", "study_dir": "/s", "config": "/r/base.yaml"}
    name, text = written_config(block, run.recipe.json, folder, known, run.seed)
    assert name == "base.yaml"
    found = yaml.unsafe_load(text)
    assert (found["seed"], found["out"], found["optim"]["lr"], found["optim"]["name"]) == (1, "/r {x}", 1e-5, "{x}")
    assert found["layers"][0] == {"size": [1]}


def test_what_set_says_is_typed_nested_and_filled(folder: Path) -> None:
    said = "set: {optim: {lr: '{rate}', name: 'a-{rate}-{seed}'}, seed: '{port}', layers.0: {size: ['{seed}', '{{x}}', true]}, empty: '{on?yes}'}"
    run = load(
        study(
            folder,
            "width: 8, rate: 1e-3, on: false",
            'set: {seed: "{seed}", out: "{run_dir}"}',
            said,
            "{config} --w",
            "{config} --s {seed} --w",
        )
    ).runs[0]
    block = run.trainer["config"]
    assert block["paths"] == []
    assert block["set"] == {
        "optim.lr": 1e-3, "optim.name": "a-1e-3-{seed}", "seed": "{port}", "layers.0.size": ["{seed}", "{{x}}", True], "empty": None,
    }  # fmt: skip
    known = {"run_dir": "/r", "threads": "2", "port": "5", "study_dir": "/s"}
    found = yaml.unsafe_load(written_config(block, run.recipe.json, folder, known, 7)[1])
    assert (found["optim"]["lr"], found["optim"]["name"], found["seed"], found["layers"][0]["size"]) == (
        1e-3,
        "a-1e-3-7",
        5,
        [7, "{x}", True],
    )


ADD = 'out: "{run_dir}"}'


@pytest.mark.parametrize(
    ("recipe", "changes", "where"),
    [
        ("width: 8, optim: {lrr: 1}", (), "3: recipe.optim.lrr: unknown-field"),
        ("width: 8, optim.lr.x: 1", (), "3: recipe.optim.lr.x: unknown-field"),
        ("width: 8, layers.5.size: 1", (), "3: recipe.layers.5.size: unknown-field"),
        ("width: 8", ("out:", "outt:"), "6: trainer.config.set.outt: unknown-field"),
        ("width: 8, seed.x: 1", (), "6: trainer.config.set.seed: conflict"),
        ("width: 8, out: x", (), "6: trainer.config.set.out: conflict"),
        ("width: 8", (ADD, ADD + ", add: [optim.new]"), "6: trainer.config.add.0: unknown-name"),
        ("width: 8", ("base.yaml", "bse.yaml"), "6: trainer.config.file: absent-file"),
        ("width: 8", ("base.yaml", "train.py"), "6: trainer.config.file: bad-format"),
        ("width: 8", ("base.yaml", "/base.yaml"), "6: trainer.config.file: bad-format"),
        ("width: 8", ("base.yaml", "'{run_dir}.yaml'"), "6: trainer.config.file: bad-format"),
        ("width: 8", ("base.yaml", "'{nope}.yaml'"), "6: trainer.config.file: unknown-field"),
        ("width: 8", ("base.yaml", "broken.json"), "6: trainer.config.file: bad-format"),
        ("width: 8", ("base.yaml", "'{config}.yaml'"), "6: trainer.config.file: bad-format"),
        ("width: 8, layers.4.x: 1", (ADD, ADD + ", add: [layers]"), "3: recipe.layers.4.x: wrong-value"),
        ("width: 8", ("base.yaml", "b.toml", '{seed: "{seed}", out: "{run_dir}"}', "{b: }"), "6: trainer.config.set.b: wrong-type"),
        ("width: 8", ("file: base.yaml, ", ""), "6: trainer.config: missing"),
        ("width: 8", ("{file: base.yaml, set:", "{file: base.yaml, sets:"), "6: trainer.config.sets: unknown-key"),
        ("width: 8", ('{seed: "{seed}", out: "{run_dir}"}', "[1]"), "6: trainer.config.set: wrong-type"),
        ("width: 8", ('"{seed}"', ".nan"), "6: trainer.config.set.seed: wrong-value"),
        ("width: 8", ('"{run_dir}"', '"{a"'), "6: trainer.config.set.out: bad-format"),
        ("width: 8", ('"{run_dir}"', '"{nope}"'), "6: trainer.config.set.out: unknown-field"),
        ("width: 8, a: ", ("base.yaml", "b.toml", '{seed: "{seed}", out: "{run_dir}"}', "{b: '{seed}'}"), "3: recipe.a: wrong-type"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(
    mistakes: Any, folder: Path, recipe: str, changes: tuple[str, ...], where: str
) -> None:
    (folder / "broken.json").write_text("{")
    (folder / "b.toml").write_text("a = 1\nb = 2")
    file = study(folder, recipe, *changes)
    first, *_ = mistakes(file.read_text().replace("seeds: 2", "seeds: 1"), file=str(file))
    assert first.rpartition("s.yaml:")[2] == where


def test_add_allows_a_path_and_what_is_below_it(folder: Path) -> None:
    run = load(study(folder, "width: 8, new.deep.x: 1, layers.2.size: 5", ADD, ADD + ", add: [new, layers.2]")).runs[0]
    assert run.trainer["config"]["add"] == ["layers.2", "new"]
    known = {"run_dir": "/r"}
    found = yaml.unsafe_load(written_config(run.trainer["config"], run.recipe.json, folder, known, 0)[1])
    assert found["new"] == {"deep": {"x": 1}}
    assert found["layers"][2] == {"size": 5}


def test_each_arm_may_have_a_base_of_its_own(folder: Path, mistakes: Any) -> None:
    (folder / "small.yaml").write_text(YAML)
    (folder / "large.yaml").write_text("seed: 1\nout: x\n")
    more = "factors: {size: {path: size, levels: [small, large]}}\nbaseline: {size: small}\n"
    file = study(folder, "width: 8, size: small, optim.lr: 1", "base.yaml", "'{size}.yaml'")
    file.write_text(file.read_text() + more)
    (line,) = mistakes(file.read_text(), file=str(file))
    assert line.endswith("s.yaml:3: recipe.optim.lr: unknown-field")
    (folder / "large.yaml").write_text(YAML)
    found = load(file)
    assert [run.trainer["config"]["file"] for run in found.runs[:2]] == ["small.yaml", "large.yaml"]
    assert found.warnings == ()


def test_the_bases_content_is_code_and_what_is_set_is_identity(folder: Path) -> None:
    file = study(folder)
    before = load(file)
    (folder / "base.yaml").write_text(YAML.replace("1e-3", "2e-3"))
    after = load(file)
    assert [run.run_id for run in before.runs] == [run.run_id for run in after.runs]
    digests = codes_of(after)
    (folder / "base.yaml").write_text(YAML)
    for run_id, code in codes_of(before).items():
        assert set(code.files) == {"base.yaml", "train.py"}
        assert code.digest != digests[run_id].digest
    for old, new in (('"{run_dir}"', '"{run_dir}/x"'), (ADD, ADD + ", add: [seed]"), ("--width {width}", "")):
        recipe = "optim: {lr: 1e-5}" if not new else "width: 8, optim: {lr: 1e-5}"
        other = load(study(folder, recipe, old, new))
        assert not {run.run_id for run in other.runs} & {run.run_id for run in before.runs}


def test_settings_in_the_file_are_heard_and_its_seed_is_passed(folder: Path) -> None:
    file = study(folder)
    file.write_text(file.read_text() + "factors: {lr: {path: optim.lr, levels: [1, 2]}}\nbaseline: {lr: 1}\n")
    assert load(file).warnings == ()
    assert len(load(file).runs) == 4


def test_a_stored_text_is_read_without_its_base(folder: Path, read: Any) -> None:
    file = study(folder)
    (folder / "base.yaml").unlink()
    assert len(read(file.read_text(), file=str(file), files=False).runs) == 2


def test_a_base_that_has_changed_by_the_time_of_the_run(folder: Path) -> None:
    run = load(study(folder)).runs[0]
    (folder / "base.yaml").write_text("seed: 1\nout: x\noptim: {learning_rate: 1}\n")
    with pytest.raises(RunFailure, match=r"base\.yaml cannot be filled in: it has no 'optim\.lr'"):
        written_config(run.trainer["config"], run.recipe.json, folder, {"run_dir": "/r"}, 0)
