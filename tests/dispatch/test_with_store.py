"""The executors on the real results database."""

from __future__ import annotations

from pathlib import Path

import pytest
from memory_store import make_run

from ablate.dispatch.executor import this_process
from ablate.dispatch.executors import get_executor
from ablate.study.run import Run
from ablate.study.study import Arm, Study

Store = pytest.importorskip("ablate.store.store").Store
ACTS = ["ok", "raise", "kill_once", "diverge", "ok", "ok"]


@pytest.mark.parametrize("executor", ["local", "inline"])
def test_a_grid_with_failures_and_deaths_is_recorded_whole(request_for, tmp_path: Path, executor: str):
    acts = [act for act in ACTS if executor == "local" or act != "kill_once"]
    runs = tuple(make_run(number, act) for number, act in enumerate(acts))
    url = f"sqlite:///{tmp_path / 'results.db'}"
    with Store.open(url) as store:
        key = store.save_study(study_of(runs), settings={})
        request = request_for(
            None, open_store=lambda: Store.open(url), study_key=key, workers=2, worker_info=this_process
        )
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


def study_of(runs: tuple[Run, ...]) -> Study:
    arms = tuple(Arm(f"arm{run.seed}", {"x": str(run.seed)}, run.arm_id, run.recipe) for run in runs)
    return Study(
        name="toy",
        file="toy.yaml",
        about="",
        cite={},
        profile=None,
        factors=(),
        design="full",
        seeds=(0,),
        baseline={},
        arms=arms,
        excluded=(),
        arms_before=len(arms),
        tables={},
        runs=runs,
        source="study: toy\n",
    )
