"""A study with `tune`: each arm has the same budget first, then it is compared as written and at its best."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

TOYS = Path(__file__).resolve().parents[1] / "tuning"

STUDY = """
study: toy
about: Is smoothing worth its rate?
recipe: {data: {name: digits, split: {train: 0.8, test: 0.2}}, model: {arch: two-layer-fc}, optimizer: {lr: 0.2}, epochs: 4}
factors:
  smoothing: {path: loss.label_smoothing, levels: {plain: 0.0, smooth: 0.1}}
seeds: 2
baseline: {smoothing: plain}
tune: tune.yaml
"""
TUNE = """
study: toy.yaml
recipe: {data.split: {train: 0.6, val: 0.2, test: 0.2}}
space: {optimizer.lr: {float: [1e-4, 1.0], log: true}}
metric: val_top1
sampler: {name: random, seed: 7}
budget: {trials: 5}
"""


@pytest.fixture
def fair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(TOYS), *sys.path])
    for module in ("tunings", "grids"):
        monkeypatch.setattr(f"ablate.project.{module}.fit_name", lambda trainer: "toy_tuning:fit")
    (tmp_path / "tune.yaml").write_text(TUNE)
    path = tmp_path / "toy.yaml"
    path.write_text(STUDY)
    return path


@pytest.mark.slow
def test_tuned_first_then_compared_twice(call: Any, fair: Path) -> None:
    said = call("grid", "run", fair, "--executor", "inline")
    assert "tuning toy: 2 arms, 5 trials each, random; 0 trials done" in said.err
    assert (
        "comparing the arms as written and tuned: 8 runs, 6 to run" in said.err
    )  # seed 0 of each best is a trial's own run
    assert "Tuning plain cost 5 runs, 20 epochs and " in said.out
    assert "All of the tuning cost 10 runs, 40 epochs and " in said.out
    again = call("grid", "run", fair, "--executor", "inline").err
    assert "10 trials done" in again
    assert "comparing the arms as written and tuned: 8 runs, 0 to run" in again
    document = json.loads(call("report", fair, "--format", "json").out)
    side_by_side = next(table for table in document["tables"] if table["table"] == "tuned")
    rows = {row["row"]: row["cells"] for row in side_by_side["rows"]}
    assert list(rows) == ["plain", "smooth"]
    for cells in rows.values():
        assert [cell["n"] for cell in cells.values()] == [2, 2]
        written, tuned = cells.values()
        assert tuned["mean"] > written["mean"]
    gain = next(table for table in document["tables"] if table["table"] == "tuning_gain")
    gains = [cell["delta"] for row in gain["rows"] for cell in row["cells"].values() if cell["delta"] is not None]
    assert len(gains) == 2
    assert all(delta > 0 for delta in gains)


@pytest.mark.slow
def test_the_page_says_what_tuning_cost(call: Any, fair: Path, tmp_path: Path) -> None:
    call("grid", "run", fair, "--executor", "inline")
    call("report", "toy")
    page = (tmp_path / "reports" / "toy.html").read_text()
    assert "Tuned and untuned side by side: each arm as written, and at its own best of 5 trials" in page
    assert "All of the tuning cost 10 runs, 40 epochs and" in page


def test_a_tuning_of_another_study_is_refused(call: Any, fair: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(STUDY.replace("study: toy", "study: other"))
    said = call("grid", "check", other, code=3).err
    assert "tune: tune.yaml tunes the arms of toy, not of other; its `study` must be this file." in said
    other.write_text(STUDY.replace("tune: tune.yaml", "tune: nowhere.yaml"))
    assert "nowhere.yaml: no such study file" in call("grid", "run", other, code=5).err
