"""Each study of docs/gallery, from nothing to a table, with what its tool prints and writes; and tuned, where it has a learning rate."""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ablate.study.loader import load

ROOT = Path(__file__).resolve().parents[2]
GALLERY, SCRIPTS = ROOT / "docs" / "gallery", ROOT / "tests" / "gallery"
REPOSITORIES = "ABLATE_GALLERY"
"""A folder with checkouts of the repositories whose scripts are called."""

NEEDS = {"makefile": ["make"], "pipeline": ["bash", "awk"]}

TABLES: dict[str, dict[str, list[float]]] = {
    "argparse": {"test_acc": [0.71, 0.76]},
    "hydra": {"test_acc": [0.71, 0.76]},
    "jax": {"test_accuracy": [0.8767, 0.9217]},
    "keras": {"test_accuracy": [0.71, 0.76]},
    "lightgbm": {"test_auc": [0.852, 0.876]},
    "lightning": {"val_acc": [0.71 - 0.1 / 3, 0.76 - 0.1 / 3]},
    "makefile": {"f1": [0.7, 0.8]},
    "notebook": {"mse": [0.010326, 0.2214215]},
    "pipeline": {"error": [0.0875, 0.115]},
    "r": {"rmse": [3.05, 2.55]},
    "sklearn": {"accuracy": [0.91, 0.96], "f1": [0.9, 0.95]},
    "timm": {"val_top1": [0.66, 0.71]},
    "torchrun": {"loss": [0.3531, 0.2864]},
    "torchvision": {"acc1": [0.758025, 0.808025], "acc5": [0.808025, 0.858025]},
    "transformers": {"val_accuracy": [0.71 - 0.1 / 3, 0.76 - 0.1 / 3]},
}
"""Of each kind its metrics, and of each the means of two seeds: the baseline's, the other arm's."""

REAL = {
    "argparse": ["torch", "sklearn"],
    "hydra": ["hydra", "sklearn"],
    "jax": ["jax", "absl", "sklearn"],
    "keras": ["keras", "torch", "sklearn"],
    "lightgbm": ["lightgbm", "sklearn"],
    "lightning": ["lightning", "jsonargparse", "docstring_parser", "typeshed_client", "sklearn"],
    "notebook": ["papermill", "ipykernel"],
    "r": [],
    "sklearn": ["sklearn"],
    "torchrun": ["torch"],
    "transformers": ["transformers", "accelerate", "sklearn"],
}
"""The packages that each kind's real script needs."""

PROGRAMS = {"notebook": ["papermill"], "r": ["Rscript"], "torchrun": ["torchrun"]}

BEST = {"transformers": 3e-4}
"""The learning rate at which a stand-in is best, where that is not 0.03."""


def placed(kind: str, scripts: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The study of a kind beside its script, in a folder of the test's own; programs in its bin/ are found first."""
    for program in NEEDS.get(kind, ()):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on this machine")
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(SCRIPTS / scripts / kind, folder / kind)
    for study in GALLERY.glob(f"{kind}*.yaml"):
        shutil.copy(study, folder / kind)
    monkeypatch.setenv("PATH", str(folder / kind / "bin"), prepend=os.pathsep)
    return folder / kind / f"{kind}.yaml"


def means(call: Any, study: Path, *more: str) -> dict[str, list[float]]:
    """Run two seeds of a study, and read its table: of each metric a mean an arm."""
    call("grid", "run", study, "--executor", "inline", "--seeds", "0,1", *more)
    found: dict[str, list[float]] = {}
    for row in call("report", study, "--table", next(iter(load(study).tables)), "--format", "json", *more).document[
        "rows"
    ]:
        for name, cell in row["cells"].items():
            assert cell["n"] == 2
            found.setdefault(name, []).append(cell["mean"])
    return found


def test_every_study_of_the_gallery_is_tried_and_in_its_index() -> None:
    studies = {path.stem for path in GALLERY.glob("*.yaml") if not path.stem.endswith("_tune")}
    assert studies == TABLES.keys() == {path.name for path in (SCRIPTS / "standins").iterdir()}
    index = re.findall(
        r"\]\((\w+)\.yaml\) \| (\d+) \| (?:\[(\d+)\]\(\1_tune\.yaml\))?", (GALLERY / "README.md").read_text()
    )
    lines = {path.stem: str(len(path.read_text().splitlines())) for path in GALLERY.glob("*.yaml")}
    assert sorted(index) == sorted((kind, lines[kind], lines.get(f"{kind}_tune", "")) for kind in studies)


@pytest.mark.slow
@pytest.mark.parametrize("kind", TABLES)
def test_from_nothing_to_a_table(call: Any, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = placed(kind, "standins", tmp_path, monkeypatch)
    assert "0 warnings" in call("grid", "check", study).out
    assert means(call, study) == {name: pytest.approx(values) for name, values in TABLES[kind].items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(path.stem.removesuffix("_tune") for path in GALLERY.glob("*_tune.yaml")))
def test_each_arm_is_tuned(call: Any, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best of few trials is the one whose rate is nearest to the stand-in's best."""
    study = placed(kind, "standins", tmp_path, monkeypatch)
    tune = study.with_name(f"{kind}_tune.yaml")
    tune.write_text(tune.read_text().replace("trials: 10", "trials: 3"))
    call("tune", "run", tune, "--executor", "inline")
    arms = call("tune", "report", tune, "--format", "json").document["arms"]
    assert len(arms) == 2
    for arm in arms:
        rates = [next(iter(trial["params"].values())) for trial in arm["trials"]]
        nearest = min(rates, key=lambda rate: abs(math.log10(rate / BEST.get(kind, 0.03))))
        assert list(arm["best"]["params"].values()) == [nearest]
        assert [rate == float(f"{rate:.6g}") for rate in rates] == [True] * 3


@pytest.mark.gallery
@pytest.mark.slow
@pytest.mark.parametrize("kind", REAL)
def test_with_the_real_tool(
    call: Any, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    if "gallery" not in str(pytestconfig.option.markexpr):
        pytest.skip("other people's tools are tried with -m gallery alone: no change here should wait for theirs")
    path = os.pathsep.join((os.environ["PATH"], os.path.dirname(sys.executable)))
    absent = [package for package in REAL[kind] if find_spec(package) is None]
    absent += [name for name in PROGRAMS.get(kind, ()) if shutil.which(name, path=path) is None]
    if absent:
        pytest.skip(f"not installed here: {', '.join(dict.fromkeys(absent))}")
    same = kind in ("notebook", "r")
    study = placed(kind, "standins" if same else "real", tmp_path, monkeypatch)
    shutil.rmtree(study.parent / "bin", ignore_errors=True)
    assert "0 warnings" in call("grid", "check", study).out
    found = means(call, study)
    assert found.keys() == TABLES[kind].keys()
    for first, second in found.values():
        assert first != second
        assert (0 < first < 1 and 0 < second < 1) or kind in ("r", "torchrun")


@pytest.mark.gallery
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "source", "setting"),
    [
        ("timm", "pytorch-image-models", "model=test_resnet"),
        ("torchvision", "vision/references/classification", "model=mobilenet_v3_small"),
    ],
)
def test_with_a_repository(
    call: Any, kind: str, source: str, setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Path(os.environ.get(REPOSITORIES, "")) / source
    if REPOSITORIES not in os.environ or not (repository / "train.py").is_file():
        pytest.skip(f"{REPOSITORIES} names no folder with {source}/train.py")
    study = placed(kind, "standins", tmp_path, monkeypatch)
    for path in [*repository.glob("*.py"), *repository.glob("timm")]:
        (shutil.copytree if path.is_dir() else shutil.copy)(path, study.parent / path.name)
    pictures(study.parent / "data")
    assert "0 warnings" in call("grid", "check", study).out
    found = means(call, study, "--set", setting, "--set", "device=cpu")
    assert found.keys() == TABLES[kind].keys()
    assert all(0 <= value <= 1 for values in found.values() for value in values)


def pictures(folder: Path) -> None:
    """An image folder of six classes, so that five guesses can be wrong; 24 pictures for training and 6 for validation in each."""
    for part, count in (("train", 24), ("val", 6)):
        for colour in range(0, 240, 40):
            (folder / part / f"red{colour}").mkdir(parents=True)
            for index in range(count):
                picture = Image.new("RGB", (32, 32), (colour, 2 * index, 90))
                picture.save(folder / part / f"red{colour}" / f"{index}.png")
