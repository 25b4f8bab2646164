"""Other people's scripts from the command line to the report: nothing of ours is trained here."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from ended import gone

from ablate.study.code import provenance

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import argparse, os, random
parser = argparse.ArgumentParser()
for name in ("lr", "seed"):
    parser.add_argument("--" + name, type=float)
parser.add_argument("--out")
given = parser.parse_args()
random.seed(given.seed)
for epoch in (1, 2, 3):
    print(f"epoch {epoch}: bpc {given.lr + 1 / epoch + random.random() / 100:.4f}")
open(os.path.join(given.out, "weights.txt"), "w").write("w")
"""
STUDY = """
study: own
about: Which rate?
recipe: {lr: 0.5}
trainer:
  command: python train.py --lr {lr} --seed {seed} --out {run_dir}
  metrics: {bpc: {better: lower, pattern: 'bpc ([0-9.]+)'}}
factors:
  rate: {path: lr, levels: [0.5, 1e-1]}
seeds: 3
baseline: {rate: 0.5}
tables:
  t: {rows: rate, columns: [bpc], reported: {1e-1: [0.44]}, claims: [1e-1 is best]}
  e: {rows: [rate, epoch], columns: [bpc]}
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of six runs of train.py; its folder and its results have blanks and quotes in their names."""
    monkeypatch.setenv("ABLATE_HOME", str(tmp_path / "my 'home'; x"))
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "my study"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    (folder / "own.yaml").write_text(STUDY)
    return folder / "own.yaml"


@pytest.mark.slow
def test_from_plan_to_report(call: Any, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "6 to run" in call("grid", "plan", own).out
    run = call("grid", "run", own)
    assert "[6/6] done  1e-1 seed 2  bpc 0.4" in run.err
    assert len(list((tmp_path / "my 'home'; x").glob("runs/*/*/code-*/weights.txt"))) == 6
    assert call("grid", "plan", own, "--json").document["counts"]["done"] == 6
    text = call("report", own, "--format", "md").out
    assert "\nown, full scale, own command python train.py, " in text
    assert "- **holds**: 1e-1 is best" in text
    assert "Stale" not in text
    assert "Mixed" not in text
    document = call("report", own, "--table", "t", "--format", "json").document
    cell = document["rows"][1]["cells"]["bpc"]
    assert cell["n"] == 3
    assert cell["delta"] == pytest.approx(-0.4)
    assert document["comparable"] is True
    epochs = call("report", own, "--table", "e", "--format", "json").document["rows"]
    assert [row["epoch"] for row in epochs] == [1, 2, 3, 1, 2, 3]
    listed = call("runs", "list", "--json").document["runs"]
    assert set(listed[0]["metrics"]) == {"bpc"}
    shown = call("runs", "show", listed[0]["run_id"][:12]).out
    assert "epoch 3: bpc 0.4" in shown
    call("report", own, "--out", tmp_path / "page.html")
    assert "own command python train.py" in (tmp_path / "page.html").read_text()


@pytest.mark.slow
def test_no_code_of_ours_ages_it(call: Any, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call("grid", "run", own, "--seeds", 1)
    monkeypatch.setattr(provenance, "_core", lambda: (frozenset(), "another"))
    said = call("grid", "run", own, "--seeds", 1, "--retry", "stale").err
    assert "2 done, 0 to run" in said
    assert "A script's code is its program, its imports and the files in trainer.watch" in said
    assert "raise trainer.version" in said
    assert "Stale" not in call("report", own, "--format", "md").out
    own.write_text(STUDY.replace("  metrics:", "  version: 2\n  metrics:"))
    assert "0 done, 2 to run" in call("grid", "run", own, "--seeds", 1).err
    assert "2 done, 0 to run" in call("grid", "run", own, "--seeds", 1).err


def test_lists_name_the_metrics_as_the_study_does(call: Any, own: Path) -> None:
    own.write_text(STUDY.replace("{bpc: {better", "{test_loss: {pattern: 'bpc ([0-9.]+)'}, bpc: {better"))
    (own.parent / "train.py").write_text(SCRIPT + "print('items: 5019')\n")
    call("grid", "run", own, "--seeds", 1, "--limit", 1)
    assert call("runs", "list").out.split("\n")[0].split() == ["run", "arm", "seed", "state", "tries", "bpc", "test_loss", "loss", "time"]  # fmt: skip


@pytest.mark.slow
def test_a_seed_that_does_not_reach_the_script_is_flagged(call: Any, own: Path) -> None:
    own.write_text(STUDY.replace(" --seed {seed}", " --seed 1").replace("  metrics", "  seed: env\n  metrics"))
    call("grid", "run", own, "--workers", 2)
    text = call("report", own, "--format", "md").out
    for arm in ("0.5", "1e-1"):
        assert f"{arm}: seeds 0, 1 and 2 came out bit-equal: the seed did not reach the training." in text.replace(
            "\\", ""
        )


@pytest.mark.slow
def test_a_script_that_fails_says_why_and_runs_again(call: Any, own: Path) -> None:
    script = own.parent / "train.py"
    script.write_text(SCRIPT + "if given.lr < 0.2:\n    raise ValueError('the rate is too low')\n")
    run = call("grid", "run", own, code=4)
    assert "3 failed (1e-1 seed 0, 1e-1 seed 1, 1e-1 seed 2): " in run.told().err
    assert "status 1: ValueError: " in run.err
    failed = next(r["run_id"] for r in call("grid", "plan", own, "--json").document["runs"] if r["state"] == "failed")
    error = call("runs", "show", failed[:12], "--json").document["error"]
    assert error.splitlines()[0].startswith("python train.py --lr 1e-1 --seed 0 --out ")
    assert "  epoch 3: bpc 0.4" in error
    log = call("runs", "show", failed[:12], "--json").document["log"].splitlines()
    assert log[-1] == "ValueError: the rate is too low", "the script's own words, and no traceback of ours after them"
    assert not any("ablate" in line for line in log)
    script.write_text(SCRIPT)
    call("grid", "run", own, "--retry", "failed")
    assert call("grid", "plan", own, "--json").document["counts"]["done"] == 6


def test_a_program_that_is_not_there_ends_the_grid_with_a_sentence(call: Any, own: Path) -> None:
    own.write_text(STUDY.replace("command: python", "command: pyhton"))
    run = call("grid", "run", own, code=None)
    assert run.code != 0
    assert "'pyhton'" in run.err


def test_mistakes_end_a_check_with_3(call: Any, own: Path) -> None:
    own.write_text(STUDY.replace("--lr {lr}", "--lr {lrr}").replace(" --seed {seed}", ""))
    said = call("grid", "check", own, code=3).err
    assert "own.yaml:6: trainer.command: the study has 3 seeds, but the command does not use {seed}" in said
    own.write_text(STUDY.replace("--lr {lr}", "--lr {lrr}"))
    said = call("grid", "check", own, code=3).err
    assert "own.yaml:6: trainer.command: {lrr}: the recipe has no 'lrr'. Did you mean 'lr'?" in said


@pytest.mark.slow
def test_a_flood_of_output_leaves_a_bounded_log(call: Any, own: Path, tmp_path: Path) -> None:
    flood = "import sys\nfor _ in range(100): sys.stdout.write('x' * 99999 + chr(10))\n"
    (own.parent / "train.py").write_text(flood + SCRIPT)
    call("grid", "run", own, "--seeds", 1, "--limit", 1)
    (log,) = (tmp_path / "my 'home'; x").glob("runs/*/*/attempt-1.log")
    text = log.read_text()
    assert len(text) < 5_000_000
    assert "bytes left out ..." in text
    assert "epoch 3: bpc" in text


@pytest.mark.slow
def test_a_script_that_hangs_meets_its_time_limit(call: Any, own: Path, tmp_path: Path) -> None:
    hang = "import os, signal\nopen('pid', 'w').write(str(os.getpid()))\nsignal.pause()"
    (own.parent / "train.py").write_text(hang)
    run = call("grid", "run", own, "--seeds", 1, "--limit", 1, "--run-timeout", 3, code=4)
    assert "within 3 s " in run.err
    assert gone(int((own.parent / "pid").read_text()))
    said = call("grid", "run", own, "--executor", "inline", "--run-timeout", 3, code=2).err
    assert "cannot stop a run after a time" in said


@pytest.mark.slow
def test_a_signal_reaches_the_script_and_gives_the_run_back(call: Any, own: Path, start: Any) -> None:
    os.mkfifo(own.parent / "news")
    (own.parent / "train.py").write_text("""
import os, signal, sys
def save(number, frame):
    open("saved", "w").write(str(os.getpid()))
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
open("news", "w").write("up")
signal.pause()
""")
    grid = start("grid", "run", own)
    assert (own.parent / "news").read_text() == "up"
    grid.send_signal(signal.SIGTERM)
    grid.communicate()
    assert grid.returncode == 143
    assert gone(int((own.parent / "saved").read_text()))
    counts = call("grid", "plan", own, "--json").document["counts"]
    assert (counts["to_run"], counts["failed"], counts["running"]) == (6, 0, 0)


FUNCTION = """
import random
import ablate
def train(recipe, *, seed, run_dir, report):
    print("it talks")
    draw = random.Random(seed)
    for epoch in (1, 2):
        report(epoch=epoch, split="val", loss=recipe["net"]["lr"] + draw.random())
    return {"score": recipe["net"]["lr"] + draw.random() / 100}
"""
PYTHON_STUDY = """
study: fun
recipe: {net: {lr: 1}}
trainer: {python: pkg.MODULE:train, metrics: {score: {better: higher}}}
factors: {rate: {path: net.lr, levels: [1, 2]}}
seeds: 2
baseline: {rate: 1}
tables: {t: {rows: rate, columns: [score, val_loss]}, e: {rows: [rate, epoch], columns: [val_loss, loss]}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_python_function(call: Any, tmp_path: Path, executor: str) -> None:
    (tmp_path / "sub" / "pkg").mkdir(parents=True)
    (tmp_path / "sub" / "pkg" / f"own_{executor}.py").write_text(FUNCTION)
    study = tmp_path / "sub" / "fun.yaml"
    study.write_text(PYTHON_STUDY.replace("MODULE", f"own_{executor}"))
    document = call("grid", "run", study, "--executor", executor, "--json").document
    assert document["counts"]["done"] == 4
    text = call("report", study, "--format", "md").out
    assert f"fun, full scale, own trainer pkg.own_{executor}:train, " in text
    rows = call("report", study, "--table", "t", "--format", "json").document["rows"]
    assert rows[1]["cells"]["score"]["mean"] == pytest.approx(2.005, abs=0.005)
    assert rows[1]["cells"]["val_loss"]["n"] == 2
    assert "bit-equal" not in text


@pytest.mark.slow
@pytest.mark.parametrize(("name", "metrics"), [("bigram", {"val_loss", "train_loss"}), ("logistic", {"top1", "loss"})])
def test_the_examples_train(call: Any, tmp_path: Path, name: str, metrics: set[str]) -> None:
    shutil.copytree(ROOT / "experiments" / "examples", tmp_path / "examples")
    call("grid", "run", f"examples/{name}.yaml", "--limit", 2)
    done = call("runs", "list", "--json").document["runs"]
    found = [run["metrics"] for run in done if run["state"] == "done"]
    assert len(found) == 2
    assert all(metrics <= set(one) for one in found)
    assert found[0] != found[1]


SMALL = """
study: n1
recipe: {scale: 1}
trainer:
  command: python sci.py {scale}
  metrics: {val_loss: {pattern: 'val loss ([0-9.]+)'}}
factors:
  scale: {path: scale, levels: [1, 0.1, 0.01]}
seeds: 1
baseline: {scale: 1}
"""


@pytest.mark.slow
def test_a_number_with_an_exponent_is_read_whole(call: Any, own: Path) -> None:
    (own.parent / "sci.py").write_text(
        "import sys\nfor e in range(1, 4):\n    print(f'epoch {e} val loss {float(sys.argv[1]) / 10**e}', flush=True)"
    )
    own.write_text(SMALL)
    call("grid", "run", own)
    found = {run["arm"]: run["metrics"]["val_loss"] for run in call("runs", "list", "--json").document["runs"]}
    assert found == {"1": 1e-3, "0.1": 1e-4, "0.01": 1e-5}


@pytest.mark.slow
def test_a_percentage_is_declared_stored_as_a_fraction_and_compared_as_one(call: Any, own: Path) -> None:
    (own.parent / "sci.py").write_text("import sys\nprint(f'top1 {93.75 - float(sys.argv[1])}%')")
    text = SMALL.replace("val_loss: {pattern: 'val loss ([0-9.]+)'}", "top1: {pattern: 'top1 (\\S+)'}")
    own.write_text(text)
    call("grid", "run", own, code=4)
    failed = call("runs", "list", "--json").document["runs"]
    said = call("runs", "show", failed[0]["run_id"][:12]).out
    assert "Declare it: metrics: {top1: {unit: percent}}" in said
    table = "tables: {t: {rows: scale, columns: [top1], reported: {1: ['92.8%']}}}\n"
    own.write_text(text.replace("(\\S+)'}", "(\\S+)', unit: percent}") + table)
    call("grid", "run", own)
    document = call("report", own, "--table", "t", "--format", "json").document
    assert document["rows"][0]["cells"]["top1"]["mean"] == 0.9275
    assert document["rows"][0]["cells"]["top1"]["reported"] == pytest.approx(0.928)


RESUMES = """
import os, sys
path = os.path.join(sys.argv[1], "epoch")
done = int(open(path).read()) if os.path.exists(path) else 0
for epoch in range(done + 1, 7):
    print(f"epoch {epoch}: bpc {10 - epoch}" if sys.argv[2] == "said" else f"bpc {10 - epoch}", flush=True)
    open(path, "w").write(str(epoch))
    if epoch == 4:
        sys.exit(3)
"""


@pytest.mark.slow
@pytest.mark.parametrize("epochs", ["said", "counted"])
def test_a_script_that_resumes_keeps_its_earlier_epochs_where_it_says_them(call: Any, own: Path, epochs: str) -> None:
    (own.parent / "train.py").write_text(RESUMES)
    pattern = "epoch (?P<epoch>[0-9]+): bpc (\\S+)" if epochs == "said" else "bpc (\\S+)"
    own.write_text(
        "study: own\nrecipe: {a: 1}\nseeds: 1\ntrainer:\n  command: python train.py {run_dir} " + epochs + "\n"
        f"  metrics: {{bpc: {{better: lower, pattern: '{pattern}'}}}}\ntables: {{e: {{rows: epoch, columns: [bpc]}}}}\n"
    )
    call("grid", "run", own, code=4)
    call("grid", "run", own, "--retry", "failed")
    document = call("report", own, "--table", "e", "--format", "json").document
    rows = {row["epoch"]: row["cells"]["bpc"]["mean"] for row in document["rows"]}
    assert call("runs", "list", "--json").document["runs"][0]["metrics"]["bpc"] == 4
    text = call("report", own, "--table", "e", "--format", "md").out
    if epochs == "said":
        assert rows == {epoch: 10 - epoch for epoch in range(1, 7)}
        assert "names no epochs" not in text
    else:
        told = "its lines were counted. 1 of 1 runs took several attempts, and each counts from 1."
        assert f"The output names no epochs for bpc: {told}" in text


@pytest.mark.slow
def test_an_unknown_split_ends_the_run(call: Any, own: Path) -> None:
    (own.parent / "train.py").write_text(
        """print('{"split": "test", "top1": 0.91}\\n{"split": "%s", "top1": 0.5}' % __import__("sys").argv[1])"""
    )
    text = (
        "study: own\nrecipe: {a: validation}\nseeds: 1\ntrainer: {command: 'python train.py {a}', metrics: {top1: }}\n"
    )
    own.write_text(text)
    call("grid", "run", own)
    assert call("runs", "list", "--json").document["runs"][0]["metrics"] == {
        "test_top1": 0.91,
        "val_top1": 0.5,
        "top1": 0.91,
    }
    call("grid", "run", own, "--set", "a=holdout", code=4)


@pytest.mark.slow
def test_commands_are_printed_as_they_would_be_called(call, tmp_path: Path) -> None:
    (tmp_path / "say.py").write_text("import sys\nprint('acc', sys.argv[1])\nprint(*sys.argv, sep='|')\n")
    (tmp_path / "say.yaml").write_text(
        "study: say\nrecipe: {x: 'a b'}\nseeds: [4]\nbaseline: {y: 1}\nfactors: {y: {path: y, levels: [1, 2]}}\n"
        "trainer: {command: 'python say.py {y} {x} {seed} {run_dir}', metrics: {acc: {better: higher, pattern: 'acc (\\S+)'}}}\n"
    )
    lines = call("grid", "plan", "say.yaml", "--commands").out.splitlines()
    assert [line.partition(":")[0] for line in lines[1::2]] == ["# 1, seed 4, queued", "# 2, seed 4, queued"]
    assert all(line.endswith(f" in {tmp_path}") for line in lines[1::2])
    assert lines[2].startswith("python say.py 1 'a b' 4 /")
    document = call("grid", "plan", "say.yaml", "--commands", "--json").document
    words = [run["command"] for run in document["runs"]]
    assert [shlex.join(command) for command in words] == lines[2::2]
    assert not (tmp_path / "runs").exists()
    call("grid", "run", "say.yaml", "--executor", "inline", "--threads", "1")
    assert all(Path(command[-1]).is_dir() for command in words), "the runs had these folders"


def test_a_study_without_a_command_has_none_to_print(call, tiny: Path) -> None:
    call("grid", "plan", tiny, "--commands", code=2).told("no-commands")
    assert "command" not in call("grid", "plan", tiny, "--json").document["runs"][0]
