"""Which code a result came from."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ablate.parts import found, packages
from ablate.parts.declare import Field, Network, Optimizer, Part, Refinement
from ablate.study.code import provenance, reached
from ablate.study.code.provenance import Freshness, code_of, codes_of, compare, our_code
from ablate.study.code.reached import Reach
from ablate.study.document.source import read
from ablate.study.loader import load
from ablate.study.tuning.tuning import is_tuning

ROOT = Path(__file__).resolve().parents[2]
STUDIES = [path for path in sorted(ROOT.glob("experiments/*/*.yaml")) if not is_tuning(read(path).data)]
CORE = provenance.CORE


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that digests are taken of; `provenance.forget` has it read again."""
    folder = tmp_path / "copy"
    shutil.copytree(ROOT / "ablate", folder / "ablate", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(reached, "__file__", str(folder / "ablate" / "study" / "code" / "reached.py"))
    provenance.forget()
    yield folder / "ablate"
    monkeypatch.undo()
    provenance.forget()


@pytest.fixture
def register() -> Iterator[Any]:
    """register(part, module) until the test ends."""
    added: list[Part] = []

    def put(part: Part, module: str) -> Part:
        found.register(part, module)
        added.append(part)
        return part

    yield put
    for part in added:
        found.unregister(part)


@pytest.fixture
def recipe() -> Any:
    """The recipe of a ResNet-18 with SGD and mixup."""
    arm = next(arm for arm in load(str(ROOT / "experiments" / "quickstart.yaml")).arms if arm.recipe["mixup"]["alpha"])
    return arm.recipe


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    provenance.forget()


def test_code_outside_a_repository_has_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ablate.study.code.git.text", lambda *arguments: None)
    assert provenance.checkout.__wrapped__() == {"commit": None, "dirty": None}


def test_a_run_has_the_code_of_the_core_and_of_the_parts_that_it_uses(recipe: Any) -> None:
    parts = our_code(recipe).parts
    assert {CORE, "model.arch resnet18", "optimizer.name sgd", "loss.name cross_entropy", "refinement mixup"} <= set(
        parts
    )
    assert not {"optimizer.name adam", "model.arch three-layer-cnn", "model.arch resnet50"} & set(parts)
    assert all(len(digest) == 64 for digest in parts.values())
    without = our_code({**recipe, "mixup": {"alpha": 0.0}}).parts
    assert set(parts) - set(without) == {"refinement mixup"}
    assert {name: parts[name] for name in without} == without


def test_a_copy_elsewhere_is_the_same_code(copy: Path, recipe: Any) -> None:
    there = our_code(recipe)
    shutil.move(copy.parent, copy.parent.with_name("moved"))
    assert there.digest == our_code(recipe).digest  # read once
    assert Reach(copy.parent.with_name("moved")).digest(provenance._core()[0]) == there.parts[CORE]


@pytest.mark.slow
def test_a_part_that_is_added_moves_no_digest_of_runs_without_it(register: Any, tmp_path: Path) -> None:
    """Neither of the published runs nor of any other: a network, an optimizer, and a refinement that is off."""
    before = {str(path): {run: code.digest for run, code in codes_of(load(str(path))).items()} for path in STUDIES}
    (tmp_path / "added_here.py").write_text("def build(num_classes): return num_classes\n")
    sys.path.insert(0, str(tmp_path))
    try:
        register(Network(name="added", build=lambda num_classes: None), "added_here")
        register(Optimizer(name="added", make=lambda groups, settings, fused: None), "added_here")
        off = Refinement(
            name="added",
            acts=("loss",),
            fields={"added.alpha": Field(float, 0.0, "how much of it", before=0.0)},
            is_off=lambda settings: not settings["added.alpha"],
        )
        register(off, "added_here")
        after = {str(path): {run: code.digest for run, code in codes_of(load(str(path))).items()} for path in STUDIES}
        assert after == before
    finally:
        sys.path.remove(str(tmp_path))


def test_a_file_that_is_added_moves_no_digest(copy: Path, recipe: Any) -> None:
    before = our_code(recipe)
    for folder in ("networks", "refinements", "optimizers"):
        (copy / "parts" / folder / "added.py").write_text("from ablate.parts import streams\n\nX = 1\n")
    (copy / "training" / "added.py").write_text("import ablate.training.trainer\n\nX = 1\n")
    provenance.forget()
    assert our_code(recipe) == before


@pytest.mark.slow
def test_a_module_that_moves_is_the_same_code(copy: Path, recipe: Any) -> None:
    """Of the core into another folder, and a part's file, with all imports rewritten."""
    before = our_code(recipe)
    assert "ablate.training.checkpoint" in provenance._core()[0]
    inner = copy / "training" / "kept"
    inner.mkdir()
    (inner / "__init__.py").write_text('"""What is kept."""\n')
    shutil.move(copy / "training" / "checkpoint.py", inner / "checkpoint.py")
    for path in copy.rglob("*.py"):
        text = path.read_text()
        moved = text.replace(
            "from ablate.training import checkpoint,",
            "from ablate.training.kept import checkpoint\nfrom ablate.training import",
        )
        moved = moved.replace(
            "from ablate.training import checkpoint\n", "from ablate.training.kept import checkpoint\n"
        )
        path.write_text(moved.replace("ablate.training.checkpoint", "ablate.training.kept.checkpoint"))
    provenance.forget()
    assert "ablate.training.kept.checkpoint" in provenance._core()[0]
    assert our_code(recipe) == before


def test_a_constant_of_a_part_that_changes_moves_the_digests_of_its_runs_alone(copy: Path, recipe: Any) -> None:
    before, adam = our_code(recipe), our_code({**recipe, "optimizer": {**recipe["optimizer"], "name": "adam"}})
    edit(copy / "parts" / "optimizers" / "sgd.py", "lr=groups[0]", "lr=2 * groups[0]")
    after = our_code(recipe)
    assert after.digest != before.digest
    assert {name for name in after.parts if after.parts[name] != before.parts[name]} == {"optimizer.name sgd"}
    assert our_code({**recipe, "optimizer": {**recipe["optimizer"], "name": "adam"}}) == adam
    assert compare(after, before.digest, before.recorded()) == Freshness(True, why="optimizer.name sgd changed")


def test_a_constant_of_the_core_that_changes_moves_all_digests(copy: Path, recipe: Any) -> None:
    before = our_code(recipe)
    with (copy / "training" / "loop.py").open("a") as file:
        file.write("\nMORE = 1\n")
    provenance.forget()
    after = our_code(recipe)
    assert {name for name in after.parts if after.parts[name] != before.parts[name]} == {CORE}
    assert compare(after, before.digest, before.recorded()).why == f"{CORE} changed"


def test_comments_imports_and_what_is_no_trainer_are_no_code(copy: Path, recipe: Any) -> None:
    before = our_code(recipe)
    edit(copy / "training" / "loop.py", "\nimport torch\n", "\nimport math\nimport torch  # for all of it\n")
    edit(copy / "parts" / "optimizers" / "sgd.py", '"""Stochastic', '"""The stochastic')
    (copy / "training" / "predict.py").write_text("X = 1\n")
    (copy / "study" / "recipes" / "recipe.py").write_text("X = 1\n")
    provenance.forget()
    assert our_code(recipe) == before


@pytest.mark.slow
def test_what_a_part_imports_is_its_code_too(copy: Path, recipe: Any) -> None:
    before = our_code(recipe)
    (copy / "parts" / "optimizers" / "shared.py").write_text("X = 1\n")
    edit(
        copy / "parts" / "optimizers" / "sgd.py",
        "    from torch.optim",
        "    from ablate.parts.optimizers.shared import X\n    from torch.optim",
    )
    assert (one := our_code(recipe)).parts["optimizer.name sgd"] != before.parts["optimizer.name sgd"]
    edit(copy / "parts" / "optimizers" / "shared.py", "X = 1", "X = 2")
    assert our_code(recipe).parts["optimizer.name sgd"] != one.parts["optimizer.name sgd"]
    assert our_code(recipe).parts[CORE] == before.parts[CORE]


def test_a_part_of_another_package_is_its_files(register: Any, recipe: Any, tmp_path: Path) -> None:
    """And what it imports within its package, wherever that lies."""

    def digest(folder: str, helper: str, name: str) -> str:
        package = tmp_path / folder / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "net.py").write_text("from .helper import X\n\n\ndef build():\n    return X\n")
        (package / "helper.py").write_text(helper)
        (package / "unrelated.py").write_text(folder)
        sys.path.insert(0, str(tmp_path / folder))
        part = Network(name="elsewhere", build=lambda: None)
        found.register(part, f"{name}.net")
        try:
            return our_code({**recipe, "model": {**recipe["model"], "arch": "elsewhere"}}).parts["model.arch elsewhere"]
        finally:
            found.unregister(part)
            sys.path.remove(str(tmp_path / folder))

    one = digest("one", "X = 1\n", "ablate_other_package")
    assert digest("two", "X = 1  # as before\n", "ablate_renamed_package") == one
    assert digest("three", "X = 2\n", "ablate_third_package") != one


def test_a_part_without_a_file_has_a_digest(register: Any, recipe: Any) -> None:
    register(Network(name="nowhere", build=lambda: None), "no_such_module_at_all")
    assert len(our_code({**recipe, "model": {**recipe["model"], "arch": "nowhere"}}).parts["model.arch nowhere"]) == 64


def test_the_version_of_a_networks_package_is_its_code(recipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def parts(arch: str) -> Any:
        return our_code({**recipe, "model": {**recipe["model"], "arch": arch}}).parts

    versions = {"timm": "1.0.1", "torchvision": "0.29"}

    def version(name: str) -> str:
        if name not in versions:
            raise packages.PackageNotFoundError(name)
        return versions[name]

    provenance.forget()
    monkeypatch.setattr(packages, "version", version)
    assert parts("timm/vit_tiny")["package timm"] == "1.0.1"
    assert parts("torchvision/resnet18")["package torchvision"] == "0.29"
    assert not [
        name for arch in ("resnet18", "absent/net", "a/b:c", "own.net:f") for name in parts(arch) if "package" in name
    ]
    provenance.forget()


def test_one_digest_of_before_is_other_code(recipe: Any) -> None:
    """Attempts of before had one digest for all of the trainer's code, and nobody can tell what of it differs."""
    assert compare(our_code(recipe), "a" * 64, {"code": "a" * 64}) == Freshness(stale=True)
    assert compare(our_code(recipe), None, {}) == Freshness()


def test_one_code_for_plan_report_and_checkpoints() -> None:
    study = load(str(ROOT / "experiments" / "quickstart.yaml"))
    codes = codes_of(study)
    assert all(codes[run.run_id] == code_of(run) == our_code(run.recipe) for run in study.runs[:8])


def test_only_what_the_trainer_imports_is_its_core(tmp_path: Path) -> None:
    training = tmp_path / "ablate" / "training"
    training.mkdir(parents=True)
    (training / "__init__.py").write_text("")
    (training / "trainer.py").write_text("from ablate.training import loop\nimport ablate.study.values.run\n")
    (training / "loop.py").write_text("from ablate.training.losses import Objective\n")
    (training / "losses.py").write_text("if TYPE_CHECKING:\n    from ablate.training.predict import x\n")
    (training / "predict.py").write_text("from ablate.training import trainer\n")
    names = [name.removeprefix("ablate.training") for name in Reach(tmp_path).modules("ablate.training.trainer")]
    assert names == ["", ".loop", ".losses", ".trainer"]


def test_what_is_in_the_core() -> None:
    core = provenance._core()[0]
    assert {
        "ablate.training.loop",
        "ablate.training.metrics",
        "ablate.training.outcome",
        "ablate.parts.streams",
    } <= core
    own = {found.module_of(part) for kind in found.KINDS for part in found.parts(kind).values()}
    assert not core & own
