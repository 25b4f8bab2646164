"""The slurm executor on a real Slurm of one node, and what it says where there is none."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import one_node_slurm
import pytest
from elsewhere import PYTHONPATH, Grid, asked, numbers, run, tuned
from one_node_slurm import OneNodeSlurm
from postgres_server import Room
from sqlalchemy import make_url

from ablate.dispatch.clusters.slurm import SlurmExecutor
from ablate.dispatch.clusters.slurm_jobs import SlurmFleet
from ablate.dispatch.contract.events import RunEnded, RunStarted, Stopping, WorkerEnded
from ablate.dispatch.executors import get_executor
from ablate.dispatch.processes.inline import InlineExecutor
from ablate.errors import RunFailure, UsageError

QUICK = {"time": 5}


@pytest.fixture(scope="module")
def cluster() -> Iterator[OneNodeSlurm]:
    pytest.importorskip("submitit", reason="needs submitit")
    if why := one_node_slurm.missing():
        pytest.skip(why)
    with OneNodeSlurm() as slurm:
        yield slurm


@pytest.fixture
def slurm(cluster: OneNodeSlurm, monkeypatch: pytest.MonkeyPatch) -> OneNodeSlurm:
    for name, value in {**cluster.environment, "PYTHONPATH": PYTHONPATH}.items():
        monkeypatch.setenv(name, value)
    return cluster


@pytest.mark.slow
@pytest.mark.slurm
def test_jobs_of_slurm_give_the_numbers_of_inline(slurm: OneNodeSlurm, cli, tiny: Path, tmp_path: Path) -> None:
    options = ("--threads", "1", "--device", "cpu")
    said = cli("grid", "run", str(tiny), "--executor", "slurm", "--workers", "2", *options)
    cli("grid", "run", str(tiny), "--executor", "inline", *options, "--db", str(tmp_path / "inline.db"))
    assert numbers(tiny, tmp_path / "results.db") == numbers(tiny, tmp_path / "inline.db")
    assert sum(line.startswith("[") for line in said.stderr.splitlines()) == 4
    assert not slurm.jobs()
    assert not list((tmp_path / "home" / "grids").iterdir()), "a grid that went well leaves no logs behind"


@pytest.mark.slow
@pytest.mark.slurm
def test_a_job_at_its_time_limit_checkpoints_is_requeued_and_goes_on(slurm: OneNodeSlurm, tmp_path: Path, seen) -> None:
    grid = Grid(tmp_path, "until_told_once", "ok")
    told: list[str] = []

    def time_is_over(event: RunStarted) -> None:
        if not told:
            told.extend(slurm.jobs())
            slurm.run("scancel", "--signal=USR2", *told)

    seen.then[RunStarted] = time_is_over
    report = run(SlurmExecutor(QUICK), grid.request(seen))
    assert (report.done, report.errors, report.exit_code) == (2, (), 0)
    assert grid.attempts() == [["released", "done"], ["done"]]
    first, second = grid.results()[0].attempts
    assert first.error == f"checkpointed on signal {int(signal.SIGUSR2)}"
    assert "slurm_restarts" not in first.environment
    assert second.environment["slurm_restarts"] == "1"
    assert second.environment["slurm_job"] == told[0], "the same job"


@pytest.mark.slow
@pytest.mark.slurm
def test_a_preempted_job_checkpoints_and_goes_on(slurm: OneNodeSlurm, tmp_path: Path, seen) -> None:
    """Slurm sends SIGCONT, SIGTERM and SIGUSR2 in a row."""
    grid = Grid(tmp_path, "until_told_once")
    urgent: list[str] = []

    def preempt(event: RunStarted) -> None:
        if not urgent:
            urgent.append(slurm.run("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=true"))

    seen.then[RunStarted] = preempt
    report = run(SlurmExecutor(QUICK), grid.request(seen))
    assert (report.done, report.errors, report.exit_code) == (1, (), 0)
    assert grid.attempts() == [["released", "done"]]
    assert grid.results()[0].attempts[1].environment["slurm_restarts"] == "1"


@pytest.mark.slow
@pytest.mark.slurm
def test_a_stop_makes_jobs_checkpoint_give_back_and_end(slurm: OneNodeSlurm, tmp_path: Path, seen) -> None:
    grid = Grid(tmp_path, "until_told", "until_told", "ok")
    request = grid.request(seen)
    seen.then[RunStarted] = lambda event: None if request.stop.signal else request.stop.request(signal.SIGINT)
    report = run(SlurmExecutor(QUICK), request)
    assert (report.interrupted, report.exit_code, report.released) == (signal.SIGINT, 130, 1)
    assert grid.states() == ["queued", "queued", "queued"]
    assert grid.results()[0].attempts[-1].error == f"checkpointed on signal {int(signal.SIGTERM)}"
    assert seen.of(Stopping)
    assert [event.state for event in seen.of(RunEnded)] == ["released"]
    slurm.run("squeue")
    assert not slurm.jobs()


@pytest.mark.slow
@pytest.mark.slurm
def test_workers_may_reach_sqlite_through_the_shared_folder(slurm: OneNodeSlurm, tmp_path: Path) -> None:
    grid = Grid(tmp_path, "ok", "raise", "ok")
    report = run(SlurmExecutor(QUICK), grid.request(spool=True, workers=2))
    assert (report.done, report.failed, report.errors) == (2, 1, ())
    assert [len(attempts) for attempts in grid.attempts()] == [1, 1, 1]
    (document,) = (grid.home / "grids").glob("*/grid.json")
    assert json.loads(document.read_text())["database"] == f"spool://{document.parent}/spool"


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.postgres
def test_jobs_of_slurm_share_a_postgresql_and_its_password_is_in_no_file(
    slurm: OneNodeSlurm, postgres: Room, tmp_path: Path
) -> None:
    url = postgres.fresh()
    grid = Grid(tmp_path, "ok", "raise", "ok", url=url)
    report = run(SlurmExecutor(QUICK), grid.request(workers=2))
    assert (report.done, report.failed, report.errors) == (2, 1, ())
    assert [len(attempts) for attempts in grid.attempts()] == [1, 1, 1]
    password = make_url(url).password
    assert password
    files = [path for path in grid.home.rglob("*") if path.is_file()]
    assert any(path.suffix == ".pkl" for path in files), "what submitit keeps is looked at too"
    assert not [path for path in files if password.encode() in path.read_bytes()]


@pytest.mark.slow
@pytest.mark.slurm
def test_a_limit_is_shared_out_and_is_no_failure(slurm: OneNodeSlurm, tmp_path: Path) -> None:
    grid = Grid(tmp_path, "ok", "ok", "ok")
    report = run(SlurmExecutor(QUICK), grid.request(limit=2, workers=4))
    assert (report.done, report.errors, report.exit_code) == (2, (), 0)
    assert sorted(grid.states()) == ["done", "done", "queued"]


@pytest.mark.slow
@pytest.mark.slurm
def test_one_failure_ends_all_workers_where_asked_to(slurm: OneNodeSlurm, tmp_path: Path) -> None:
    grid = Grid(tmp_path, "raise", "ok", "ok")
    report = run(SlurmExecutor(QUICK), grid.request(fail_fast=True))
    assert (report.failed, report.done, report.errors, report.exit_code) == (1, 0, (), 4)


@pytest.mark.slow
@pytest.mark.slurm
def test_what_keeps_a_worker_from_going_on_is_told(slurm: OneNodeSlurm, tmp_path: Path) -> None:
    grid = Grid(tmp_path, "ok")
    report = run(SlurmExecutor(QUICK), grid.request(fit="no_such_module:fit"))
    assert report.exit_code == 4
    assert "the trainer no_such_module:fit can't be loaded, so no run was started by this worker: " in str(report.errors[0])  # fmt: skip


@pytest.mark.slow
@pytest.mark.slurm
def test_a_job_that_dies_at_once_is_told_with_the_end_of_its_log(slurm: OneNodeSlurm, tmp_path: Path, seen) -> None:
    grid = Grid(tmp_path, "ok")
    settings = {**QUICK, "setup": ["echo no module of that name >&2", "exit 3"]}
    report = run(SlurmExecutor(settings), grid.request(seen))
    assert report.exit_code == 4
    said = str(report.errors[0])
    assert said.startswith("No workers left, but runs remain. 1 of 1 jobs ended without reporting; job ")
    assert " is FAILED. The end of " in said
    assert said.endswith("_0_log.err:\n  no module of that name")
    assert [event.name for event in seen.of(WorkerEnded)] == ["0"]
    assert grid.states() == ["queued"]


@pytest.mark.slurm
def test_an_unknown_partition_is_refused_by_slurm(slurm: OneNodeSlurm, tmp_path: Path) -> None:
    grid = Grid(tmp_path, "ok")
    with pytest.raises(UsageError) as refused:
        run(SlurmExecutor({"partition": "nope"}), grid.request())
    assert str(refused.value).startswith("Slurm refused the jobs: invalid partition specified: nope; ")
    assert "--slurm KEY=VALUE" in str(refused.value)
    assert not list((grid.home / "grids").iterdir())


@pytest.mark.slurm
def test_jobs_that_can_never_start_are_cancelled(slurm: OneNodeSlurm, tmp_path: Path) -> None:
    report = run(SlurmExecutor({"partition": "short", "time": 5}), Grid(tmp_path, "ok").request())
    assert str(report.errors[0]).startswith("Slurm will never start the jobs: PartitionTimeLimit. They are cancelled; ")
    assert report.exit_code == 2
    assert not slurm.jobs()


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.parametrize("spool", [False, True], ids=["directly", "spooled"])
def test_a_job_of_slurm_stays_for_all_trials_of_a_tuning(slurm: OneNodeSlurm, tmp_path: Path, spool: bool) -> None:
    trials, runs = tuned(SlurmExecutor(QUICK), tmp_path / "slurm", spool=spool)
    assert asked(trials) == asked(tuned(InlineExecutor(), tmp_path / "inline")[0])
    assert len(trials) == 12
    assert len({run.attempts[0].environment["slurm_job"] for run in runs}) == 1
    assert [len(run.attempts) for run in runs] == [1] * 12
    assert not slurm.jobs()


# Without a Slurm ------------------------------------------------------------------------------------------------------


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH: what is put there plays Slurm."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def play(folder: Path, name: str, script: str = "") -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_without_submitit_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UsageError, match=r"^--executor slurm needs submitit: pip install 'ablate-studies\[slurm\]'$"):
        get_executor("slurm")


@pytest.fixture
def submitit() -> None:
    pytest.importorskip("submitit", reason="needs submitit")


@pytest.mark.usefixtures("submitit")
def test_without_sbatch_a_login_node_is_asked_for(programs: Path) -> None:
    with pytest.raises(UsageError, match="there is no sbatch on this host; use a login node of the cluster"):
        get_executor("slurm").check("auto", None, None, "sqlite:///results.db")


@pytest.mark.usefixtures("submitit")
def test_sqlite_is_refused_where_jobs_may_run_on_other_hosts(programs: Path) -> None:
    for name in ("sbatch", "squeue", "scancel", "srun"):
        play(programs, name)
    play(programs, "sinfo", "echo node1; echo node2")
    executor = get_executor("slurm")
    with pytest.raises(UsageError) as refused:
        executor.check("auto", None, None, "sqlite:///results.db")
    assert str(refused.value).startswith("Slurm's nodes (node1, node2) cannot share a SQLite database with this host. Use PostgreSQL: ABLATE_DB=")  # fmt: skip
    executor.check("auto", None, None, "postgresql+psycopg://me@host/name")


def fleet(tmp_path: Path, count: int = 2) -> SlurmFleet:
    for name in ("endings", "jobs"):
        (tmp_path / name).mkdir()
    return SlurmFleet(tmp_path / "grid.json", {str(number): f"7_{number}" for number in range(count)}, every=0.0)


def test_a_controller_that_is_away_for_a_while_is_no_end(programs: Path, tmp_path: Path, monkeypatch) -> None:
    play(programs, "squeue", "echo slurm_load_jobs error: Unable to contact slurm controller >&2; exit 1")
    jobs = fleet(tmp_path)
    crew = jobs.look()
    assert (crew.alive, crew.hopeless) == (2, None)
    assert crew.waiting.endswith("Unable to contact slurm controller")
    monkeypatch.setattr("ablate.dispatch.clusters.slurm_jobs.SILENCE", -1.0)
    hopeless = jobs.look().hopeless
    assert isinstance(hopeless, RunFailure)
    assert "Jobs may still run; `ablate status` shows their progress." in str(hopeless)


def test_a_job_is_gone_once_it_was_missed_twice_or_has_said_so(programs: Path, tmp_path: Path) -> None:
    play(programs, "squeue", "echo '7_0|RUNNING|None'; echo '7_1|OUT_OF_MEMORY|None'")
    jobs = fleet(tmp_path, 3)
    (tmp_path / "endings" / "2.json").write_text('{"exit_code": 0, "errors": []}')
    first = jobs.look()
    assert (first.alive, first.news) == (2, ())
    second = jobs.look()
    assert second.alive == 1
    assert [event.reason for event in second.news] == [f"job 7_1 is OUT_OF_MEMORY; its log: {tmp_path}/jobs/7_1_0_log.err"]  # fmt: skip
    assert jobs.look().news == ()


def test_purged_jobs_are_gone(programs: Path, tmp_path: Path) -> None:
    play(programs, "squeue", "echo slurm_load_jobs error: Invalid job id specified >&2; exit 1")
    jobs = fleet(tmp_path)
    jobs.look()
    assert jobs.look().alive == 0
    said = str(jobs.why())
    assert "2 of 2 jobs ended without reporting; job 7_0 is GONE. It left no log at " in said
    assert "is ABLATE_HOME a folder that all nodes share" in said


def test_pending_jobs_say_what_they_wait_for(programs: Path, tmp_path: Path) -> None:
    play(programs, "squeue", "echo '7_0|PENDING|Priority'; echo '7_1|PENDING|PartitionTimeLimit'")
    crew = fleet(tmp_path).look()
    assert (crew.alive, crew.waiting, crew.hopeless) == (2, "2 Slurm jobs pending (Priority)", None)
