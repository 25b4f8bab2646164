"""How a command is called: folder, environment, shell, what runs before it, its config file, its port, and what it goes on from."""

from __future__ import annotations

import json
import os
import platform
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ended import gone
from golden_texts import raising

from ablate.errors import Interrupted, NotFound, RunFailure
from ablate.study.records import Context, Outcome
from ablate.study.values.run import Run
from ablate.training.foreign import command
from ablate.training.foreign.ports import free_port
from ablate.training.foreign.secrets import Blot

ROOT = Path(__file__).resolve().parents[3]
TELL = "import json, os, sys\nopen('told.json', 'w').write(json.dumps({'words': sys.argv[1:], 'cwd': os.getcwd(), 'env': dict(os.environ)}))\nprint('{\"top1\": 0.5}')\n"
TOKEN = "hf_planted0123456789"


def run_of(words: list[str], recipe: Any = None, seed: int = 3, **trainer: Any) -> Run:
    return Run("a" * 64, "b" * 64, seed, recipe or {}, {"command": words, "version": 1, "metrics": {}, **trainer})


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(TELL)
    return folder


@pytest.fixture
def call(context: Context, study: Path) -> Callable[..., Outcome]:
    """call(words, options={...}, trainer's keys...): run train.py with these words."""

    def run(*words: str, options: Any = None, **trainer: Any) -> Outcome:
        context.options = {**context.options, **(options or {})}
        given = run_of([sys.executable, str(study / "train.py"), *words], **trainer)
        command.describe(given, context)
        return command.follow(given, context)

    return run


def told(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "told.json").read_text()))


def test_it_runs_where_it_is_told_to(call: Any, study: Path, own_folder: Any) -> None:
    (study / "repos" / "three").mkdir(parents=True)
    call("{study_dir}", cwd="repos/three")
    assert told(study / "repos" / "three")["cwd"] == str(study / "repos" / "three")
    assert told(study / "repos" / "three")["words"] == [str(study)]
    call(cwd="{run_dir}/work {seed}")
    assert told(own_folder() / "work 3")["cwd"] == str(own_folder() / "work 3")
    with raising(NotFound):
        call(cwd="gone")


def test_variables_are_filled_and_go_before_the_callers(call: Any, study: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    call(env={"OMP_NUM_THREADS": "{threads}", "A": "{seed} {{x}}", "MY_TOKEN": None, "E": ""})
    found = told(study)["env"]
    assert (found["OMP_NUM_THREADS"], found["A"], found["MY_TOKEN"], found["E"]) == ("2", "3 {x}", TOKEN, "")
    assert found["ABLATE_SEED"] == "3"
    monkeypatch.delenv("MY_TOKEN")
    with raising(NotFound):
        call(env={"MY_TOKEN": None})


def test_a_value_that_is_passed_on_is_not_shown(
    call: Any, study: Path, context: Context, capfd: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    monkeypatch.setenv("SHORT", "1")
    source = "import os, sys, time\nt = os.environ['MY_TOKEN']\nsys.stdout.write('acc 0.1 ' + t[:9]); sys.stdout.flush()\ntime.sleep(0.3)\nprint(t[9:], 'é')\nraise ValueError('no ' + t)"
    (study / "train.py").write_text(source)
    with pytest.raises(RunFailure) as failure:
        call(env={"MY_TOKEN": None, "SHORT": None})
    log = capfd.readouterr().err
    assert "acc 0.1 *** é" in log
    assert str(failure.value).endswith("ValueError: no ***")
    for shown in (
        log,
        str(failure.value),
        json.dumps(command.describe(run_of(["x"], env={"MY_TOKEN": None}), context)),
    ):
        assert TOKEN not in shown


def test_a_blot_lets_nothing_through_however_it_is_cut() -> None:
    draw = random.Random(0)
    text = b"ab" + TOKEN.encode() + b"hf_" + TOKEN.encode() * 2 + b"hf_planted012\nhf"
    for _ in range(300):
        cuts = sorted(draw.sample(range(len(text)), draw.randint(0, 12)))
        blot = Blot([TOKEN, "planted0123456", "12345"])
        pieces = [blot.take(text[start:end]) for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert b"".join([*pieces, blot.rest()]) == b"ab***hf_******hf_planted012\nhf"
    other = Blot(["abcdef", "defxyzq"])
    assert other.take(b"1abcdef") + other.take(b"xyz") + other.rest() == b"1***xyz"
    assert Blot([]).take(b"x" * 10) == b"x" * 10


def environment(folder: Path) -> None:
    """Something like a virtual environment: a `python` that starts this one, and a program of its own."""
    (folder / "bin").mkdir(parents=True)
    for name, line in (("python", f'exec {sys.executable} "$@"'), ("mine", "echo '{\"top1\": 0.25}'")):
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / "bin" / name).chmod(0o755)


@pytest.mark.parametrize("conda", [False, True])
def test_an_environment_comes_first_and_is_recorded(
    context: Context, study: Path, tmp_path: Path, conda: bool, monkeypatch: Any
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/other")
    monkeypatch.setenv("CONDA_PREFIX", "/another")
    environment(tmp_path / "env")
    if conda:
        (tmp_path / "env" / "conda-meta").mkdir()
    context.options = {**context.options, "venv": "../env"}
    assert command.fit(run_of(["mine"]), context).metrics == {"top1": 0.25}
    command.fit(run_of(["python", "train.py"]), context)
    found = told(study)["env"]
    prefix = str(tmp_path / "env")
    assert found["PATH"].startswith(f"{prefix}/bin:")
    assert (found.get("VIRTUAL_ENV"), found.get("CONDA_PREFIX")) == ((None, prefix) if conda else (prefix, None))
    recorded, _ = command.describe(run_of(["mine"]), context)
    assert recorded["program"] == f"{prefix}/bin/mine"
    assert recorded["venv"] == {
        "folder": prefix,
        "python": f"{prefix}/bin/python",
        "version": platform.python_version(),
    }
    context.options = {**context.options, "venv": "../no"}
    with raising(NotFound):
        command.fit(run_of(["mine"]), context)


def test_a_line_is_run_by_bash_with_every_value_quoted(context: Context, study: Path, own_folder: Any) -> None:
    line = 'echo "{{\\"top1\\": 0.$((2 + 3))}}" | tee {run_dir}/out && X=a && echo $X {seed} > {run_dir}/x'
    assert command.fit(run_of([line], shell="bash"), context).metrics == {"top1": 0.5}
    assert (own_folder() / "x").read_text() == "a 3\n"
    assert (own_folder() / "out").exists()


@pytest.mark.parametrize("line", ["false | cat", "echo $NOT_SET_ANYWHERE", "false; echo '{{\"top1\": 1}}'"])
def test_a_line_ends_at_its_first_failure(context: Context, line: str) -> None:
    with pytest.raises(RunFailure, match="exited with status 1"):
        command.fit(run_of([line], shell="bash"), context)


def test_setup_runs_before_and_none_of_its_lines_is_a_number(
    call: Any, study: Path, own_folder: Any, told: Any
) -> None:
    (study / "train.py").write_text(
        "import os, sys\nprint('{\"epoch\": 1, \"top1\": ' + open(sys.argv[1]).read().strip() + '}')"
    )
    (study / "prepare.sh").write_text('echo 0.25 > "$1"; echo \'{"epoch": 1, "top1": 0.75}\'')
    call("{run_dir}/made", setup=["bash", "prepare.sh", "{run_dir}/made"])
    assert told.epochs("top1") == [(1, "test", 0.25)]
    command_line = run_of(
        [f"{sys.executable} train.py {{run_dir}}/o"], setup=["echo 0.5 | cat > {run_dir}/o"], shell="bash"
    )
    context = Context(run_dir=own_folder().parent, options={"study_dir": str(study)})
    assert command.fit(command_line, context).metrics == {"top1": 0.5}


def test_where_setup_fails_the_run_does(call: Any, study: Path) -> None:
    with pytest.raises(RunFailure) as failure:
        call(setup=["bash", "-c", "echo no such data; exit 3"])
    assert str(failure.value).endswith("  no such data\nsetup exited with status 3: no such data")
    assert not (study / "told.json").exists()
    with raising(NotFound):
        call(setup=["no-such-program"])


def test_a_flood_of_setups_is_read_and_what_it_leaves_behind_ends_with_it(
    call: Any, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [0]
    monkeypatch.setattr(command, "_log", lambda data: seen.__setitem__(0, seen[0] + len(data)))
    (study / "train.py").write_text('import os\nprint(f\'{{"top1": {0.5 if os.path.exists("made") else 0}}}\')')
    flood = "setsid sleep 600 & echo $! > pid; head -c 20000000 /dev/zero | tr '\\0' x; touch made"
    assert call(setup=["bash", "-c", flood]).metrics["top1"] == 0.5
    assert gone(int((study / "pid").read_text()))
    assert seen[0] > 20_000_000


PAUSE = "import os, signal, subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'], start_new_session=True)\n"
PAUSE += "open('pids', 'w').write(f'{os.getpid()} {child.pid}')\nos.rename('pids', 'up')\nprint('ready', flush=True)\nsignal.pause()\n"


def test_a_stop_during_setup_gives_the_run_back(call: Any, study: Path, context: Context) -> None:
    (study / "prepare.py").write_text(PAUSE)
    context.should_stop = lambda: 15 if (study / "up").exists() else 0
    with pytest.raises(Interrupted):
        call(setup=[sys.executable, "prepare.py"])
    assert not (study / "told.json").exists()
    assert all(gone(int(pid)) for pid in (study / "up").read_text().split())


@pytest.mark.slow
def test_a_worker_that_is_killed_takes_setup_along(study: Path, tmp_path: Path) -> None:
    (study / "prepare.py").write_text(PAUSE)
    source = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from ablate.study.records import Context
from ablate.study.values.run import Run
from ablate.training.foreign import command
trainer = {{"command": ["true"], "version": 1, "metrics": {{}}, "setup": [sys.executable, "prepare.py"]}}
command.fit(Run("a" * 64, "b" * 64, 0, {{}}, trainer), Context(run_dir=Path({str(tmp_path)!r}), options={{"study_dir": {str(study)!r}}}))
"""
    worker = subprocess.Popen([sys.executable, "-c", source], stderr=subprocess.PIPE)
    assert worker.stderr is not None
    assert worker.stderr.readline() == b"ready\n"
    worker.kill()
    worker.wait()
    worker.stderr.close()
    assert all(gone(int(pid)) for pid in (study / "up").read_text().split())


def test_each_run_gets_its_own_copy_of_the_config(call: Any, study: Path, own_folder: Any, context: Context) -> None:
    (study / "base.json").write_text('{"optim": {"lr": 1, "name": "adam"}, "seed": 0, "out": ""}')
    block = {"file": "base.json", "paths": ["optim.lr"], "set": {"seed": "{seed}", "out": "{run_dir}"}}
    (study / "train.py").write_text(
        "import json, sys\nopen('c.json', 'w').write(open(sys.argv[1]).read())\nprint('{\"top1\": 1}')"
    )
    given = {"recipe": {"optim": {"lr": 1e-5}}, "config": block}
    call("{config}", **given)
    assert json.loads((study / "c.json").read_text()) == {
        "optim": {"lr": 1e-5, "name": "adam"},
        "seed": 3,
        "out": str(own_folder()),
    }
    assert (own_folder() / "base.json").read_text() == (study / "c.json").read_text()
    assert json.loads((study / "base.json").read_text())["seed"] == 0
    again = run_of([sys.executable, "train.py", "{config}"], **given)
    assert command.describe(again, context)[1] == "cpu, 2 threads"  # the copy is no data
    (study / "base.json").write_text('{"optim": {}}')
    with pytest.raises(RunFailure, match=r"it has no 'optim\.lr'"):
        call("{config}", **given)


def test_a_port_is_free_new_and_nobody_elses(call: Any, study: Path, monkeypatch: Any) -> None:
    source = "import json, socket, sys\nsocket.socket().bind(('', int(sys.argv[1])))\nopen('port', 'a').write(sys.argv[1] + ' ')\nprint('{\"top1\": 1}')"
    (study / "train.py").write_text(source)
    call("{port}")
    call("{port}")
    assert len(set((study / "port").read_text().split())) == 2
    monkeypatch.setattr("ablate.training.foreign.ports.LAST", 15_040)
    held: list[int] = []
    done = threading.Barrier(9)

    def hold() -> None:
        with free_port() as port:
            held.append(port)
            done.wait(30)

    with socket.socket() as used:  # somebody's server
        used.bind(("", 15_001))
        used.listen()
        slots = [threading.Thread(target=hold) for _ in range(8)]
        for slot in slots:
            slot.start()
        done.wait(30)
    for slot in slots:
        slot.join()
    assert len(set(held)) == 8
    assert 15_001 not in held
    monkeypatch.setattr("ablate.training.foreign.ports.LAST", 15_000)
    with free_port(), pytest.raises(RunFailure, match="no free port"), free_port():
        pass


RESUMING = """
import os, sys
where = sys.argv[1]
with open(os.path.join(where, "calls"), "a") as log:
    log.write(" ".join(sys.argv[2:]) + "\\n")
if len(sys.argv) > 2:
    AFTER
print('{"epoch": 1, "top1": 0.5}')
"""
RESUME = {"checkpoint": "{run_dir}/ckpt-*", "resume": "--resume {checkpoint}"}


@pytest.fixture
def resuming(call: Any, study: Path, own_folder: Any, context: Context) -> Callable[..., list[str]]:
    """resuming(attempt, after, checkpoints): the words beside the folder of each call of the script."""

    def run(
        attempt: int, after: str = "pass", checkpoints: tuple[str, ...] = (), shell: bool = False, **options: Any
    ) -> list[str]:
        (study / "train.py").write_text(RESUMING.replace("AFTER", after))
        context.code = None
        given = run_of([sys.executable, "train.py", "{run_dir}"])
        command.describe(given, context)
        folder = max(context.run_dir.glob("code-*"), key=lambda path: path.stat().st_mtime_ns)
        (folder / "calls").unlink(missing_ok=True)
        for age, name in enumerate(checkpoints):
            (folder / name).write_text("")
            os.utime(folder / name, (1000 - age, 1000 - age))
        context.options = {**context.options, **RESUME, "attempt": attempt, **options}
        if shell:
            given = run_of([f'{sys.executable} train.py {{run_dir}} "$@" | cat'], shell="bash")
        command.follow(given, replace(context))
        return (folder / "calls").read_text().replace(f"{folder}/", "").splitlines()

    return run


def test_a_later_attempt_goes_on_from_the_newest_checkpoint(resuming: Any) -> None:
    newest_first = ("ckpt-2 b", "ckpt-1", "ckpt-3")
    assert resuming(1, checkpoints=newest_first) == [""]
    assert resuming(2, checkpoints=newest_first) == ["--resume ckpt-2 b"]
    assert resuming(2, shell=True) == ["--resume ckpt-2 b"]
    assert resuming(2, resume=["-r={checkpoint}", "{seed}", "a b"]) == ["-r=ckpt-2 b 3 a b"]


def test_without_a_checkpoint_a_later_attempt_is_as_the_first(resuming: Any) -> None:
    assert resuming(2) == [""]


@pytest.mark.parametrize("after", ["sys.exit(1)", "sys.exit(0)", "os.kill(os.getpid(), 9)"])
def test_where_going_on_gives_no_number_it_starts_once_more_without(resuming: Any, after: str, capfd: Any) -> None:
    assert resuming(2, after, ("ckpt-1",)) == ["--resume ckpt-1", ""]
    assert "once more without it" in capfd.readouterr().err


def test_a_failure_after_a_new_number_is_one(resuming: Any, study: Path, context: Context) -> None:
    with pytest.raises(RunFailure, match="status 1"):
        resuming(2, 'print(\'{"epoch": 2, "top1": 0.5}\', flush=True); sys.exit(1)', ("ckpt-1",))


def test_what_it_goes_on_from_is_recorded(resuming: Any, context: Context) -> None:
    resuming(1, checkpoints=("ckpt-1",))
    given = run_of([sys.executable, "train.py", "{run_dir}"])
    assert "resumed" not in command.describe(given, context)[0]
    context.options = {**context.options, "attempt": 2}
    (folder,) = context.run_dir.glob("code-*")
    found, fingerprint = command.describe(given, context)
    assert found["resumed"] == {"checkpoint": "ckpt-1", "words": ["--resume", f"{folder}/ckpt-1"]}
    assert fingerprint == "cpu, 2 threads"
