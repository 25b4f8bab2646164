"""Logs of attempts: whole, or followed until the run has ended."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from golden_texts import raising

from ablate.dispatch.contract.executor import attempt_log
from ablate.errors import NotFound
from ablate.project.logs import follow, read_log
from ablate.study.records import AttemptResult, RunResult
from ablate.study.values.run import Run

RUN = Run("a" * 64, "b" * 64, 0, {}, {"command": ["x"]})


def result(state: str, *attempts: str) -> RunResult:
    """A run in a state, whose attempts are in these."""
    made = [
        AttemptResult(number, one, "host:1", 0.0, None, None, {"host": "node7"}, None)
        for number, one in enumerate(attempts, start=1)
    ]
    return RunResult(RUN, state, tuple(made))


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = attempt_log(tmp_path / "home", RUN.run_id, 1).parent
    folder.mkdir(parents=True)
    return folder


def write(logs: Path, number: int, data: bytes) -> None:
    with (logs / f"attempt-{number}.log").open("ab") as log:
        log.write(data)


def test_a_log_is_printed_whole_the_newest_or_that_of_an_attempt(logs: Path) -> None:
    for number in (1, 2):
        write(logs, number, f"attempt {number}\n".encode() + b"\xff\xc3\xa9\n" * 300_000)
    both = result("done", "lost", "done")
    assert "".join(read_log(both)) == "attempt 2\n" + "\ufffd\u00e9\n" * 300_000
    assert "".join(read_log(both, 1)).startswith("attempt 1\n")


def test_what_is_not_there_is_said_with_where_it_is(logs: Path) -> None:
    for one, attempt in ((result("queued"), None), (result("done", "done"), 3), (result("done", "done"), None)):
        with raising(NotFound, code="no-log"):
            list(read_log(one, attempt))
    with raising(NotFound, code="no-log"):
        list(follow(lambda: result("cancelled"), None, lambda: None, print))
    with raising(NotFound, code="no-log"):
        list(follow(lambda: result("done", "done"), None, lambda: None, print))


def test_a_log_is_followed_over_attempts_to_the_end_of_the_run(logs: Path) -> None:
    said: list[str] = []
    pauses = itertools.count()
    states = [result("queued"), result("running", "running"), result("running", "running"), result("queued", "lost"),
              result("running", "lost", "running"), result("done", "lost", "done")]  # fmt: skip
    writes = {0: (1, b"one \xc3"), 1: (1, b"\xa9\n"), 3: (2, b"two\n"), 5: (2, b"the end\n")}

    def pause() -> None:
        if (written := writes.get(next(pauses))) is not None:
            write(logs, *written)

    looks = iter(states)
    pieces: Iterator[str] = follow(lambda: next(looks), None, pause, said.append)
    assert "".join(pieces) == "one \u00e9\ntwo\nthe end\n"
    assert said == ["waiting for the run to start", "attempt 2"]


def test_one_attempt_is_followed_to_its_own_end(logs: Path) -> None:
    write(logs, 1, b"one\n")
    pieces = follow(lambda: result("running", "lost", "running"), 1, lambda: None, print)
    assert "".join(pieces) == "one\n"
