"""First weights on this machine: what is said of those that are absent. The trainer's places: `training/test_init.py`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ablate.study.recipes.first_weights import absent
from ablate.study.values.recipe import NestedRecipe

IMAGENET = {"arch": "resnet50", "init": {"entry": "IMAGENET1K_V1"}}


@pytest.fixture(autouse=True)
def _no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def test_what_needs_no_file_is_never_absent(tmp_path: Path) -> None:
    for init in ("scratch", {"run": "ab" * 32, "weights": "last"}):
        assert absent(NestedRecipe({"model": {"arch": "resnet50", "init": init}}), home=tmp_path) == ""


def test_imagenet_weights_are_named_with_their_address_and_folder(tmp_path: Path) -> None:
    assert absent(NestedRecipe({"model": IMAGENET}), home=tmp_path) == (
        f"no weights: fetch https://download.pytorch.org/models/resnet50-0676ba61.pth into {tmp_path}/weights"
    )
    second = {"arch": "resnet50", "init": {"entry": "ResNet50_Weights.IMAGENET1K_V2"}}
    assert "/resnet50-11ad3fa6.pth into" in absent(NestedRecipe({"model": second}), home=tmp_path)


def test_a_folder_of_that_name_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "weights" / "resnet50-0676ba61.pth").mkdir(parents=True)
    assert absent(NestedRecipe({"model": IMAGENET}), home=tmp_path)


def test_a_file_is_named_with_its_digest(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    model = {"arch": "resnet18", "init": {"file": "kept/w.pt", "sha256": digest}}
    told = f"no weights: put w.pt (SHA-256 {digest[:12]}...) into {tmp_path}/weights"
    assert absent(NestedRecipe({"model": model}), home=tmp_path) == told
    there = tmp_path / "weights" / "w.pt"
    there.mkdir(parents=True)
    assert absent(NestedRecipe({"model": model}), home=tmp_path) == told
    there.rmdir()
    there.write_bytes(b"other weights")
    assert absent(NestedRecipe({"model": model}), home=tmp_path) == told
    there.write_bytes(b"weights")
    assert absent(NestedRecipe({"model": model}), home=tmp_path) == "", "as the advice says, by its digest"
