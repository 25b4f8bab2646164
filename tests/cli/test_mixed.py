"""Data that change in the middle of a study: the runs before and after are no replicates, and every output says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ablate.training.data.load import forget_data

STUDY = """
study: change
recipe:
  data: {name: imagefolder, path: pictures, image_size: 8, split: official}
  model: {arch: two-layer-fc, args: {hidden: 4}}
  batch_size: 8
  epochs: 1
factors:
  rate: {path: optimizer.lr, levels: [0.05, 0.1]}
seeds: 3
baseline: {rate: 0.05}
tables:
  t: {rows: rate, columns: [top1], claims: [0.1 > 0.05]}
"""


def draw(folder: Path, *, swapped: bool) -> None:
    noise = np.random.default_rng(0)
    for part, count in (("train", 8), ("test", 4)):
        for name, level in (("dark", 60), ("light", 190)):
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                shown = 250 - level if swapped and index % 2 else level
                pixels = np.clip(shown + noise.normal(0, 20, (8, 8, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{index}.png")


@pytest.fixture
def change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    data = tmp_path / "data"
    draw(data / "pictures", swapped=False)
    monkeypatch.setenv("ABLATE_DATA", str(data))
    path = tmp_path / "change.yaml"
    path.write_text(STUDY)
    return path


@pytest.mark.slow
def test_data_that_change_between_two_runs(call: Any, change: Path, tmp_path: Path) -> None:
    options = ("--executor", "inline", "--device", "cpu", "--threads", 1)
    call("grid", "run", change, "--limit", 2, *options)
    draw(tmp_path / "data" / "pictures", swapped=True)
    forget_data()  # what another process would not have in memory
    call("grid", "run", change, *options)
    runs = call("runs", "list", "--study", "change", "--json").document["runs"]
    ids = {(run["arm"], run["seed"]): run["run_id"] for run in runs}
    digests = [
        call("runs", "show", ids["0.05", seed], "--json").document["details"]["data"]["digest"] for seed in (0, 1)
    ]
    assert digests[0] != digests[1]
    old, new = digests[0][:8], digests[1][:8]
    said = f"data {old} (seed 0) and {new} (seeds 1, 2)"
    document = call("report", "change", "--format", "json").document
    assert f"Mixed: 0.05: {said}; 0.1: {said}. Nothing is decided across them." in document["notes"]
    for row in document["rows"]:
        cell = row["cells"]["top1"]
        assert (cell["decided"], cell["p_adjusted"], cell["delta_ci95"]) == (False, None, None)
        assert cell["note"] == f"mixed: {said}"
    assert document["claims"][0]["verdict"] == "undecided"
    for format_ in ("md", "latex", "csv", "text"):
        assert f"data {old} (seed 0)" in " ".join(call("report", "change", "--format", format_).out.split())
    difference = call("runs", "diff", ids["0.05", 0], ids["0.05", 1]).out
    assert "data digest" in difference
    assert digests[0][:16] in difference.replace("\n", "")
