"""The local executor: worker processes, their deaths, their output."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from toy_store import make_run

from ablate.dispatch.contract import events
from ablate.dispatch.contract.executor import attempt_log, run_folder
from ablate.dispatch.processes.local import LocalExecutor
from ablate.errors import NoSpaceOrPermission, NotFound, RunFailure

HOME = "home"


@pytest.mark.slow
def test_twenty_runs_on_three_slots_are_each_done_once(request_for, toy_store, slots, seen):
    store = toy_store(*(make_run(number) for number in range(20)))
    report = LocalExecutor(slots(3)).run(request_for(store))
    assert report.done == 20
    assert report.exit_code == 0
    assert all(entry.ends == ["done"] and [*entry.result.epochs] == [1, 2] for entry in map(store.of, range(20)))
    assert len(seen.of(events.RunStarted)) == len(seen.of(events.RunEnded)) == 20
    assert seen[-1] == events.GridEnded(report)


def test_one_process_serves_all_runs_of_a_slot(request_for, toy_store, slots):
    store = toy_store(*(make_run(number) for number in range(5)))
    LocalExecutor(slots(1)).run(request_for(store))
    pids = {store.of(seed).result.details["pid"] for seed in range(5)}
    assert len(pids) == 1
    assert pids != {os.getpid()}


def test_an_outcome_arrives_whole(request_for, toy_store, slots, tmp_path):
    store = toy_store(make_run(1), make_run(2, parent=make_run(1).run_id))
    LocalExecutor(slots(1)).run(request_for(store, options={"compile": True}))
    outcome = store.of(2).result
    assert outcome.metrics == {"top1": 0.22}
    assert outcome.confusions[0].counts == ((1, 0), (2, 3))
    assert outcome.artifacts[0].path == "last.pt"
    assert outcome.details["options"] == {"compile": True, "needed_by_child": False}
    assert outcome.details["parent"] == str(run_folder(tmp_path / HOME, make_run(1).run_id))
    assert {epoch: values["val_top1"] for epoch, values in outcome.epochs.items()} == pytest.approx({1: 0.12, 2: 0.22})


def test_threads_are_set_before_the_trainer_is_imported_and_the_database_stays_unknown(
    request_for, toy_store, monkeypatch, seen
):
    monkeypatch.setenv("ABLATE_DB", "postgresql://me:secret@host/db")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    store = toy_store(make_run(1))
    LocalExecutor().run(request_for(store, workers=1, threads=3, environment={"code": "1f2e", "threads": 0}))
    result = store.of(1).result
    (attempt,) = result.attempts
    assert attempt.environment["code"] == "1f2e"
    assert attempt.environment["imported_with"]["OMP_NUM_THREADS"] == "3"
    assert attempt.environment["imported_with"]["ABLATE_DB"] is None
    assert attempt.environment["threads"] == 3
    assert attempt.fingerprint == "toy-cpu-3"
    assert attempt.worker.startswith(f"{socket.gethostname()}:{os.getpid()}:")
    assert result.device == "cpu"


@pytest.mark.parametrize(
    ("act", "kind", "text"),
    [
        ("raise", "error", "ValueError: no such thing"),
        ("diverge", "diverged", "the loss is nan at step 3"),
        ("bad_data", "bad_data", "cat/1.jpg cannot be decoded"),
        ("exit", "error", "SystemExit: 7"),
        ("unlike_json", "error", "ValueError: could not convert string to float: 'very good'"),
    ],
)
def test_a_run_that_raises_fails_with_its_kind_and_the_next_one_goes_on(
    request_for, toy_store, slots, act, kind, text, seen
):
    store = toy_store(make_run(1, act), make_run(2))
    report = LocalExecutor(slots(1)).run(request_for(store))
    entry = store.of(1)
    assert (entry.state, entry.kind) == ("failed", kind)
    assert entry.error.splitlines()[-1].endswith(text)
    assert store.of(2).state == "done"
    assert (report.done, report.failed, report.exit_code) == (1, 1, 4)
    assert not seen.of(events.WorkerReplaced)
    assert "in _run" not in entry.error


@pytest.mark.slow
@pytest.mark.parametrize(("act", "kind"), [("oom", "oom"), ("device_fault", "error")])
def test_a_process_with_spoilt_memory_is_replaced(request_for, toy_store, slots, act, kind, seen):
    store = toy_store(make_run(1), make_run(2, act), make_run(3))
    LocalExecutor(slots(1)).run(request_for(store))
    assert store.of(2).kind == kind
    before, after = (store.of(seed).result.details["pid"] for seed in (1, 3))
    assert before != after
    assert seen.of(events.WorkerReplaced)[0].reason.startswith("a fresh process after: ")


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_run_tried_again(request_for, toy_store, slots, seen):
    store = toy_store(make_run(1, "kill_once"), make_run(2))
    report = LocalExecutor(slots(1)).run(request_for(store))
    entry = store.of(1)
    assert entry.ends == ["lost", "done"]
    assert [*entry.result.epochs] == [1, 2]
    assert (report.done, report.lost, report.exit_code) == (2, 0, 0)
    reason = "worker killed by signal 9 (SIGKILL), perhaps out of memory"
    assert [event.reason for event in seen.of(events.WorkerReplaced)] == [reason]
    assert [event.error for event in seen.of(events.RunEnded) if event.state == "lost"] == [reason]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("kill", "worker killed by signal 9 (SIGKILL), perhaps out of memory"),
        ("hard_exit", "worker exited with status 9"),
    ],
)
def test_a_run_that_kills_every_worker_ends_as_lost_and_the_others_finish(request_for, toy_store, slots, act, reason):
    store = toy_store(make_run(1, act), make_run(2), make_run(3))
    report = LocalExecutor(slots(2)).run(request_for(store))
    assert store.of(1).ends == ["lost", "lost", "lost"]
    assert store.of(1).error == reason
    assert store.states() == {1: "lost", 2: "done", 3: "done"}
    assert (report.done, report.lost, report.exit_code) == (2, 1, 4)


def test_a_lost_lease_ends_the_attempt_and_its_result_is_thrown_away(request_for, toy_store, slots, seen):
    store = toy_store(make_run(1, "loses_its_lease"), make_run(2))
    first = make_run(1).run_id

    def steal(event: events.EpochDone) -> None:
        if event.run_id == first:
            seen.then.clear()
            store.steal(first)

    seen.then[events.EpochDone] = steal
    report = LocalExecutor(slots(1)).run(request_for(store, limit=2))
    entry = store.of(1)
    assert entry.result.metrics == {}
    assert [*entry.result.epochs] == [1]
    assert entry.ends == ["cancelled", "running"]
    assert (report.done, report.fenced) == (1, 1)
    (ended,) = [event for event in seen.of(events.RunEnded) if event.state == "fenced"]
    assert ended.error.startswith(f"attempt 1 of run {first[:12]} was lost; elsewhere has attempt 2 now")


def test_heartbeats_go_on_while_the_trainer_is_busy(request_for, toy_store, slots, tmp_path):
    done = tmp_path / "go"
    store = toy_store(make_run(1, "waits_for_file", file=str(done)))
    beat = ("heartbeat", make_run(1).run_id)
    store.on_call = lambda name, run_id: store.calls.count(beat) >= 3 and done.touch()
    report = LocalExecutor(slots(1)).run(request_for(store, ttl=0.3))
    assert report.done == 1
    assert store.calls.count(beat) >= 3


@pytest.mark.slow
def test_a_run_beyond_its_time_limit_fails_and_its_worker_is_replaced(request_for, toy_store, slots, seen):
    store = toy_store(make_run(1, "stubborn"), make_run(2))
    LocalExecutor(slots(1)).run(request_for(store, run_timeout=0.3))
    assert store.of(1).error == "a run did not end within 0.3 s (its time limit)"
    assert store.of(1).kind == "error"
    assert store.of(2).state == "done"
    assert len(seen.of(events.WorkerReplaced)) == 1


def test_what_a_trainer_prints_is_in_the_log_of_its_attempt(request_for, toy_store, slots, tmp_path):
    store = toy_store(make_run(1, "talk"), make_run(2), make_run(3, "raise"))
    LocalExecutor(slots(1)).run(request_for(store))
    logs = [attempt_log(tmp_path / HOME, make_run(seed).run_id, 1) for seed in (1, 2, 3)]
    assert logs[0].read_text() == "to stdout\nto stderr\nfrom below\n"
    assert logs[1].read_text() == ""
    assert logs[2].read_text().startswith("Traceback")
    assert logs[0].parent == tmp_path / HOME / "runs" / "01" / make_run(1).run_id


def test_a_flood_of_output_is_bounded(request_for, toy_store, slots, tmp_path):
    store = toy_store(make_run(1, "flood"))
    report = LocalExecutor(slots(1)).run(request_for(store))
    assert report.done == 1
    log = attempt_log(tmp_path / HOME, make_run(1).run_id, 1)
    assert log.stat().st_size < 5 << 20
    text = log.read_text()
    assert text.endswith("the end\n")
    assert "bytes left out" in text


def test_secrets_do_not_reach_the_store(request_for, toy_store, slots, monkeypatch):
    monkeypatch.setenv("TOY_TOKEN", "tok-1234567")
    store = toy_store(make_run(1, "token_in_error"))
    LocalExecutor(slots(1)).run(request_for(store))
    assert store.of(1).error.endswith("RuntimeError: cannot reach https://me:***@example.org with ***")


@pytest.mark.parametrize("act", ["no_space", "enospc"])
def test_a_full_disk_gives_the_run_back_and_stops_the_grid(request_for, toy_store, slots, act):
    store = toy_store(make_run(1, act), make_run(2))
    report = LocalExecutor(slots(1)).run(request_for(store))
    assert store.states() == {1: "queued", 2: "queued"}
    assert store.of(1).ends == ["released"]
    (error,) = report.errors
    assert isinstance(error, NoSpaceOrPermission)
    assert "Free some space or grant access, then start again." in str(error)
    assert (report.released, report.exit_code) == (1, 8)


def test_a_run_folder_that_cannot_be_made_stops_the_grid(request_for, toy_store, slots, tmp_path):
    (tmp_path / HOME).write_text("a file where the folder should be")
    store = toy_store(make_run(1))
    report = LocalExecutor(slots(1)).run(request_for(store))
    assert store.states() == {1: "queued"}
    assert report.exit_code == 8
    assert str(tmp_path / HOME / "runs") in str(report.errors[0])


def test_missing_data_ends_the_grid_after_three_runs(request_for, toy_store, slots):
    store = toy_store(*(make_run(number, "missing") for number in range(9)))
    report = LocalExecutor(slots(1)).run(request_for(store))
    assert list(store.states().values()).count("failed") == 3
    (error,) = report.errors
    assert isinstance(error, NotFound)
    assert str(error) == (
        "3 runs in a row did not find what they need, so no more will be started: "
        "caltech101 is not in the data folder; fetch it with `ablate data fetch`"
    )
    assert report.exit_code == 5


def test_missing_data_of_some_runs_does_not_end_the_grid(request_for, toy_store, slots):
    acts = ["missing", "missing", "ok", "missing", "missing"]
    store = toy_store(*(make_run(number, act) for number, act in enumerate(acts)))
    report = LocalExecutor(slots(1)).run(request_for(store))
    assert (report.done, report.failed, report.errors) == (1, 4, ())


@pytest.mark.parametrize(
    ("fit", "why"),
    [
        ("no_such_module:fit", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("toy_fits:no_such_fit", "AttributeError: module 'toy_fits' has no attribute 'no_such_fit'"),
    ],
)
def test_a_trainer_that_cannot_be_loaded_costs_no_run(request_for, toy_store, slots, fit, why):
    store = toy_store(make_run(1))
    report = LocalExecutor(slots(2)).run(request_for(store, fit=fit))
    (error,) = report.errors
    assert isinstance(error, RunFailure)
    assert str(error).startswith(f"the trainer {fit} can't be loaded, so no run was started by this worker: ")
    assert str(error).endswith(why)
    assert ("claim", "") not in store.calls


def test_a_worker_that_dies_at_its_start_says_its_last_words(request_for, toy_store, slots, tmp_path, monkeypatch):
    (tmp_path / "dies_at_import.py").write_text("import os\nprint('no licence', flush=True)\nos._exit(3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    report = LocalExecutor(slots(1)).run(request_for(toy_store(make_run(1)), fit="dies_at_import:fit"))
    assert str(report.errors[0]).endswith("worker exited with status 3\nno licence")


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, 3])
def test_a_worker_that_is_killed_at_its_start_is_replaced_twice(
    request_for, toy_store, slots, tmp_path, monkeypatch, seen, kills
):
    """A system short of memory kills a process that imports a lot: that must not end the grid."""
    (tmp_path / "killed_at_import.py").write_text(
        "import os, pathlib\n"
        f"start = len(list(pathlib.Path({str(tmp_path)!r}).glob('start*'))) + 1\n"
        f"pathlib.Path({str(tmp_path)!r}, f'start{{start}}').touch()\n"
        f"os.kill(os.getpid(), 9) if start <= {kills} else None\n"
        "from toy_fits import fit\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    store = toy_store(make_run(1))
    report = LocalExecutor(slots(1)).run(request_for(store, fit="killed_at_import:fit"))
    reason = "worker killed by signal 9 (SIGKILL), perhaps out of memory"
    replaced = [event.reason for event in seen.of(events.WorkerReplaced)]
    assert replaced == [f"{reason}, while it started"] * min(kills, 2)
    if kills == 1:
        assert (report.done, report.errors) == (1, ())
    else:
        (error,) = report.errors
        assert str(error).endswith(f"can't be loaded, so no run was started by this worker: {reason}")
        assert store.states() == {1: "queued"}


@pytest.mark.parametrize(
    ("fit", "text"),
    [
        ("not_an_outcome", "TypeError: a trainer returns an Outcome, not dict"),
        ("not_json", "TypeError: PosixPath is not a JSON value: PosixPath('x')"),
    ],
)
def test_an_outcome_that_is_none_fails_the_run(request_for, toy_store, slots, fit, text):
    store = toy_store(make_run(1))
    LocalExecutor(slots(1)).run(request_for(store, fit=f"toy_fits:{fit}"))
    assert store.of(1).error.splitlines()[-1] == text


def test_nothing_to_do_starts_nothing(request_for, toy_store, slots, seen):
    runs = (make_run(1), make_run(2))
    report = LocalExecutor(slots(2)).run(request_for(toy_store(*runs, barred=runs)))
    assert (report.done, report.blocked, report.exit_code) == (0, 2, 4)
    assert [type(event) for event in seen] == [events.GridEnded]


def test_no_more_workers_than_runs(request_for, toy_store, slots, seen):
    LocalExecutor(slots(3)).run(request_for(toy_store(make_run(1))))
    assert len(seen.of(events.WorkerStarted)) == 1


def test_progress_and_epochs_are_told(request_for, toy_store, slots, seen):
    LocalExecutor(slots(1)).run(request_for(toy_store(make_run(7))))
    (progress,) = seen.of(events.RunProgress)  # the second one comes too soon after the first
    assert (progress.progress.epoch, progress.progress.epochs) == (1, 2)
    assert [event.records[0].epoch for event in seen.of(events.EpochDone)] == [1, 2]


@pytest.mark.slow
def test_a_log_that_cannot_be_written_does_not_end_a_run(request_for, toy_store, slots, tmp_path):
    blocked: Path = attempt_log(tmp_path / HOME, make_run(1).run_id, 1)
    blocked.mkdir(parents=True)
    store = toy_store(make_run(1, "talk"))
    assert LocalExecutor(slots(1)).run(request_for(store)).done == 1
