"""Commands: how they are started, what they are told, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ended import gone
from golden_texts import golden, raising

from ablate.errors import Diverged, Interrupted, NotFound, RunFailure
from ablate.study.records import Context
from ablate.study.values.run import Run
from ablate.training.foreign import attempt, command
from ablate.training.foreign.process import Command

ROOT = Path(__file__).resolve().parents[3]
LEAVE = "import json, os, sys; print(json.dumps({'top1': 0.5})); "
pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")


def test_a_script_is_run_and_read(script: Any, told: Any) -> None:
    outcome = script("for e in (1, 2):\n  print(f'epoch {e} acc {e / 4}')", metrics={"acc": "acc ([0-9.]+)"})
    assert outcome.metrics == {"acc": 0.5}
    assert told.epochs("acc") == [(1, "test", 0.25), (2, "test", 0.5)]
    assert outcome.details == {"left_behind": 0, "counted_by": {"acc": "match"}}


def test_words_reach_the_script_as_they_are(script: Any, own_folder: Any, tmp_path: Path) -> None:
    values = ["; rm -rf x", "$HOME `id` $(id)", 'it\'s "quoted"', "a b", "", "*", "-x", "é\n", "{{seed}}"]
    keep = tmp_path / "study" / "x"
    keep.write_text("still here")
    script(LEAVE + "open('words.json', 'w').write(json.dumps(sys.argv[1:]))", *values, "{seed}", "{run_dir}/o", seed=7)
    found = json.loads((tmp_path / "study" / "words.json").read_text())
    assert found == [*values[:-1], "{seed}", "7", f"{own_folder()}/o"]
    assert " s; 'x'/code-" in found[-1]
    assert keep.read_text() == "still here"


def test_the_environment_says_which_run_it_is_and_hides_the_database(
    script: Any, own_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABLATE_DB", "postgresql://me:secret@host/db")
    monkeypatch.setenv("ABLATE_SEED", "wrong")
    monkeypatch.chdir("/")
    dump = "e = {k: v for k, v in os.environ.items() if k.startswith('ABLATE') or k == 'PYTHONUNBUFFERED'}; "
    dump += "e['recipe'] = json.load(open(e['ABLATE_RECIPE'])); e['cwd'] = os.getcwd(); "
    dump += "e['stdin'] = sys.stdin.read(); open('e.json', 'w').write(json.dumps(e))"
    script(LEAVE + dump, recipe={"lr": 1e-4, "ö": [1, {"a": None}]}, seed=5)
    found = json.loads((tmp_path / "study" / "e.json").read_text())
    assert found["ABLATE_RUN_ID"] == "a" * 64
    assert found["ABLATE_RUN_DIR"] == str(own_folder())
    assert found["ABLATE_SEED"] == "5"
    assert found["recipe"] == {"lr": 1e-4, "ö": [1, {"a": None}]}
    assert found["cwd"] == str(tmp_path / "study")
    assert found["PYTHONUNBUFFERED"] == "1"
    assert found["stdin"] == ""
    assert "ABLATE_DB" not in found


def test_a_status_other_than_0_fails_with_the_last_lines(script: Any) -> None:
    with pytest.raises(RunFailure) as failure:
        script("print('loading')\nraise ValueError('no such rank: 9')", "--rank", "9 9")
    lines = str(failure.value).splitlines()
    assert lines[0] == f"{sys.executable} train.py --rank '9 9'"
    assert "  loading" in lines
    assert lines[-1] == "the command exited with status 1: ValueError: no such rank: 9"


def test_a_status_other_than_0_fails_whatever_was_measured(script: Any, told: Any) -> None:
    with raising(RunFailure):
        script(LEAVE + "print(json.dumps({'epoch': 1, 'top1': 0.5})); sys.exit(3)")
    assert told.epochs("top1") == [(1, "test", 0.5)]


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGKILL, "signal 9 (SIGKILL), perhaps out of memory"), (signal.SIGSEGV, "signal 11 (SIGSEGV)"), (signal.SIGTERM, "signal 15 (SIGTERM)")],
)  # fmt: skip
def test_a_command_killed_by_a_signal_says_so(script: Any, number: int, said: str) -> None:
    with raising(RunFailure):
        script(f"import os; print('so far', flush=True); os.kill(os.getpid(), {int(number)})")


def test_a_program_that_is_not_there(context: Context) -> None:
    run = Run("a" * 64, "b" * 64, 0, {}, {"command": ["pyhton3", "train.py"], "metrics": {}})
    with raising(NotFound):
        command.fit(run, context)


def test_a_script_that_may_not_be_executed(context: Context, tmp_path: Path) -> None:
    (tmp_path / "study" / "train.sh").write_text("#!/bin/sh\n")
    run = Run("a" * 64, "b" * 64, 0, {}, {"command": ["./train.sh"], "metrics": {}})
    with pytest.raises(NotFound, match=r"'./train.sh': Permission denied"):
        command.fit(run, context)


def test_a_study_folder_that_is_gone(script: Any, context: Context) -> None:
    context.options = {"study_dir": "/no/such/folder"}
    with raising(NotFound):
        script("")


def test_a_metric_that_never_came_shows_what_was_printed_instead(script: Any) -> None:
    with pytest.raises(RunFailure) as failure:
        script("print('accuracy: 0.5')", metrics={"acc": "acc ([0-9.]+)"})
    lines = str(failure.value).splitlines()
    assert lines[1] == "  accuracy: 0.5"
    golden("messages", lines[-1:])
    with raising(RunFailure):
        script("pass")


def test_a_loss_that_is_no_number_at_the_end_is_divergence(script: Any) -> None:
    with raising(Diverged):
        script("print('loss 2.5'); print('loss nan')", metrics={"val_loss": "loss ([0-9.]+)"})


def test_broken_json_binary_output_and_both_streams(script: Any) -> None:
    source = "import os, sys\nos.write(1, b'{broken\\n\\xff\\xfe\\x00{\\n{\"top1\": ')\nos.write(2, b'acc 0.25\\n')\nos.write(1, b'0.5}')"
    assert script(source, metrics={"acc": "acc ([0-9.]+)"}).metrics == {"top1": 0.5, "acc": 0.25}


def test_a_flood_is_read_to_its_end_and_a_line_without_end_is_cut(script: Any, monkeypatch: Any) -> None:
    seen = [0]
    monkeypatch.setattr(command, "_log", lambda data: seen.__setitem__(0, seen[0] + len(data)))
    source = "import os\nfor _ in range(200): os.write(1, b'x' * 100000)\nos.write(1, b'\\nacc 0.5\\n')\n"
    assert script(source, metrics={"acc": "acc ([0-9.]+)"}).metrics["acc"] == 0.5
    assert seen[0] == 20_000_000 + len("\nacc 0.5\n")


def test_why_a_command_failed_is_its_last_line_whatever_it_printed_just_before(tmp_path: Path) -> None:
    words = ["bash", "-c", "echo 'ValueError: x' >&2; echo epoch 1; touch there; exec sleep 600"]
    with Command(words, tmp_path, dict(os.environ)) as running:
        while not (tmp_path / "there").exists():
            time.sleep(0.01)
        assert list(running.read(5)) == [(b"epoch 1\n", True), (b"ValueError: x\n", False)]


def test_a_stop_signal_asks_the_command_and_gives_the_run_back(script: Any, told: Any, tmp_path: Path) -> None:
    told.stop_at_once()
    source = """
import signal, sys
def save(number, frame):
    open("saved", "w").write(str(number))
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print('{"epoch": 1, "top1": 0.5}', flush=True)
signal.pause()
"""
    with pytest.raises(Interrupted) as stopped:
        script(source)
    assert stopped.value.signal_number == 15
    assert (tmp_path / "study" / "saved").read_text() == "15"


def test_a_command_that_does_not_obey_is_killed_after_its_grace(script: Any, told: Any, tmp_path: Path) -> None:
    told.stop_at_once()
    source = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open("pid", "w").write(str(os.getpid()))
print('{"epoch": 1, "top1": 0.5}', flush=True)
while True:
    signal.pause()
"""
    with pytest.raises(Interrupted):
        script(source, grace=0.0)
    assert gone(int((tmp_path / "study" / "pid").read_text()))


LEFT_BEHIND = """
import os, subprocess, sys
pause = [sys.executable, "-c", "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.write(1, b'up'); signal.pause()"]
def start(**more):
    child = subprocess.Popen(pause, stdout=subprocess.PIPE, **more)
    child.stdout.read(2)
    return child.pid
pids = [start(), start(start_new_session=True)]
middle = os.fork()
if middle == 0:  # a daemon: its parent is gone before the script is
    os.setsid()
    open("daemon", "w").write(str(start(start_new_session=True)))
    os._exit(0)
os.waitpid(middle, 0)
open("pids", "w").write(" ".join(map(str, [*pids, open("daemon").read()])))
"""


@pytest.mark.parametrize("ending", ["print('{\"top1\": 0.5}')", "os._exit(1)", "os.kill(os.getpid(), 9)"])
def test_what_a_command_leaves_behind_ends_with_it(script: Any, tmp_path: Path, ending: str, capfd: Any) -> None:
    try:
        outcome = script(LEFT_BEHIND + ending)
    except RunFailure:
        outcome = None
    pids = [int(pid) for pid in (tmp_path / "study" / "pids").read_text().split()]
    assert len(set(pids)) == 3
    assert all(gone(pid) for pid in pids)
    assert "ablate: ended 3 processes that the command left behind" in capfd.readouterr().err
    assert outcome is None or outcome.details == {"left_behind": 3}


def test_an_error_of_ours_ends_the_command_too(script: Any, told: Any, tmp_path: Path) -> None:
    def fail(told: Any) -> None:
        raise RuntimeError("the store is gone")

    told.then = fail
    source = LEFT_BEHIND + 'print(\'{"epoch": 1, "top1": 0.5}\', flush=True); import signal; signal.pause()'
    with raising(RuntimeError):
        script(source)
    assert all(gone(int(pid)) for pid in (tmp_path / "study" / "pids").read_text().split())


def test_a_worker_that_is_killed_takes_the_command_along(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        LEFT_BEHIND + "os.mkfifo('up'); print('ready', flush=True); import signal; signal.pause()"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from ablate.training.foreign.process import Command
import os
with Command([sys.executable, "train.py"], Path({str(tmp_path)!r}), os.environ) as command:
    while True:
        for data, stdout in command.read(60):
            os.write(1, data)
"""],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"ready\n"
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    worker.kill()
    worker.wait()
    worker.stdout.close()
    assert all(gone(pid) for pid in pids)


def test_a_keeper_that_is_killed_fails_the_run_and_not_more(script: Any, tmp_path: Path) -> None:
    source = "import os, signal; open('pid', 'w').write(str(os.getpid())); os.kill(os.getppid(), 9); signal.pause()"
    with raising(RunFailure):
        script(source)
    assert gone(int((tmp_path / "study" / "pid").read_text()))


def test_describe_tells_code_from_data(context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    run = Run(
        "a" * 64, "b" * 64, 0, {}, {"command": ["python", "train.py", "--x", "{run_dir}"], "version": 1, "metrics": {}}
    )
    script = tmp_path / "study" / "train.py"
    script.write_text("one")
    environment, fingerprint = command.describe(run, context)
    assert list(environment["files"]) == ["train.py"]
    assert environment["folder"] == str(tmp_path / "study")
    assert environment["trainer"] == run.trainer
    assert environment["program"] == str(Path(sys.executable).with_name("python"))
    assert fingerprint == "cpu, 2 threads"
    script.write_text("two")
    assert command.describe(run, context)[0]["code"] == environment["code"]  # the attempt has begun
    again, same = command.describe(run, replace(context, code=None))
    assert same == fingerprint
    assert again["code"] != environment["code"]
    (tmp_path / "study" / "words.txt").write_text("data")
    given = replace(run, trainer={**(run.trainer or {}), "command": ["python", "train.py", "words.txt"]})
    with_data, fingerprint = command.describe(given, replace(context, code=None))
    assert list(with_data["files"]) == ["train.py"]
    assert fingerprint.startswith("cpu, 2 threads, words.txt ")


def test_an_active_environment_decides_which_python_is_meant() -> None:
    ours = str(Path(sys.executable).parent)
    assert attempt.search_path({"PATH": "/a:/b"}) == f"{ours}:/a:/b"
    assert attempt.search_path({"PATH": "/a:/b", "VIRTUAL_ENV": "/a"}) == f"/a:/b:{ours}"
    assert attempt.search_path({"PATH": "/a:/b", "CONDA_PREFIX": "/a"}) == f"/a:/b:{ours}"


@pytest.mark.slow
def test_no_torch_is_imported() -> None:
    source = (
        "import sys, ablate.training.foreign.command, ablate.training.foreign.python; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", source], cwd=ROOT, check=False).returncode == 0


def test_a_number_that_cannot_be_read_ends_the_run_with_its_line(script: Any, told: Any) -> None:
    source = "import time\nprint('epoch 1 acc 0,85')\ntime.sleep(600)"
    with pytest.raises(RunFailure) as failure:
        script("print('acc 0.5')\n" + source, metrics={"acc": r"acc (\S+)"})
    first, *lines = str(failure.value).splitlines()
    assert first.endswith("train.py")
    golden("messages", lines)
    assert told.epochs("acc") == [(1, "test", 0.5)]


def test_a_line_that_a_failing_command_left_unfinished_is_not_read(script: Any) -> None:
    with raising(RunFailure):
        script(
            "import sys; sys.stdout.write('acc 9.8e-'); sys.stdout.flush(); sys.exit(3)", metrics={"acc": r"acc (\S+)"}
        )
