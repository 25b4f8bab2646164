"""Code as it was, from a plan to the results: snapshots, revisions as levels, replaced texts, resumed runs, and what is freed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from repositories import commit, fingerprint, git, write

from ablate.project.leftovers import DAY
from ablate.store.store import Store
from ablate.study.loader import load
from ablate.study.records import RunResult

SCRIPT = """
import argparse, os
from lib import OFFSET
seed = 1337
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--seed", type=int, default=0)
given = parser.parse_args()
print("data", open("../data/d.txt").read())
print(f"loss {OFFSET + given.lr + given.seed / 1000 + seed / 1000000}")
"""
STUDY = """
study: s
recipe: {lr: 0.5, rev: main}
trainer:
  command: python ../train.py --lr {lr} --seed {seed}
  SOURCE
  metrics: {bpc: {better: lower, pattern: 'loss (\\S+)'}}
factors: {rate: {path: lr, levels: [0.5, 0.25]}}
seeds: 2
baseline: {rate: 0.5}
tables: {t: {rows: rate, columns: [bpc]}}
"""
BY_REVISION = STUDY.replace("{rate: {path: lr, levels: [0.5, 0.25]}}", "{code: {path: rev, levels: [main, old]}}").replace(
    "rate: 0.5}", "code: main}"
).replace("rows: rate", "rows: code")  # fmt: skip


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a study in `exp`, data that it ignores, and a branch `old` behind `main`."""
    root = tmp_path / "project"
    commit(root, {"train.py": SCRIPT, "lib.py": "OFFSET = 1\n", ".gitignore": "data/\n__pycache__/\n"})
    git(root, "branch", "old")
    commit(root, {"lib.py": "OFFSET = 2\n"})
    write(root, {"data/d.txt": "here", "exp/s.yaml": STUDY.replace("SOURCE", "source: copy")})
    return root


def study(project: Path, source: str, text: str = STUDY) -> Path:
    (project / "exp" / "s.yaml").write_text(text.replace("SOURCE", source))
    return project / "exp" / "s.yaml"


def means(call: Any, path: Path) -> list[float]:
    return [
        row["cells"]["bpc"]["mean"] for row in call("report", path, "--table", "t", "--format", "json").document["rows"]
    ]


def counts(call: Any, path: Path) -> tuple[int, int, int]:
    """(done, stale, to run)"""
    found = call("grid", "plan", path, "--json").document["counts"]
    return found["done"], found["stale"], found["to_run"]


def results(path: Path) -> list[RunResult]:
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        found = store.results([run.run_id for run in load(path).runs])
    return [found[run.run_id] for run in load(path).runs if run.run_id in found]


def snapshots(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "home" / "sources").iterdir())


@pytest.mark.slow
def test_runs_use_one_snapshot_of_their_request_and_an_edit_is_seen(call: Any, project: Path, tmp_path: Path) -> None:
    path, before = project / "exp" / "s.yaml", fingerprint(project)
    call("grid", "run", path, "--limit", 1)
    assert len(snapshots(tmp_path)) == 1
    call("grid", "run", path)
    (only,) = snapshots(tmp_path)
    assert fingerprint(project) == before
    assert means(call, path) == pytest.approx([2.501837, 2.251837])
    assert {result.environment["source"]["folder"] for result in results(path)} == {str(only)}
    assert {result.environment["folder"] for result in results(path)} == {str(project / "exp")}
    assert counts(call, path) == (4, 0, 0)
    write(project, {"lib.py": "OFFSET = 3\n"})
    assert counts(call, path) == (4, 4, 0)
    assert ": ../lib.py changed\n" in call("grid", "plan", path).err
    call("grid", "run", path, "--retry", "stale")
    assert (counts(call, path), len(snapshots(tmp_path))) == ((4, 0, 0), 2)
    assert means(call, path) == pytest.approx([3.501837, 3.251837])


@pytest.mark.slow
def test_the_key_moves_no_run(call: Any, project: Path) -> None:
    path = study(project, "version: 1")
    call("grid", "run", path)
    assert counts(call, study(project, "source: copy")) == (4, 0, 0)


@pytest.mark.slow
def test_what_is_edited_while_runs_go_on_is_not_what_they_run(call: Any, project: Path) -> None:
    lib = project / "lib.py"
    path = study(project, "source: copy")
    (project / "train.py").write_text(f"open({str(lib)!r}, 'w').write('OFFSET = 9')\n{SCRIPT}")
    call("grid", "run", path, "--workers", 1)
    assert lib.read_text() == "OFFSET = 9"
    assert means(call, path) == pytest.approx([2.501837, 2.251837])
    assert counts(call, path) == (4, 4, 0)


@pytest.mark.slow
def test_revisions_of_the_code_are_levels(call: Any, project: Path) -> None:
    path, before = study(project, "source: {git: '{rev}'}", BY_REVISION), fingerprint(project)
    (project / "lib.py").write_text("OFFSET = 9\n")
    call("grid", "run", path)
    assert means(call, path) == pytest.approx([2.501837, 1.501837])
    assert counts(call, path) == (4, 0, 0)
    assert {result.attempts[-1].fingerprint for result in results(path)} == {results(path)[0].attempts[-1].fingerprint}
    assert "train.py" not in str(results(path)[0].attempts[-1].fingerprint)
    (project / "lib.py").write_text("OFFSET = 2\n")
    assert git(project, "status", "--porcelain") == "?? exp/"
    assert git(project, "rev-parse", "HEAD", "old") == "\n".join(load(path).commits[rev] for rev in ("main", "old"))
    assert [result.environment["source"]["commit"] for result in results(path)[:2]] == list(load(path).commits.values())
    assert fingerprint(project / ".git") != before
    git(project, "branch", "-D", "old")
    shown = call("report", "s", "--format", "json").document
    assert [row["cells"]["bpc"]["n"] for row in shown["rows"]] == [2, 2]
    call("grid", "plan", path, code=3).told("study")


@pytest.mark.slow
def test_a_fixed_seed_is_replaced_in_a_copy_of_the_runs_own(call: Any, project: Path, tmp_path: Path) -> None:
    path = study(
        project, "replace: {../train.py: {'seed = 1337': 'seed = {seed}'}}", STUDY.replace(" --seed {seed}", "")
    )
    call("grid", "run", path)
    assert means(call, path) == pytest.approx([2.5000005, 2.2500005])
    assert "seed = 1337" in (project / "train.py").read_text()
    own = sorted((tmp_path / "home" / "runs").glob("*/*/source-*/code/train.py"))
    assert sorted(copy.read_text().count("seed = 1\n") for copy in own) == [0, 0, 1, 1]
    assert (
        len({result.shown.fingerprint for result in results(path) if result.shown}) == 1
    )  # a seed is no other arithmetic
    assert counts(call, path) == (4, 0, 0)
    with (project / "train.py").open("a") as file:
        file.write("# edited\n")
    assert counts(call, path) == (4, 4, 0)


@pytest.mark.slow
def test_a_revision_without_the_program_is_said_before_anything_runs(call: Any, project: Path) -> None:
    path = study(project, "source: {git: '{rev}'}", BY_REVISION)
    git(project, "checkout", "-q", "--orphan", "empty")
    commit(project, {"lib.py": ""})
    git(project, "rm", "-q", "--cached", "train.py")
    git(project, "commit", "-q", "--amend", "-m", "no program")
    path.write_text(path.read_text().replace("[main, old]", "[main, empty]"))
    said = call("grid", "run", path, "--limit", 1).err
    assert f"names ../train.py, which was not found in the commit {load(path).commits['empty'][:12]}" in said


@pytest.mark.slow
def test_a_revision_with_a_text_replaced(call: Any, project: Path) -> None:
    path = study(project, "source: {git: '{rev}'}\n  replace: {../lib.py: {'OFFSET = 2': 'OFFSET = 12'}}", BY_REVISION)
    call("grid", "plan", path, code=3).told("study")
    path = study(project, "source: {git: '{rev}'}\n  replace: {../lib.py: {'OFFSET =': 'OFFSET = 10 +'}}", BY_REVISION)
    call("grid", "run", path)
    assert means(call, path) == pytest.approx([12.501837, 11.501837])
    assert len({result.shown.fingerprint for result in results(path) if result.shown}) == 1


@pytest.mark.parametrize(
    ("source", "key", "code"),
    [
        ("replace: {../train.py: {'seed': 'seed = {seed}'}}", "trainer.replace.../train.py.seed", "wrong-count"),
        ("replace: {../train.py: {'seed = 1338': 'seed = {seed}'}}", "trainer.replace.../train.py.seed = 1338", "wrong-count"),
        ("replace: {train.py: {a: b}}", "trainer.replace.train.py", "absent-file"),
        ("replace: {../../elsewhere.py: {a: b}}", "trainer.replace.../../elsewhere.py", "absent-file"),
        ("replace: {../data/d.txt: {a: b}}", "trainer.replace.../data/d.txt", "absent-file"),
    ],
)  # fmt: skip
def test_a_text_that_cannot_be_replaced_is_told_before_anything_runs(
    call: Any, project: Path, tmp_path: Path, source: str, key: str, code: str
) -> None:
    path = study(project, source)
    write(tmp_path, {"elsewhere.py": "a"})
    for command in ("plan", "check", "run"):
        call("grid", command, path, code=3).told("study")
    problem = call("grid", "plan", path, "--json", code=3).document["error"]["problems"][0]
    assert (problem["key"], problem["code"], problem["line"]) == (key, code, 6)
    assert not (tmp_path / "home" / "sources").exists()


def test_every_text_that_cannot_be_replaced_is_told_at_once(call: Any, project: Path) -> None:
    texts = "{../train.py: {'seed': a, 'seed = 1338': b, 'seed = 1337': c}, ../libb.py: {a: b}}"
    path = study(project, f"replace: {texts}")
    problems = call("grid", "plan", path, "--json", code=3).document["error"]["problems"]
    assert [(problem["key"].rpartition("train.py.")[2], problem["code"]) for problem in problems] == [
        ("seed", "wrong-count"),
        ("seed = 1338", "wrong-count"),
        ("trainer.replace.../libb.py", "absent-file"),
    ]
    assert "'../lib.py'" in problems[2]["message"]


def test_code_outside_of_what_is_copied_is_told(call: Any, tmp_path: Path) -> None:
    write(
        tmp_path / "plain",
        {"train.py": SCRIPT, "lib.py": "OFFSET = 1\n", "exp/s.yaml": STUDY.replace("SOURCE", "source: copy")},
    )
    problems = call("grid", "plan", tmp_path / "plain/exp/s.yaml", "--json", code=3).document["error"]["problems"]
    assert [(one["key"], one["code"]) for one in problems] == [("trainer.source", "absent-file")]
    assert problems[0]["message"].startswith("../lib.py, ../train.py are code")
    assert "Move the study's file into ..," in problems[0]["message"]


def test_a_folder_to_run_in_outside_of_what_is_copied_is_told(call: Any, tmp_path: Path) -> None:
    """Inside of it is what the repository holds, wherever the study lies in that."""
    text = STUDY.replace("SOURCE", "source: copy").replace("python ../train.py", "./fit.sh")
    for cwd, code in (("sub", 0), ("../there", 3)):
        path = tmp_path / "plain" / "s.yaml"
        write(
            tmp_path / "plain",
            {"s.yaml": f"{text}".replace("trainer:", f"trainer:\n  cwd: {cwd}"), "sub/fit.sh": "true"},
        )
        (tmp_path / "there").mkdir(exist_ok=True)
        said = call("grid", "check", path, "--json", code=code).document
        found = said["error"]["problems"] if code else []
        assert [(one["key"], one["code"]) for one in found] == ([("trainer.cwd", "unsupported")] if code else [])


def test_too_much_to_copy_is_told_with_the_largest(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ablate.study.code.tree.MOST", 1000)
    write(
        tmp_path / "plain",
        {"s.yaml": STUDY.replace("SOURCE", "source: copy").replace("../", ""), "train.py": "", "data/d": "x" * 2000},
    )
    said = call("grid", "check", tmp_path / "plain/s.yaml", code=3)
    assert "trainer.source: " in said.err
    assert "data (0 MB)" in said.err


@pytest.mark.slow
def test_a_run_shows_what_was_called_where_and_what_it_printed_last_first(call: Any, project: Path) -> None:
    path = study(project, "source: copy")
    call("grid", "run", path, "--limit", 1)
    done, queued = results(path)[0], results(path)[1]
    shown = call("runs", "show", done.run.run_id).out
    assert "\ncommand  python ../train.py --lr 0.5 --seed 0\n" in shown
    assert f"\nfolder  {done.environment['source']['folder']}/code/exp\n" in shown
    assert "\ncommand  python ../train.py --lr 0.25 --seed 0\n" in call("runs", "show", queued.run.run_id).out
    assert call("runs", "logs", done.run.run_id[:12]).out == call("runs", "logs", done.run.run_id, "--follow").out != ""
    assert not [
        row for row in call("runs", "diff", done.run.run_id, done.run.run_id).out.splitlines() if "command" in row
    ]
    (project / "train.py").write_text("print('epoch 1')\nraise SystemExit('no such layer')\n")
    call("grid", "run", path, "--retry", "stale", code=4)
    shown = call("runs", "show", done.run.run_id).out
    log, _, error = shown.partition("log (the last 40 lines)\n")[2].partition("error\n")
    assert log == "epoch 1\nno such layer\n"
    assert error == "the command exited with status 1: no such layer\n"


# Resumed, killed, freed ------------------------------------------------------------------------------------------------

SLOW = """
import os, pathlib, time
from lib import OFFSET
print(f"loss {OFFSET}", flush=True)
flag = pathlib.Path(os.environ["ABLATE_RUN_DIR"]) / "begun"
if not flag.exists():
    flag.write_text(os.getcwd())
    time.sleep(100)
print(f"loss {OFFSET + 0.5}", flush=True)
"""


def started(path: Path, tmp_path: Path) -> subprocess.Popen[str]:
    """A grid whose one run waits, and has written where it runs."""
    grid = subprocess.Popen(
        [sys.executable, "-m", "ablate", "grid", "run", str(path), "--workers", "1"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while not list(tmp_path.glob("home/runs/*/*/code-*/begun")):
        assert time.monotonic() < until
        assert grid.poll() is None, grid.stderr.read() if grid.stderr else ""
        time.sleep(0.05)
    return grid


@pytest.fixture
def slow(project: Path) -> Path:
    write(project, {"train.py": SLOW})
    one = STUDY.replace("levels: [0.5, 0.25]", "levels: [0.5]").replace("seeds: 2", "seeds: 1")
    return study(project, "source: copy", one)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_was_cut_off_goes_on_with_its_first_snapshot(
    call: Any, slow: Path, project: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with started(slow, tmp_path) as grid:
        (first,) = snapshots(tmp_path)
        assert "copies of code" not in call("clean").out
        grid.send_signal(number)
        grid.wait()
    assert "copies of code" not in call("clean").out
    write(project, {"lib.py": "OFFSET = 7\n"})
    call("grid", "run", slow)
    (run,) = results(slow)
    assert run.metrics["bpc"] == 2.5
    assert [attempt.environment["source"]["folder"] for attempt in run.attempts] == [str(first)] * 2
    assert counts(call, slow) == (1, 1, 0)
    call("grid", "run", slow, "--retry", "stale", "--run-timeout", 2, code=4)  # in a new {run_dir}: it waits there
    write(project, {"lib.py": "OFFSET = 8\n"})
    call("grid", "run", slow, "--retry", "stale", "--run-timeout", 2, code=4)  # asked for again: not the code that hung
    folders = [attempt.environment["source"]["folder"] for attempt in results(slow)[0].attempts]
    assert len(dict.fromkeys(folders)) == 3
    assert folders[:2] == [str(first)] * 2


@pytest.mark.slow
def test_a_worker_by_hand_serves_a_request_with_its_snapshot(
    call: Any, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project / "exp" / "s.yaml"
    call("grid", "run", path, "--limit", 1)
    (snapshot,) = snapshots(tmp_path)
    write(project, {"lib.py": "OFFSET = 9\n"})
    call("worker", "--study", "s", "--limit", 1)
    assert [result.environment["source"]["folder"] for result in results(path) if result.state == "done"] == [
        str(snapshot)
    ] * 2
    shutil.rmtree(snapshot)
    refused = call("worker", "--study", "s", code=5)
    assert str(json.loads(json.dumps(results(path)[0].environment["source"]["digest"])))[:12] in refused.err
    assert f"{project / 'exp'} has " in refused.err
    write(project, {"lib.py": "OFFSET = 2\n"})
    call("worker", "--study", "s")
    assert means(call, path) == pytest.approx([2.501837, 2.251837])
    assert snapshots(tmp_path) == [snapshot]


@pytest.mark.slow
def test_clean_frees_what_no_open_run_needs(call: Any, project: Path, tmp_path: Path) -> None:
    path = study(project, "replace: {../train.py: {'seed = 1337': 'seed = {seed}'}}")
    call("grid", "run", path, "--limit", 3)
    assert len(snapshots(tmp_path)) == 1
    own = sorted(tmp_path.glob("home/runs/*/*/source-*"))
    items = [(item["kind"], item["path"]) for item in call("clean", "--json").document["items"]]
    assert sorted(items) == [("sources", str(folder)) for folder in own]
    call("grid", "run", path)
    call("clean", "--yes")
    assert snapshots(tmp_path) == []
    assert list(tmp_path.glob("home/runs/*/*/source-*")) == []
    assert (project / "data" / "d.txt").read_text() == "here"
    assert call("clean", "--json").document["items"] == []
    assert counts(call, path) == (4, 0, 0)
    (project / "lib.py").write_text("OFFSET = 5\n")
    call("grid", "run", path, "--retry", "stale")
    assert means(call, path) == pytest.approx([5.5005005, 5.2505005])


@pytest.mark.slow
def test_clean_leaves_what_scripts_wrote_and_other_databases_snapshots(
    call: Any, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = study(project, "source: copy")
    (project / "train.py").write_text(SCRIPT + "open('kept.txt', 'w').write('mine')\n")
    call("grid", "run", path)
    (snapshot,) = snapshots(tmp_path)
    database = os.environ["ABLATE_DB"]
    monkeypatch.setenv("ABLATE_DB", f"sqlite:///{tmp_path / 'other.db'}")
    assert call("clean", "--json").document["items"] == []
    then = time.time() - 2 * DAY
    os.utime(snapshot / "snapshot.json", (then, then))
    assert "unknown" in {item["kind"] for item in call("clean", "--json").document["items"]}
    monkeypatch.setenv("ABLATE_DB", database)
    said = call("clean", "--yes", "--json").document
    assert [item["kind"] for item in said["items"] if item["freed"]] == ["sources"]
    (left,) = snapshots(tmp_path)
    assert (left / "code" / "exp" / "kept.txt").read_text() == "mine"
    assert [path.name for path in left.rglob("*") if path.is_file()] == ["kept.txt"]
    assert any(str(left) == one["path"] for one in call("clean", "--json").document["scripts"])


@pytest.mark.slow
def test_a_copy_that_was_cut_off_goes_after_a_day(call: Any, project: Path, tmp_path: Path) -> None:
    call("grid", "run", project / "exp" / "s.yaml", "--limit", 1)
    half = write(tmp_path / "home" / "sources" / ".7-ab.unfinished", {"code/a.py": "x"})
    assert "leftovers" not in {item["kind"] for item in call("clean", "--json").document["items"]}
    then = time.time() - 2 * DAY
    for file in (half, half / "code", half / "code" / "a.py"):
        os.utime(file, (then, then))
    assert ("leftovers", str(half)) in {
        (item["kind"], item["path"]) for item in call("clean", "--json").document["items"]
    }
