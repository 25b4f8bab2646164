"""Each study of docs/gallery, from nothing to a table, with what its tool prints and writes; and tuned, where it has a learning rate."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ablate.study.loader import load

ROOT = Path(__file__).resolve().parents[2]
GALLERY, SCRIPTS = ROOT / "docs" / "gallery", ROOT / "tests" / "gallery"
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


def means(call: Any, study: Path) -> dict[str, list[float]]:
    """Run two seeds of a study, and read its table: of each metric a mean an arm."""
    call("grid", "run", study, "--executor", "inline", "--seeds", "0,1")
    found: dict[str, list[float]] = {}
    for row in call("report", study, "--table", next(iter(load(study).tables)), "--format", "json").document["rows"]:
        for name, cell in row["cells"].items():
            assert cell["n"] == 2
            found.setdefault(name, []).append(cell["mean"])
    return found


def test_every_study_of_the_gallery_is_tried_and_in_its_index() -> None:
    studies = {path.stem for path in GALLERY.glob("*.yaml") if not path.stem.endswith("_tune")}
    assert studies == TABLES.keys() == {path.name for path in (SCRIPTS / "standins").iterdir()}


@pytest.mark.parametrize("kind", TABLES)
def test_from_nothing_to_a_table(call: Any, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = placed(kind, "standins", tmp_path, monkeypatch)
    assert "0 warnings" in call("grid", "check", study).out
    assert means(call, study) == {name: pytest.approx(values) for name, values in TABLES[kind].items()}


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
