"""The executors on the real results database."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from toy_store import make_run, study_of

from ablate.dispatch.executors import get_executor
from ablate.store.store import Store

ACTS = ["ok", "raise", "kill_once", "diverge", "ok", "ok"]


@pytest.mark.parametrize("executor", ["local", "inline"])
def test_a_grid_with_failures_and_deaths_is_recorded_whole(request_for, url: str, executor: str):
    acts = [act for act in ACTS if executor == "local" or act != "kill_once"]
    runs = tuple(make_run(number, act) for number, act in enumerate(acts))
    with Store.open(url) as store:
        key = store.save_study(study_of(runs), call_options={})
        request = request_for(None, open_store=lambda: Store.open(url), request_key=key, workers=2)
        report = get_executor(executor).run(request)
        results = store.results([run.run_id for run in runs])
    assert (report.failed, report.done, report.lost, report.errors) == (2, len(runs) - 2, 0, ())
    for run, act in zip(runs, acts, strict=True):
        result = results[run.run_id]
        assert result.state == {"raise": "failed", "diverge": "failed"}.get(act, "done")
        assert [attempt.state for attempt in result.attempts][-1] == result.state
        if result.state == "done":
            assert result.metrics["top1"] == pytest.approx(run.seed / 100 + 0.2)
            assert sorted(result.epochs) == [1, 2]
            assert result.attempts[-1].fingerprint == f"toy-cpu-{result.attempts[-1].environment['threads']}"
    killed = [result for result, act in zip(results.values(), acts, strict=True) if act == "kill_once"]
    assert all([attempt.state for attempt in result.attempts] == ["lost", "done"] for result in killed)


@pytest.mark.slow
def test_two_grids_of_one_study_train_each_run_once(url: str, tmp_path: Path):
    """Two processes that start together on a database that is not there yet, and share a home."""
    command = [sys.executable, str(Path(__file__).with_name("drive_study.py")), url, str(tmp_path / "home"), "8"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    grids = [subprocess.Popen(command, **pipes) for _ in range(2)]
    try:
        for grid in grids:
            assert grid.stdout.readline() == "ready\n"
        for grid in grids:
            grid.stdin.write("\n")
            grid.stdin.flush()
        ended = [grid.communicate() for grid in grids]
    finally:
        for grid in grids:
            grid.kill()
            grid.communicate()
    assert [(grid.returncode, err) for grid, (_, err) in zip(grids, ended, strict=True)] == [(0, "")] * 2
    trained = [run_id for out, _ in ended for run_id in json.loads(out)]
    assert sorted(trained) == sorted(make_run(number).run_id for number in range(8))
    with Store.open(url) as store:
        results = store.results(trained)
        assert [(run.state, len(run.attempts)) for run in results.values()] == [("done", 1)] * 8
        assert [sorted(run.epochs) for run in results.values()] == [[1, 2]] * 8
        assert [study.name for study in store.studies()] == ["toy"]
        assert store.check() == []
