"""Requests, failures, logs and the wire: pure functions and small values."""

from __future__ import annotations

import errno
import json
import math
import socket
from pathlib import Path

import pytest

from ablate.dispatch.contract.executor import attempt_log, run_folder
from ablate.dispatch.contract.failures import classify, explain, redact
from ablate.dispatch.executors import get_executor
from ablate.dispatch.processes import wire
from ablate.dispatch.processes.child_handle import exit_reason
from ablate.dispatch.processes.inline import InlineExecutor
from ablate.dispatch.processes.local import LocalExecutor
from ablate.dispatch.worker.attempt_log import AttemptLog
from ablate.errors import BadData, Diverged, NoSpaceOrPermission, NotFound, UsageError
from ablate.study.records import Artifact, Confusion, EpochRecord, Outcome


class OutOfMemoryError(RuntimeError):
    pass


class AcceleratorError(RuntimeError):
    pass


def test_executors_by_name():
    assert isinstance(get_executor("inline"), InlineExecutor)
    assert isinstance(get_executor("local"), LocalExecutor)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("locl", "unknown executor 'locl'; allowed: command, inline, local, ray, slurm. Did you mean 'local'?"),
        ("dask", "unknown executor 'dask'; allowed: command, inline, local, ray, slurm."),
    ],
)
def test_executors_that_are_not_there(name, message):
    with pytest.raises(UsageError) as caught:
        get_executor(name)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"workers": 0}, "--workers must be at least 1, not 0"),
        ({"limit": -1}, "--limit must be at least 1, not -1"),
        ({"fit": "toy_fits"}, "a trainer is named package.module:function, not 'toy_fits'"),
    ],
)
def test_requests_that_cannot_be_meant(request_for, change, message):
    with pytest.raises(UsageError) as caught:
        request_for(None, **change)
    assert str(caught.value) == message


def test_folders():
    run = "ab" * 32
    assert run_folder(Path("h"), run) == Path("h/runs/ab") / run
    assert attempt_log(Path("h"), run, 2) == Path("h/runs/ab") / run / "attempt-2.log"


@pytest.mark.parametrize(
    ("error", "kind", "missing", "fresh"),
    [
        (ValueError("x"), "error", False, False),
        (Diverged("x"), "diverged", False, False),
        (BadData("x"), "bad_data", True, False),
        (NotFound("x"), "error", True, False),
        (NoSpaceOrPermission("x"), "no_space", False, False),
        (OSError(errno.ENOSPC, "x"), "no_space", False, False),
        (OSError(errno.EROFS, "x"), "no_space", False, False),
        (OSError(errno.EIO, "x"), "error", False, False),
        (PermissionError(errno.EACCES, "x", "/runs/ab/last.pt"), "no_space", False, False),
        (PermissionError(errno.EACCES, "x", "/data/secret.npz"), "error", False, False),
        (MemoryError(), "oom", False, True),
        (OutOfMemoryError("CUDA out of memory"), "oom", False, True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "oom", False, True),
        (AcceleratorError("CUDA error: an illegal memory access was encountered"), "error", False, True),
        (ValueError("the out of memory chapter"), "error", False, False),
    ],
)
def test_kinds_of_failures(error, kind, missing, fresh):
    failure = classify(error, Path("/runs/ab"))
    assert (failure.kind, failure.missing, failure.fresh) == (kind, missing, fresh)


def test_an_error_of_ours_is_its_message_and_any_other_the_end_of_its_traceback():
    assert explain(NotFound("no weights; fetch them")) == "no weights; fetch them"

    def deep(level: int) -> None:
        if level == 0:
            raise ValueError("bottom")
        deep(level - 1)

    try:
        deep(0)
    except ValueError as error:
        lines = explain(error).splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: bottom"
    assert len(explain(ValueError("y" * 10_000))) == 4000


def test_secrets_are_blotted_out():
    environment = {"HF_TOKEN": "hf_abcdef", "DB_PASSWORD": "short", "API_KEY": "hf_abcdefgh", "HOME": "/home/ada"}
    text = "postgresql+psycopg://ada:p:w@db/x hf_abcdefgh hf_abcdef short /home/ada http://host:80/a@b"
    assert redact(text, environment) == "postgresql+psycopg://ada:***@db/x *** *** short /home/ada http://host:80/a@b"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (137, "worker killed by signal 9 (SIGKILL), perhaps out of memory"),
        (-9, "worker killed by signal 9 (SIGKILL), perhaps out of memory"),
        (139, "worker killed by signal 11 (SIGSEGV)"),
        (1, "worker exited with status 1"),
        (0, "worker exited with status 0"),
        (255, "worker exited with status 255"),
    ],
)
def test_why_a_worker_ended(status, reason):
    assert exit_reason(status) == reason


def test_a_log_keeps_its_head_and_its_tail(tmp_path):
    log = AttemptLog(tmp_path / "attempt-1.log", head=10, tail=4)
    for chunk in (b"01234567", b"89abcdef", b"ghij"):
        log.write(chunk)
    log.close()
    assert (tmp_path / "attempt-1.log").read_bytes() == b"0123456789\n... 6 bytes left out ...\nghij"


def test_a_log_that_fits_is_left_as_it_is_and_continued(tmp_path):
    for text in (b"first\n", b"second\n"):
        log = AttemptLog(tmp_path / "attempt-1.log", head=10, tail=4)
        log.write(text)
        log.close()
    assert (tmp_path / "attempt-1.log").read_bytes() == b"first\nsecond\n"


def test_a_log_on_a_full_disk_falls_silent():
    log = AttemptLog(Path("/dev/full"))
    log.write(b"x")
    log.write(b"y")
    assert log.broken is not None
    assert log.broken.errno == errno.ENOSPC
    log.close()


def test_an_outcome_survives_the_wire():
    outcome = Outcome(
        {"top1": 0.1 + 0.2, "loss": math.inf},
        "test",
        3,
        (Confusion("test", "selected", ("a", "b"), ((5, 1), (0, 7))),),
        (Artifact("checkpoint", "last.pt", 1 << 40, "f" * 64),),
        {"nested": {"list": [1, 2.5, None, "ü"]}},
    )
    assert wire.unpack_outcome(json.loads(wire.encode(wire.pack_outcome(outcome)))) == outcome


def test_epochs_survive_the_wire_even_as_nan():
    records = (EpochRecord(1, "train", {"loss": math.nan}), EpochRecord(1, "val", {"top1": 1.0}))
    again = wire.unpack_records(json.loads(wire.encode(wire.pack_records(records))))
    assert math.isnan(again[0].metrics["loss"])
    assert again[1] == records[1]


def test_a_channel_gives_whole_messages_in_order_and_notices_the_end():
    left, right = socket.socketpair()
    sender, receiver = wire.Channel(left), wire.Channel(right)
    assert receiver.receive() == []
    left.sendall(b'{"is":"a"}\n{"is"')
    assert receiver.receive() == [{"is": "a"}]
    left.sendall(b':"b"}\n')
    sender.send("c", text="line\nbreak")
    assert receiver.receive() == [{"is": "b"}, {"is": "c", "text": "line\nbreak"}]
    sender.close()
    assert receiver.receive() == []
    assert receiver.closed
    receiver.close()


def test_a_large_message_arrives_in_pieces():
    import threading

    left, right = socket.socketpair()
    sender, receiver = wire.Channel(left), wire.Channel(right)
    text = "x" * (3 << 20)
    thread = threading.Thread(target=sender.send, args=("big",), kwargs={"text": text})
    thread.start()
    messages: list[wire.Message] = []
    while not messages:
        messages = receiver.receive(block=True)
    thread.join()
    assert messages == [{"is": "big", "text": text}]
    sender.close()
    receiver.close()
