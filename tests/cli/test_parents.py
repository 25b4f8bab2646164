"""A study whose arms start from another study's runs, from the file to the weights in the child's network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PARENT = """
study: parent
recipe:
  data: {name: digits, limit: 100, split: {train: 0.6, test: 0.4}}
  model: {arch: three-layer-cnn}
  optimizer: {lr: 0.05, momentum: 0.9}
  batch_size: 50
  epochs: 2
seeds: 2
factors: {smoothing: {path: loss.label_smoothing, levels: {plain: 0.0, smooth: 0.1}}}
baseline: {smoothing: plain}
tables: {t: {rows: smoothing, columns: [top1]}}
"""
# The data are the same and the rate is so small that a child ends with the numbers of the run it started from.
CHILD = """
study: child
recipe:
  data: {name: digits, limit: 100, split: {train: 0.6, test: 0.4}}
  model: {arch: three-layer-cnn}
  optimizer: {lr: 1e-9}
  batch_size: 50
  epochs: 1
seeds: 1
factors:
  start: {path: model.init, levels: {scratch: scratch, warm: {study: ../parent.yaml, arm: smooth, seed: same}}}
baseline: {start: scratch}
tables: {t: {rows: start, columns: [top1]}}
"""


@pytest.mark.slow
def test_a_child_starts_from_its_parent_which_trains_again_where_it_kept_no_weights(cli, tmp_path: Path):
    (tmp_path / "parent.yaml").write_text(PARENT)
    (tmp_path / "children").mkdir()
    (tmp_path / "children" / "child.yaml").write_text(CHILD)

    cli("grid", "run", "parent.yaml", "--seeds", "1", "--executor", "inline")
    before = runs_of(cli, "parent")
    assert not list(tmp_path.glob("home/runs/*/*/*.pt"))

    done = cli("grid", "run", "children/child.yaml", "--executor", "inline")
    assert "1 parent run to train again: done, but the weights that other runs start from are gone." in done.stderr
    after, child = runs_of(cli, "parent"), runs_of(cli, "child")
    assert {name: run["attempts"] for name, run in after.items()} == {"plain": 1, "smooth": 2}
    assert after["smooth"]["metrics"]["top1"] == before["smooth"]["metrics"]["top1"]
    assert child["warm"]["metrics"]["test_top1"] == after["smooth"]["metrics"]["test_top1"]
    assert child["scratch"]["metrics"]["test_top1"] != child["warm"]["metrics"]["test_top1"]

    again = cli("grid", "run", "children/child.yaml", "--executor", "inline")
    assert "train again" not in again.stderr
    assert "2 done, 0 to run" in again.stderr


def runs_of(cli, study: str) -> dict:
    listed = json.loads(cli("runs", "list", "--study", study, "--json").stdout)["runs"]
    return {run["arm"]: run for run in listed if run["arm"]}
