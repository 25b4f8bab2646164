"""kill -9 at any moment of a real training: what comes out in the end is, to the last bit, what nobody disturbed."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ablate.dispatch.contract.executor import run_folder
from ablate.store.store import Store
from ablate.study.records import RunResult

DRIVER = Path(__file__).with_name("killed_training.py")
COSTS = ("examples_per_second", "peak_memory")
STUDY = """
study: killed
seeds: 1
recipe:
  data: {name: digits, limit: 64, split: {train: 0.5, val: 0.2, test: 0.3}}
  model: {arch: three-layer-cnn, dropout: 0.2}
  optimizer: {lr: 0.02, momentum: 0.9}
  schedule: {name: cosine}
  mixup: {alpha: 0.2}
  select: val_loss
  batch_size: 8
  epochs: 4
"""


def measured(result: RunResult) -> dict[str, Any]:
    """All numbers but the costs, to the last bit."""
    return {
        "metrics": {name: value for name, value in result.metrics.items() if name not in COSTS},
        "epochs": {e: {n: v for n, v in found.items() if n not in COSTS} for e, found in result.epochs.items()},
        "confusions": result.confusions,
        "weights": [(artifact.path, artifact.sha256) for artifact in result.artifacts],
    }


@pytest.mark.slow
def test_killed_at_twenty_places_a_run_ends_as_if_undisturbed(tmp_path: Path) -> None:
    study = tmp_path / "killed.yaml"
    study.write_text(STUDY)
    kills = len(runpy.run_path(str(DRIVER))["PLACES"])
    done = subprocess.run([sys.executable, str(DRIVER), str(study), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    assert ends == [["undisturbed", 0], *[["killed", -9]] * kills, ["killed", 0]], done.stderr
    found = []
    for name in ("undisturbed", "killed"):
        with Store.open(str(tmp_path / name / "results.db")) as store:
            assert store.check() == []
            (result,) = store.list_runs()
            found.append(store.find(result.run.run_id))
    undisturbed, killed = found
    assert measured(killed) == measured(undisturbed)
    states = [attempt.state for attempt in killed.attempts]
    assert states == ["lost"] * (len(states) - 1) + ["done"]
    assert len(killed.details["resumed_at"]) >= 5, "of the ten places within a training, half leave a newer checkpoint"
    folders = [run_folder(tmp_path / name / "home", killed.run.run_id) for name in ("undisturbed", "killed")]
    assert len(killed.artifacts) == 2
    for artifact in killed.artifacts:
        assert (folders[0] / artifact.path).read_bytes() == (folders[1] / artifact.path).read_bytes()
    assert sorted(path.name for path in folders[1].iterdir()) == sorted(path.name for path in folders[0].iterdir())
