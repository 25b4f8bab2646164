"""Scripts with `cwd`, `env`, `setup`, `config` and `resume`, from the command line to the report."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from ended import gone

TOKEN = "hf_planted0123456789"
STUDY = """
study: called
recipe: {optim.lr: 0.5}
trainer:
  command: bash ../train.sh {config} {port}
  cwd: repo
  setup: bash ../prepare.sh {run_dir}
  env: {THREADS: "{threads}", MY_TOKEN: }
  config: {file: base.json, set: {seed: "{seed}", out: "{run_dir}"}}
  checkpoint: "{run_dir}/last*"
  resume: "--resume {checkpoint}"
  metrics: {bpc: {better: lower, pattern: 'bpc (\\S+)'}}
factors: {rate: {path: optim.lr, levels: [0.5, 1e-5]}}
seeds: 1
baseline: {rate: 0.5}
"""
TRAIN = """
test "$(basename "$PWD")" = repo
echo "token $MY_TOKEN, threads $THREADS, port $2, $3"
rate=$(sed -n 's/.*"lr": \\([^,}]*\\).*/\\1/p' "$1")
out=$(sed -n 's/.*"out": "\\([^"]*\\)".*/\\1/p' "$1")
test -e "$out/prepared"
MORE
echo "bpc $rate"
"""


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of two runs of train.sh."""
    monkeypatch.setenv("ABLATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    folder = tmp_path / "study"
    (folder / "repo").mkdir(parents=True)
    (folder / "prepare.sh").write_text('echo "preparing with $MY_TOKEN"\ntouch "$1/prepared"\n')
    (folder / "base.json").write_text('{"optim": {"lr": 0.1}, "seed": 0, "out": ""}')
    (folder / "called.yaml").write_text(STUDY)
    script(folder / "called.yaml")
    return folder / "called.yaml"


def script(study: Path, more: str = "") -> None:
    (study.parent / "train.sh").write_text("set -e\n" + TRAIN.replace("MORE", more))


def shown(call: Any, study: Path) -> list[dict[str, Any]]:
    runs = call("grid", "plan", study, "--json").document["runs"]
    return [call("runs", "show", run["run_id"][:12], "--json").document for run in runs]


def means(call: Any, study: object) -> list[float]:
    rows = call("report", study, "--table", "metrics", "--format", "json").document["rows"]
    return [row["cells"]["bpc"]["mean"] for row in rows]


@pytest.mark.slow
def test_a_token_is_neither_stored_nor_shown(call: Any, called: Path, tmp_path: Path) -> None:
    script(called, 'test "$rate" = 0.5 || { echo "refused: $MY_TOKEN"; exit 3; }')
    said = [call("grid", "run", called, code=4)]
    said += [call("report", called), call("report", called, "--out", tmp_path / "page.html")]
    found = shown(call, called)
    assert {run["state"] for run in found} == {"done", "failed"}
    for run in found:
        assert "token ***, threads " in run["log"]
        assert "preparing with ***" in run["log"]
        said += [call("runs", "show", run["run_id"][:12])]
    call("db", "export", tmp_path / "all.jsonl")
    assert "MY_TOKEN" in (tmp_path / "all.jsonl").read_text()
    for each in said:
        assert TOKEN not in each.out + each.err
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert TOKEN.encode() not in path.read_bytes(), path
    assert any("refused: ***" in (run["error"] or "") for run in found)


@pytest.mark.slow
def test_from_plan_to_report_and_a_base_that_is_edited(call: Any, called: Path) -> None:
    plan = call("grid", "plan", called)
    assert "2 to run" in plan.out
    assert "warning" not in (plan.out + plan.err).lower()
    call("grid", "run", called, "--workers", 2)
    assert means(call, called) == [0.5, 1e-5]
    ports = {
        line.split("port ")[1].split(",")[0]
        for run in shown(call, called)
        for line in run["log"].splitlines()
        if "port " in line
    }
    assert len(ports) == 2
    base = called.parent / "base.json"
    base.write_text(base.read_text().replace("0.1", "0.2"))
    counts = call("grid", "plan", called, "--json").document["counts"]
    assert (counts["done"], counts["stale"]) == (2, 2)
    assert "base.json changed" in call("report", called, "--format", "md").out
    base.unlink()
    assert means(call, "called") == [0.5, 1e-5], "a stored study is shown without its base"
    said = call("grid", "check", called, code=3)
    assert "trainer.config.file" in said.err + said.out
    base.write_text('{"optim": {"lrr": 1}, "seed": 0, "out": ""}')
    said = call("grid", "check", called, code=3)
    assert "Did you mean 'optim.lrr'?" in said.err + said.out


@pytest.mark.slow
def test_a_later_attempt_goes_on_and_its_words_are_recorded(call: Any, called: Path) -> None:
    script(called, 'test -n "$3" || { touch "$out/last-1"; exit 3; }')
    call("grid", "run", called, code=4)
    assert all("resumed" not in run["environment"] for run in shown(call, called))
    call("grid", "run", called, "--retry", "failed")
    for run in shown(call, called):
        assert run["state"] == "done"
        assert run["environment"]["resumed"]["checkpoint"] == "last-1"
        assert "--resume" in run["log"]
        assert "resumed from: last-1" in call("runs", "show", run["run_id"][:12]).out


@pytest.mark.slow
def test_a_variable_that_is_not_set_here_blocks_its_runs(
    call: Any, called: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MY_TOKEN")
    plan = call("grid", "plan", called)
    assert "2 blocked (" in plan.err
    assert "no MY_TOKEN: " in plan.err
    assert "Once MY_TOKEN is in place: " in plan.err
    said = call("grid", "run", called, "--executor", "inline", code=4)
    assert "no MY_TOKEN: " in said.err
    assert call("runs", "list", "--study", "called", "--json").document["runs"][0]["state"] == "queued"
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    call("grid", "run", called, "--executor", "inline")
    assert means(call, called) == [0.5, 1e-5]


def test_check_gives_doubts_and_mistakes_in_one_shape(call: Any, called: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_TOKEN")
    document = call("grid", "check", called, "--json").document
    assert (document["study"], document["runs"], document["schema"]) == ("called", 2, 1)
    (doubt,) = document["warnings"]
    assert (doubt["key"], doubt["code"], doubt["line"]) == ("trainer.env.MY_TOKEN", "missing", 8)
    called.write_text(called.read_text().replace("lower", "less"))
    (mistake,) = call("grid", "check", called, "--json", code=3).document["error"]["problems"]
    assert mistake.keys() == doubt.keys()
    assert (mistake["key"], mistake["code"], mistake["line"]) == ("trainer.metrics.bpc.better", "wrong-value", 12)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "local"])
def test_the_log_of_a_script_that_fails_ends_with_its_own_lines(call: Any, called: Path, executor: str) -> None:
    script(called, 'echo "no such fold: $rate" >&2; exit 3')
    call("grid", "run", called, "--executor", executor, code=4)
    for run in shown(call, called):
        assert "Traceback" not in run["log"] + run["error"]
        assert "no such fold: " in run["log"].splitlines()[-1]
        assert run["error"].splitlines()[-1].endswith(f"status 3: no such fold: {run['recipe']['optim']['lr']}")


HANG = "echo $$ > pid.half\nmv pid.half pid\nsleep 600 & echo $! >> pid\nwait\n"


@pytest.mark.slow
def test_setup_that_hangs_meets_the_time_limit(call: Any, called: Path) -> None:
    (called.parent / "prepare.sh").write_text(HANG)
    run = call("grid", "run", called, "--limit", 1, "--run-timeout", 3, code=4)
    assert "within 3 s " in run.err
    assert all(gone(int(pid)) for pid in (called.parent / "repo" / "pid").read_text().split())


@pytest.mark.slow
def test_a_grid_that_is_killed_takes_setup_along(call: Any, called: Path, start: Any) -> None:
    os.mkfifo(called.parent / "repo" / "news")
    (called.parent / "prepare.sh").write_text("sleep 600 &\necho $$ $! > news\nwait\n")
    grid = start("grid", "run", called)
    pids = [int(pid) for pid in (called.parent / "repo" / "news").read_text().split()]
    grid.send_signal(signal.SIGKILL)
    grid.wait()
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)
