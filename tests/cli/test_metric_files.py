"""A script whose numbers stand in a file, from plan to report: the best epoch, artifacts, a column that never comes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from ablate.project.runs import details_document
from ablate.study.assign import metric_files
from ablate.study.records import Artifact, RunResult
from ablate.study.values.run import Run

SCRIPT = """
import pathlib, sys
lr, out = float(sys.argv[1]), pathlib.Path(sys.argv[2])
(out / "log" / "v0").mkdir(parents=True)
with open(out / "log" / "v0" / "m.csv", "w") as stream:
    print("epoch,val/acc,test/acc", file=stream)
    for epoch, acc in enumerate((0.5, 0.5 + lr, 0.4), 1):
        print(epoch, acc, epoch / 10, sep=",", file=stream)
(out / "w.pt").write_text("w" * 1234)
"""
STUDY = """
study: filed
seeds: 1
recipe: {lr: 0.1}
trainer:
  command: python train.py {lr} {run_dir}
  metrics:
    val/acc: {better: higher, file: "{run_dir}/log/*/m.csv", column: val/acc}
    test/acc: {better: higher, file: "{run_dir}/log/*/m.csv", column: test/acc}
  select: val/acc
  artifacts: ["{run_dir}/*.pt", "{run_dir}/*.onnx"]
factors: {rate: {path: lr, levels: [0.1, 0.2]}}
baseline: {rate: 0.1}
tables: {t: {rows: rate, columns: [val/acc, test/acc]}}
"""


@pytest.fixture
def filed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "my [study]"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    (folder / "filed.yaml").write_text(STUDY)
    return folder / "filed.yaml"


@pytest.mark.slow
def test_from_plan_to_report(call: Any, filed: Path) -> None:
    assert "2 to run" in call("grid", "plan", filed).out
    assert "done  0.2 seed 0  val_acc 0.7000  test_acc 0.2000" in call("grid", "run", filed).err
    assert "best epoch by val_acc" in call("report", filed, "--format", "md").out
    rows = call("report", filed, "--table", "t", "--format", "json").document["rows"]
    assert [[row["cells"][name]["mean"] for name in ("val_acc", "test_acc")] for row in rows] == [
        [0.6, 0.2],
        [0.7, 0.2],
    ]
    listed = call("runs", "list", "--json").document["runs"]
    document = call("runs", "show", listed[0]["run_id"], "--json").document
    assert [epoch["epoch"] for epoch in document["epochs"]] == [1, 2, 3]
    assert document["selected_epoch"] == 2
    digest = hashlib.sha256(b"w" * 1234).hexdigest()
    (artifact,) = document["artifacts"]
    assert (artifact["kind"], artifact["size"], artifact["sha256"]) == ("file", 1234, digest)
    shown = call("runs", "show", listed[0]["run_id"]).out
    assert f"/w.pt  1,234 bytes  sha256 {digest[:12]}" in shown
    assert "{run_dir}/*.onnx fits no file" in shown
    assert "* selected by val_acc" in shown


def test_a_file_without_a_digest_has_none_in_the_document() -> None:
    result = RunResult(Run("a" * 64, "b" * 64, 0, {}, None), "done", artifacts=(Artifact("file", "w.pt", 3 << 30, ""),))
    assert details_document(result)["artifacts"] == [{"kind": "file", "path": "w.pt", "size": 3 << 30, "sha256": None}]


def test_a_column_that_never_comes(call: Any, filed: Path) -> None:
    filed.write_text(STUDY.replace("column: val/acc", "column: val_acc"))
    said = call("grid", "run", filed, code=4).err
    assert "m.csv has no column 'val_acc'. Did you mean 'val/acc'? It has: epoch, val/acc, test/acc" in said


@pytest.mark.slow
def test_a_glob_that_fits_two_files(call: Any, filed: Path) -> None:
    more = '(out / "log" / "v1").mkdir()\n(out / "log" / "v1" / "m.csv").write_text("epoch,val/acc")\n'
    (filed.parent / "train.py").write_text(SCRIPT + more)
    said = call("grid", "run", filed, code=4).err
    assert "2 files fit log/*/m.csv: log/v0/m.csv, log/v1/m.csv" in said


def test_without_tensorboard_the_plan_says_what_to_install(
    call: Any, filed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metric_files, "find_spec", lambda name: None)
    filed.write_text(STUDY.replace("log/*/m.csv", "tb").replace("column:", "tag:"))
    for command in ("plan", "check"):
        said = call("grid", command, filed).told()
        assert "pip install 'ablate-studies[tensorboard]'" in said.out + said.err
    assert "pip install 'ablate-studies[tensorboard]'" in call("grid", "run", filed, code=4).err
    assert call("grid", "plan", filed, "--json").document["counts"]["blocked"] == 2
