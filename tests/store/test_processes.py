"""Real processes on one database: what a lock, a kill and a race do to the queue."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claimers import Process, go, outcome, processes

from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.store.transitions import MAX_LOST

Make = Callable[..., Any]


def claimed_once(url: str, study: Any, workers: int) -> list[list[list[object]]]:
    with Store.open(url) as store:
        key = store.save_study(study, call_options={})
    with processes(workers, url, str(key), "claim") as started:
        told = [[line for line in lines if line[1] != "done"] for lines in outcome(started)]
    ids = [line[0] for lines in told for line in lines]
    assert len(ids) == len(set(ids)) == len(study.runs)
    with Store.open(url, read_only=True) as store:
        results = store.results(ids, epochs=False)
        assert all(result.state == "done" and len(result.attempts) == 1 for result in results.values())
        assert store.check() == []
    return told


@pytest.mark.slow
def test_processes_claim_each_run_once(url: str, make_study: Make) -> None:
    claimed_once(url, make_study(90), workers=3)


@pytest.mark.slow
def test_processes_of_two_requests_claim_only_what_theirs_asked_for(url: str, make_run: Make, make_study: Make) -> None:
    """Two grids of one study at once, four workers each; the runs in the middle are of both."""
    one, two = ([make_run("a", seed) for seed in seeds] for seeds in (range(50), range(30, 80)))
    with Store.open(url) as store:
        keys = [store.save_study(make_study(runs), call_options={}) for runs in (one, two)]
    with processes(4, url, str(keys[0]), "claim") as first, processes(4, url, str(keys[1]), "claim") as second:
        told = outcome([*first, *second])
    got = [[line[0] for line in lines if line[1] != "done"] for lines in told]
    assert {run_id for lines in got[:4] for run_id in lines} <= {run.run_id for run in one}
    assert {run_id for lines in got[4:] for run_id in lines} <= {run.run_id for run in two}
    ids = [run_id for lines in got for run_id in lines]
    assert sorted(ids) == sorted({run.run_id for run in (*one, *two)})
    with Store.open(url) as store:
        assert [store.waiting(key).done for key in keys] == [50, 50]
        assert not any(request.open for request in store.requests())
        assert store.check() == []


@pytest.mark.slow
def test_requests_are_written_while_their_runs_end(url: str, make_study: Make) -> None:
    """Calls for the same runs come while workers train them: none waits for a run that has ended, none is out of reach."""
    study = make_study(60)
    with Store.open(url) as store:
        key = store.save_study(study, call_options={})
        with processes(4, url, str(key), "claim-all") as started:
            for process in started:
                go(process)
            keys = [store.save_study(study, call_options={}) for _ in range(15)]
            ended = [process.communicate() for process in started]
        assert [error for _, error in ended] == [""] * 4
        assert [store.waiting(key).done for key in keys] == [60] * 15
        assert store.check() == []


@pytest.mark.slow
def test_eight_processes_claim_two_thousand_runs_fairly(url: str, make_study: Make) -> None:
    told = claimed_once(url, make_study(2_000), workers=8)
    shares = [len(lines) for lines in told]
    longest = max(float(str(line[2])) for lines in told for line in lines)
    # Without the file lock one of eight gets next to nothing and waits for seconds.
    assert min(shares) >= 2_000 / 8 / 4
    assert longest < 5


@pytest.mark.slow
def test_eight_processes_create_a_database_together(url: str) -> None:
    with processes(8, url, "-", "open") as started:
        assert outcome(started) == [[0]] * 8
    with Store.open(url) as store:
        assert store.check() == []


def hung(process: Process) -> list[object]:
    """Let the process claim one run and hang with it."""
    go(process)
    assert process.stdout is not None
    line: list[object] = json.loads(process.stdout.readline())
    return line


@pytest.mark.slow
def test_a_killed_process_gives_its_run_back_at_once(url: str, make_study: Make) -> None:
    with Store.open(url) as store:
        key = store.save_study(make_study(1), call_options={})
        with processes(1, url, str(key), "hang") as (process,):
            hung(process)
            here = WorkerInfo.here()
            assert store.claim(key, here) is None  # alive: its lease holds
            process.send_signal(signal.SIGKILL)
            process.wait()
            claim = store.claim(key, here)
            assert claim is not None
            assert claim.attempt == 2
        first = store.find(claim.run.run_id).attempts[0]
        assert first.state == "lost"
        assert first.error is not None
        assert first.error.endswith("ended without reporting")


@pytest.mark.slow
def test_a_zombie_is_dead(url: str, make_study: Make) -> None:
    with Store.open(url) as store:
        key = store.save_study(make_study(1), call_options={})
        with processes(1, url, str(key), "hang") as (process,):
            hung(process)
            process.send_signal(signal.SIGKILL)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and not collected: a zombie
            assert store.claim(key, WorkerInfo.here()) is not None


@pytest.mark.slow
def test_a_run_that_kills_every_worker_is_lost_and_the_others_go_on(url: str, make_run: Make, make_study: Make) -> None:
    poison, other = make_run("poison"), make_run("other")
    with Store.open(url) as store:
        key = store.save_study(make_study([poison, other]), call_options={})
        with processes(MAX_LOST, url, str(key), "hang") as started:
            for process in started:
                assert hung(process)[0] == poison.run_id
                process.send_signal(signal.SIGKILL)
                process.wait()
        claim = store.claim(key, WorkerInfo.here())
        assert claim is not None
        assert claim.run.run_id == other.run_id
        assert store.states([poison.run_id])[poison.run_id].state == "lost"


@pytest.mark.slow
def test_what_was_acknowledged_survives_kills_at_any_moment(url: str, make_study: Make) -> None:
    with Store.open(url) as store:
        key = store.save_study(make_study(400), call_options={})
    finished: set[object] = set()
    for round_ in range(4):
        with processes(4, url, str(key), "claim") as started:
            for process in started:
                go(process)
            for number, process in enumerate(started):
                assert process.stdout is not None
                told = [json.loads(process.stdout.readline()) for _ in range(3 + 5 * number + round_)]
                process.send_signal(signal.SIGKILL)
                told += [json.loads(line) for line in process.stdout.read().splitlines() if line.endswith("]")]
                finished |= {line[0] for line in told if line[1] == "done"}
        with Store.open(url) as store:
            assert store.check() == []
            results = store.results([str(run_id) for run_id in finished])
            assert len(results) == len(finished) > 0
            assert all(result.state == "done" and result.metrics == {"top1": 0.5} for result in results.values())
            assert all(sum(a.state == "done" for a in result.attempts) == 1 for result in results.values())


@pytest.mark.slow
@pytest.mark.parametrize("act", ["a second store", "a reader", "its own import"])
def test_a_database_in_use_keeps_its_log_whatever_this_process_opens_beside_it(
    path: Path, make_study: Make, act: str
) -> None:
    """POSIX drops a process's locks on a file when it closes any descriptor of it; see ablate/store/header.py."""
    with Store.open(str(path)) as store:
        key = store.save_study(make_study(3), call_options={})
        if act == "its own import":
            store.import_from(str(path))
        else:
            Store.open(str(path), read_only=act == "a reader").close()
        with processes(1, str(path), str(key), "claim-one") as started:  # opens, claims, closes
            ((told, *_),) = outcome(started)
        assert path.with_name("results.db-wal").exists()
        claim = store.claim(key, WorkerInfo.here())
        assert claim is not None
        assert claim.run.run_id != told[0]
        with processes(1, str(path), str(key), "claim-one") as started:
            ((other, *_),) = outcome(started)
        assert len({told[0], claim.run.run_id, other[0]}) == 3
        assert store.check() == []
