"""Custom data through the command line: what is told of it, and what is refused before anything is trained."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

INLINE = ("--executor", "inline", "--device", "cpu", "--threads", "1")
MODULE = """
import numpy as np

def make(path):
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (20, 8, 8), dtype=np.uint8)
    return {f"{part}_{what}": value for part in ("train", "test")
            for what, value in (("images", images), ("labels", np.arange(20) % 2))}
"""


def pictures(root: Path, *folders: str, count: int = 6) -> None:
    draws = np.random.default_rng(0)
    for number, folder in enumerate(folders):
        (root / folder).mkdir(parents=True)
        for index in range(count):
            pixels = draws.integers(0, 100, (8, 8, 3)) + 80 * (number % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(root / folder / f"{index}.png")


def study(path: Path, data: str, more: str = "") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"study: own\nrecipe:\n  data: {data}\n  model: {{arch: two-layer-fc}}\n  batch_size: 4\n  epochs: 1\nseeds: 1\n"
        f"{more}tables: {{t: {{rows: class, columns: [recall, support]}}}}\n"
    )
    return path


@pytest.mark.slow
def test_an_unlabelled_test_folder_ends_the_run_before_it_trains(call, tmp_path: Path) -> None:
    pictures(tmp_path / "data" / "pets", "train/cat", "train/dog", "test")
    said = call("grid", "run", study(tmp_path / "own.yaml", "{name: imagefolder, path: pets, split: official}"), *INLINE, code=4)  # fmt: skip
    assert "test/ has no class folders, so its images have no labels and cannot be scored; give fractions" in said.err
    (run,) = call("runs", "list", "--json").document["runs"]
    assert (run["state"], run["metrics"]) == ("failed", {})


def test_classes_and_what_was_left_out_are_told(call, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "pets"
    pictures(folder, *(f"{part}/{name}" for part in ("Train", "Validation", "Testing") for name in ("cat", "macro")))
    (folder / "Train" / "cat" / "a.heic").write_bytes(b"x")
    data = "{name: imagefolder, path: pets, split: {train: 0.5, test: 0.5}}"
    said = call("grid", "run", study(tmp_path / "own.yaml", data), *INLINE)
    for text in (said.err, " ".join(said.out.split())):
        assert "1 file was left out by their endings: .heic (1)" in text
        assert "the official parts were pooled (train 12, val 12, test 12) and split anew" in text
    rows = [line.split("  ")[0] for line in said.out.splitlines()]
    assert {"cat", "macro", "macro average", "weighted"} <= set(rows)
    (run,) = call("runs", "list", "--json").document["runs"]
    found = call("runs", "show", run["run_id"], "--json").document["details"]["data"]
    assert (found["class_names"], found["ignored_files"], found["ignored"]) == (
        ["cat", "macro"],
        1,
        ["Train/cat/a.heic"],
    )
    shown = call("runs", "show", run["run_id"]).out
    assert "data  2 classes: cat, macro\n" in shown
    assert "data  1 file was left out" in shown


@pytest.mark.parametrize("place", ["here", "study"])
def test_a_callers_module_is_found_where_the_error_says(
    call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    name = f"made_{place}"
    path = study(tmp_path / "studies" / "own.yaml", f"{{name: '{name}:make'}}")
    said = call("grid", "run", path, *INLINE, code=4)
    assert f"No module named '{name}'; it must be package.module:callable, importable from the environment, the study's folder or the current folder" in said.err  # fmt: skip
    (tmp_path / ("studies" if place == "study" else ".") / f"{name}.py").write_text(MODULE)
    call("grid", "run", path, *INLINE, "--retry", "all")


def test_a_data_folder_whose_name_is_not_utf8(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / os.fsdecode(b"d\xe9")
    try:
        root.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    odd = os.fsdecode(b"d\xf6g")
    pictures(root / "pets", "train/cat", f"train/{odd}", "test/cat", f"test/{odd}")
    monkeypatch.setenv("ABLATE_DATA", str(root))
    path = study(tmp_path / "own.yaml", "{name: imagefolder, path: pets, split: official}", "keep: last\n")
    said = call("grid", "run", path, *INLINE)
    assert "d\\xf6g" in said.out
    (run,) = call("runs", "list", "--json").document["runs"]
    assert len(call("predict", run["run_id"], root / "pets" / "test" / "cat", "--device", "cpu").out.splitlines()) == 7
    refused = call("predict", run["run_id"], root / "pets" / "test", "--device", "cpu", code=4).err
    assert "d\\xf6g/0.png (its name is not UTF-8)" in refused
    shutil.rmtree(root)


def test_a_bad_file_of_weights_is_told_by_run_and_show(call, tmp_path: Path) -> None:
    pictures(tmp_path / "data" / "pets", "train/cat", "train/dog", "test/cat", "test/dog")
    (tmp_path / "weights.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    path = study(tmp_path / "own.yaml", "{name: imagefolder, path: pets, split: official}")
    path.write_text(path.read_text().replace("two-layer-fc", "two-layer-fc, init: weights.pt"))
    why = "weights.pt cannot be read as weights: it is a Git LFS pointer instead of the file; run `git lfs pull`"
    assert why in call("grid", "run", path, *INLINE, code=4).err
    (run,) = call("runs", "list", "--json").document["runs"]
    assert why in call("runs", "show", run["run_id"]).out
