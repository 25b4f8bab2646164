"""The ray executor on a real Ray of this host, and what it says where there is none."""

from __future__ import annotations

import os
import signal
import stat
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from elsewhere import PYTHONPATH, Grid, numbers, run, tuned

from ablate.dispatch.clusters.ray import RayExecutor
from ablate.dispatch.contract.events import RunStarted, WorkerReplaced
from ablate.dispatch.executors import get_executor
from ablate.errors import UsageError


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Ray of two cores that all tests share, and the home in which it wrote its token."""
    pytest.importorskip("ray", reason="needs Ray")
    home = tmp_path_factory.mktemp("home")
    executor = RayExecutor({})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("PYTHONPATH", PYTHONPATH)
        patch.delenv("RAY_ADDRESS", raising=False)
        with executor._cluster():
            yield home


@pytest.mark.slow
@pytest.mark.ray
def test_workers_of_ray_give_the_numbers_of_inline(cli, tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs Ray")
    options = ("--threads", "1", "--device", "cpu")
    said = cli("grid", "run", str(tiny), "--executor", "ray", "--workers", "2", *options)
    cli("grid", "run", str(tiny), "--executor", "inline", *options, "--db", str(tmp_path / "inline.db"))
    assert numbers(tiny, tmp_path / "results.db") == numbers(tiny, tmp_path / "inline.db")
    assert sum(line.startswith("[") for line in said.stderr.splitlines()) == 4
    assert not list((tmp_path / "home" / "grids").iterdir())


@pytest.mark.ray
def test_what_ray_keeps_at_home_is_private(cluster: Path) -> None:
    assert stat.S_IMODE((cluster / ".ray").stat().st_mode) == 0o700
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_a_worker_that_was_killed_is_replaced(tmp_path: Path, seen) -> None:
    grid = Grid(tmp_path, "until_told_once", "ok")
    killed: list[int] = []

    def kill(event: RunStarted) -> None:
        if killed:
            return
        (attempt,) = grid.results()[0].attempts
        killed.append(int(attempt.worker.split(":")[1]))
        (grid.home / "runs" / "00" / grid.runs[0].run_id / "checkpoint").touch()
        os.kill(killed[0], signal.SIGKILL)

    seen.then[RunStarted] = kill
    report = run(RayExecutor({}), grid.request(seen, workers=1))
    assert (report.done, report.errors, report.exit_code) == (2, (), 0)
    assert grid.attempts() == [["lost", "done"], ["done"]]
    assert grid.results()[0].attempts[0].error.endswith("ended without reporting")
    assert [event.slot for event in seen.of(WorkerReplaced)] == [0]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_workers_that_die_again_and_again_end_the_grid(tmp_path: Path, seen) -> None:
    grid = Grid(tmp_path, "until_told")
    seen.then[RunStarted] = lambda event: os.kill(int(grid.results()[0].attempts[-1].worker.split(":")[1]), signal.SIGKILL)  # fmt: skip
    report = run(RayExecutor({"max_replaced": 1}), grid.request(seen, workers=1))
    assert report.exit_code == 4
    assert str(report.errors[0]).startswith("No workers left, but runs remain. 2 died: ")
    assert len(seen.of(WorkerReplaced)) == 1


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_a_stop_makes_workers_checkpoint_give_back_and_end(tmp_path: Path, seen) -> None:
    grid = Grid(tmp_path, "until_told", "until_told", "ok")
    request = grid.request(seen, workers=1)
    seen.then[RunStarted] = lambda event: None if request.stop.signal else request.stop.request(signal.SIGTERM)
    report = run(RayExecutor({}), request)
    assert (report.interrupted, report.exit_code, report.released) == (signal.SIGTERM, 143, 1)
    assert grid.states() == ["queued", "queued", "queued"]
    assert grid.attempts()[0] == ["released"]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_what_keeps_a_worker_from_going_on_is_told(tmp_path: Path) -> None:
    report = run(RayExecutor({}), Grid(tmp_path, "ok").request(fit="no_such_module:fit"))
    assert report.exit_code == 4
    assert "the trainer no_such_module:fit can't be loaded, so no run was started by this worker: " in str(report.errors[0])  # fmt: skip


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_workers_of_ray_train_the_trials_of_a_tuning_once_each(tmp_path: Path) -> None:
    trials, runs = tuned(RayExecutor({}), tmp_path / "ray", workers=2)
    assert [(trial.number, trial.state) for trial in trials] == [(number, "complete") for number in range(12)]
    assert sorted(trial.told for trial in trials) == list(range(12))
    assert [len(run.attempts) for run in runs] == [1] * 12


@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({"num_gpus": 0.5, "num_cpus": 1}, "CPU 1, GPU 0.5"),
        ({"num_cpus": 4096}, "CPU 4096"),
        ({"resources": {"tpu": 1}}, "CPU 1, tpu 1"),
        ({"memory": 1 << 49}, "CPU 1, memory 512T"),
    ],
)
def test_what_no_node_has_is_refused_at_once(tmp_path: Path, settings, asked: str) -> None:
    with pytest.raises(UsageError) as refused:
        run(RayExecutor(settings), Grid(tmp_path, "ok").request())
    said = str(refused.value)
    assert said.startswith(f"no node of the Ray cluster can hold a worker: it asks for {asked}. The cluster has CPU ")
    assert said.endswith("Ask for less with --ray num_cpus=, num_gpus=, memory= or resources.NAME=.")


# Without a Ray --------------------------------------------------------------------------------------------------------


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"^--executor ray needs Ray: pip install 'ablate-studies\[ray\]'$"):
        get_executor("ray")


def test_an_old_ray_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(__version__="2.51.1"))
    with pytest.raises(
        UsageError, match=r"^Ray 2\.51\.1 lets anyone on the network run code on the cluster; 2\.52 or newer is needed"
    ):
        get_executor("ray")


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**options: object) -> None:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(__version__="2.60.0", init=init, is_initialized=lambda: False))  # fmt: skip
    with pytest.raises(UsageError, match=r"^no Ray cluster at head:6379: Could not find any running Ray instance\."):
        RayExecutor({"address": "head:6379"}).run(Grid(tmp_path, "ok").request())
