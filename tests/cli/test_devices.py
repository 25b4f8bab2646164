"""Runs that take several GPUs each, on a host whose driver lists made-up ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.elsewhere import gridfile
from ablate.study.values.resources import Resources

SCRIPT = """\
import os, pathlib, sys, time
run, barrier = pathlib.Path(sys.argv[1]), pathlib.Path("barrier")
barrier.mkdir(exist_ok=True)
(barrier / run.name).touch()
until = time.monotonic() + 20
while len(list(barrier.iterdir())) < 2 and time.monotonic() < until:
    time.sleep(0.05)
print("seen", os.environ["CUDA_VISIBLE_DEVICES"], os.environ["OMP_NUM_THREADS"])
print("acc", sum(map(int, os.environ["CUDA_VISIBLE_DEVICES"].split(","))) / 10)
"""
STUDY = """\
study: wide
seeds: 2
trainer:
  command: python train.py {run_dir} {seed}
  metrics: {acc: {better: higher, pattern: 'acc (\\S+)'}}
resources: {gpus: 2, cpus: 1}
profiles:
  huge: {resources: {gpus: 5}}
"""


@pytest.fixture
def wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host of four GPUs and four cores, and a study whose runs take two GPUs."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\nprintf '0\\n1\\n2\\n3\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3})
    (tmp_path / "train.py").write_text(SCRIPT)
    path = tmp_path / "wide.yaml"
    path.write_text(STUDY)
    return path


@pytest.mark.slow
def test_two_runs_at_a_time_see_two_gpus_each(call, wide: Path, tmp_path: Path) -> None:
    assert "each run takes 2 GPUs, 1 core\n" in call("grid", "plan", "wide.yaml").out
    said = call("grid", "run", "wide.yaml", "--workers", "3")
    assert "2 runs at a time, not 3: a run takes 2 GPUs, 1 core." in said.err
    logs = [path.read_text() for path in tmp_path.rglob("attempt-1.log")]
    seen = sorted(line for log in logs for line in log.splitlines() if line.startswith("seen"))
    assert seen == ["seen 0,1 1", "seen 2,3 1"], "both at once: each waits for the other"


def test_what_does_not_fit_trains_nothing(call, wide: Path, tmp_path: Path) -> None:
    call("grid", "run", "wide.yaml", "--profile", "huge", code=2).told("does-not-fit")
    call("grid", "run", "wide.yaml", "--device", "cpu", code=2).told("does-not-fit")
    assert not list(tmp_path.glob("results.db*"))


@pytest.mark.slow
def test_processes_on_several_gpus_end_with_their_run(call, wide: Path, tmp_path: Path) -> None:
    """As torchrun does, the script starts a process a GPU; a run that takes too long leaves none of them."""
    (tmp_path / "train.py").write_text(
        "import os, subprocess, sys, time\n"
        "for gpu in os.environ['CUDA_VISIBLE_DEVICES'].split(','):\n"
        "    child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "    open(f'pid-{gpu}', 'w').write(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    call("grid", "run", "wide.yaml", "--run-timeout", "5", code=4)
    pids = {path.name: int(path.read_text()) for path in tmp_path.glob("pid-*")}
    assert sorted(pids) == ["pid-0", "pid-1", "pid-2", "pid-3"], "both runs were there, each on its two GPUs"
    assert [pid for pid in pids.values() if Path(f"/proc/{pid}").exists()] == []


def test_a_worker_elsewhere_hears_what_a_run_takes(tmp_path: Path) -> None:
    needs = Resources(gpus=2, memory=1 << 30)
    request = GridRequest(1, lambda: None, "a:b", tmp_path, database="sqlite:///x.db", resources=needs)
    path = gridfile.write(request)
    assert gridfile.request_from(path, gridfile.read(path))["resources"] == needs
