"""Scripts and functions, tuned: the trials, what they come to, pruning, kills, and the study that is written."""

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

from ablate.store.store import Store
from ablate.store.values import StoredTrial
from ablate.study.loader import load
from ablate.study.records import RunResult
from ablate.study.tuning.tuning import load_tuning
from ablate.study.values.resources import Resources
from ablate.tuning.recipes import tuning_key

ROOT = Path(__file__).resolve().parents[2]
FUNCTION = """
import math

def fit(recipe, *, seed, run_dir, report):
    miss = abs(math.log10(recipe["opt"]["lr"] / 0.03)) + 0.01 * seed
    for epoch in range(1, recipe["epochs"] + 1):
        report(epoch=recipe["every"] * epoch, split="val", bpc=miss + 1 / epoch)
        report(epoch=recipe["every"] * epoch, split="test", bpc=miss + 1.5 / epoch)
"""
STUDY = """
study: own
recipe: {opt: {lr: 0.5}, wide: false, epochs: 9, every: 1}
trainer: {python: "MODULE:fit", epochs: epochs, metrics: {bpc: {better: lower}}}
factors:
  wide: {path: wide, levels: [false, true]}
seeds: 2
baseline: {wide: false}
"""
TUNE = """
study: own.yaml
arms: [false]
space: {opt.lr: {float: [1e-4, 1], log: true}}
metric: val_bpc
sampler: {name: tpe, seed: 1}
budget: {trials: 4}
"""


@pytest.fixture
def own(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A tuning file of a function that is best at a rate of 0.03."""
    module = "own_" + "".join(c if c.isalnum() else "_" for c in request.node.name)
    (tmp_path / f"{module}.py").write_text(FUNCTION)
    (tmp_path / "own.yaml").write_text(STUDY.replace("MODULE", module))
    (tmp_path / "tune.yaml").write_text(TUNE)
    return tmp_path / "tune.yaml"


def change(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def tune(call: Any, path: Path, *more: object, code: int = 0) -> Any:
    return call("tune", "run", path, "--executor", "inline", *more, code=code)


def trials_of(path: Path) -> list[StoredTrial]:
    tuning = load_tuning(path)
    keys = [tuning_key(tuning, arm) for arm in tuning.arms]
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        found = store.trials(keys)
    return [trial for key in keys for trial in found.get(key, ())]


def seen(trials: list[StoredTrial]) -> list[object]:
    return [(trial.params, trial.run_ids, trial.state, trial.value) for trial in trials]


def results_of(trials: list[StoredTrial]) -> dict[str, RunResult]:
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        return store.results([run_id for trial in trials for run_id in trial.run_ids])


@pytest.mark.slow
def test_sampled_numbers_have_six_digits_and_are_what_is_trained(call: Any, own: Path) -> None:
    change(own, ("log: true}}", "log: true}, every: {int: [1, 40]}}"))
    tune(call, own)
    trials = trials_of(own)
    results = results_of(trials)
    assert len({str(trial.params) for trial in trials}) == 4
    for trial in trials:
        recipe = results[trial.run_ids[0]].run.recipe
        for path, value in trial.params.items():
            assert value == float(f"{value:.6g}") == recipe.get(path)
        assert trial.value == results[trial.run_ids[0]].metrics["val_bpc"]


@pytest.mark.slow
def test_a_budget_of_epochs_is_not_exceeded_by_a_script_that_counts_from_0(call: Any, own: Path) -> None:
    for module in own.parent.glob("own_*.py"):
        change(module, ('epoch=recipe["every"] * epoch,', "epoch=epoch - 1,"))
    change(own.with_name("own.yaml"), ("epochs: 9", "epochs: 2"))
    change(own, ("{trials: 4}", "{epochs: 8}"))
    tune(call, own)
    assert [trial.epochs for trial in trials_of(own)] == [2] * 4


@pytest.mark.slow
@pytest.mark.parametrize(("every", "first", "epochs"), [(1, 0, 9), (1, 1, 9), (20, 20, 180), (20, 0, 160)])
def test_a_run_that_is_at_its_last_epoch_is_not_pruned(
    call: Any, own: Path, every: int, first: int, epochs: int
) -> None:
    """The last number alone tells trials apart, whether the script counts from 0 or not, and each epoch or some steps."""
    for module in own.parent.glob("own_*.py"):
        change(module, ('epoch=recipe["every"] * epoch,', f"epoch={first} + {every} * (epoch - 1),"))
        change(module, ("bpc=miss + 1 / epoch", "bpc=miss if epoch == 9 else 10.0"))
    change(own, ("{float: [1e-4, 1], log: true}", "{values: [0.03, 0.04, 0.05, 0.06, 0.07, 0.9]}"))
    change(own, ("name: tpe, seed: 1", "name: grid"), ("budget: {trials: 4}", "pruner: median"))
    change(own.with_name("own.yaml"), ("epochs: epochs", f"epochs: {epochs}"))
    tune(call, own)
    assert [trial.state for trial in trials_of(own)] == ["complete"] * 6


@pytest.mark.slow
def test_hyperband_compares_from_the_first_step_that_is_told_and_a_tuning_that_goes_on_asks_for_the_same_runs(
    call: Any, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 90 steps, told every tenth: two brackets, with comparisons at 10, 30 and 90, at 30 and 90."""
    change(own, ("budget: {trials: 4}", "pruner: hyperband\nbudget: {trials: 16}"))
    change(own.with_name("own.yaml"), ("every: 1", "every: 10"), ("epochs: epochs", "epochs: 90"))
    tune(call, own)
    whole = trials_of(own)
    results = results_of(whole)
    ends = {max(results[trial.run_ids[0]].epochs) for trial in whole if trial.state == "pruned"}
    assert ends == {10, 30}
    assert max(len(trial.attributes) for trial in whole) <= 3  # a value for each comparison
    monkeypatch.setenv("ABLATE_DB", f"sqlite:///{tmp_path / 'second.db'}")
    for count in (13, 16):
        change(own, (own.read_text().rpartition("trials: ")[2], f"{count}}}\n"))
        tune(call, own)
    assert seen(trials_of(own)) == seen(whole)


@pytest.mark.slow
def test_a_script_that_counts_steps_where_its_recipe_counts_epochs_is_pruned_all_the_same(call: Any, own: Path) -> None:
    change(own, ("{float: [1e-4, 1], log: true}", "{values: [0.03, 0.04, 0.05, 0.06, 0.07, 0.9]}"))
    change(own, ("name: tpe", "name: grid"), ("budget: {trials: 4}", "pruner: median"))
    change(own.with_name("own.yaml"), ("every: 1", "every: 50"), (", epochs: epochs", ""))
    tune(call, own)
    *_, last = trials_of(own)
    assert (last.state, last.epochs) == ("pruned", 50)


@pytest.mark.slow
def test_a_pruned_function_ends_at_the_verdict(call: Any, own: Path) -> None:
    change(own, ("{float: [1e-4, 1], log: true}", "{values: [0.03, 0.04, 0.05, 0.06, 0.07, 0.9]}"))
    change(own, ("name: tpe", "name: grid"), ("budget: {trials: 4}", "pruner: median"))
    said = tune(call, own)
    assert "5 complete, 1 pruned" in said.err
    *_, last = trials_of(own)
    (result,) = results_of([last]).values()
    assert (last.state, last.epochs, last.error) == ("pruned", 1, "trial 5 was pruned by median after epoch 1")
    assert (result.state, list(result.epochs), result.attempts[-1].state) == ("pruned", [1], "pruned")


COMMAND = """
import argparse, os, pathlib, time
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--out", type=pathlib.Path)
given = parser.parse_args()
for epoch in range(1, 5):
    print(f"epoch {epoch}: val loss {abs(given.lr - 0.3) + 1 / epoch:.4f}", flush=True)
    with open("epochs.txt", "a") as file:
        print(os.getpid(), epoch, file=file)
    time.sleep(WAIT if given.lr > 0.8 else PAUSE)
"""
COMMAND_STUDY = """
study: own
recipe: {lr: 0.5}
trainer:
  command: python train.py --lr {lr} --out {run_dir}
  metrics: {val_loss: {pattern: 'epoch (?P<epoch>[0-9]+): val loss (\\S+)'}}
  epochs: 4
seeds: 1
"""


def command(folder: Path, wait: float = 0, pause: float = 0) -> Path:
    """A tuning file of a command that is best at a rate of 0.3, and takes its time (`wait` seconds) where the rate is above 0.8."""
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        os.environ.pop(name, None)
    (folder / "train.py").write_text(COMMAND.replace("WAIT", str(wait)).replace("PAUSE", str(pause)))
    (folder / "own.yaml").write_text(COMMAND_STUDY)
    (folder / "tune.yaml").write_text(
        "study: own.yaml\nspace: {lr: {float: [0.1, 0.9]}}\nmetric: val_loss\nsampler: {name: tpe, seed: 3}\nbudget: {trials: 12}\n"
    )
    return folder / "tune.yaml"


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_pruned_script_is_ended(call: Any, tmp_path: Path, executor: str) -> None:
    """It would sleep for minutes after each epoch: SIGTERM ends it, and the next trial is asked for."""
    path = command(tmp_path, wait=100)
    change(path, ("{float: [0.1, 0.9]}", "{values: [0.3, 0.31, 0.32, 0.33, 0.34, 0.85, 0.29]}"), ("tpe", "grid"))
    change(path, ("budget: {trials: 12}", "pruner: median"))
    call("tune", "run", path, "--executor", executor, "--workers", 1)
    trials = trials_of(path)
    assert [trial.state for trial in trials] == ["complete"] * 5 + ["pruned", "complete"]
    (result,) = results_of([trials[5]]).values()
    assert (result.state, list(result.epochs)) == ("pruned", [1])
    assert 0 < trials[5].seconds < 50
    pid = next(line.split()[0] for line in reversed((tmp_path / "epochs.txt").read_text().splitlines()[:-4]))
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_kill_9_and_go_on_asks_for_the_same_runs(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a sampler that goes on from all trials before: another number told, or another order, and the next trial is another."""
    path = command(tmp_path, pause=0.02)
    change(path, ("tpe", "cmaes"), ("{lr: {float: [0.1, 0.9]}}", "{lr: {float: [0.1, 0.9]}, decay: {float: [0, 1]}}"))
    change(path, ("budget: {trials: 12}", "pruner: median\nbudget: {trials: 7}"))
    change(path.with_name("own.yaml"), ("{lr: 0.5}", "{lr: 0.5, decay: 0}"))
    tune(call, path)
    whole = trials_of(path)
    monkeypatch.setenv("ABLATE_DB", f"sqlite:///{tmp_path / 'killed.db'}")
    monkeypatch.setenv("ABLATE_HOME", str(tmp_path / "killed"))
    told = tmp_path / "epochs.txt"
    before = len(told.read_text().splitlines())
    words = [
        sys.executable,
        "-c",
        "from ablate.cli.app import main; main()",
        "tune",
        "run",
        str(path),
        "--workers",
        "1",
    ]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while len(told.read_text().splitlines()) < before + 14 and time.monotonic() < until and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    some = trials_of(path)
    assert 0 < len(some) < 7, "killed in the middle"
    tune(call, path)
    assert seen(trials_of(path)) == seen(whole)
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        assert store.check() == []
        assert len(store.list_runs()) == 7


@pytest.mark.slow
def test_a_budget_of_epochs_is_never_exceeded(call: Any, own: Path) -> None:
    change(own, ("{trials: 4}", "{epochs: 30}"))
    tune(call, own)
    assert [trial.epochs for trial in trials_of(own)] == [9, 9, 9]


@pytest.mark.slow
def test_a_script_without_epochs_costs_what_it_says_of_itself(call: Any, own: Path) -> None:
    change(own, ("{trials: 4}", "{epochs: 30}"))
    module = next(own.parent.glob("own_*.py"))
    module.write_text(
        "def fit(recipe, *, seed, run_dir, report):\n    return {'val_bpc': recipe['opt']['lr'], 'bpc': 1.0}\n"
    )
    tune(call, own)
    assert [trial.epochs for trial in trials_of(own)] == [9, 9, 9]


@pytest.mark.slow
def test_a_number_that_never_comes_fails_its_trial(call: Any, own: Path) -> None:
    module = next(own.parent.glob("own_*.py"))
    module.write_text("def fit(recipe, *, seed, run_dir, report):\n    return {'bpc': 1.0}\n")
    tune(call, own, code=4)
    assert {(trial.state, trial.error) for trial in trials_of(own)} == {
        ("failed", "val_bpc was not measured, or is not a number")
    }


def test_a_script_that_was_edited_since_is_named(call: Any, own: Path) -> None:
    assert "stale" not in tune(call, own).err
    module = next(own.parent.glob("own_*.py"))
    module.write_text(FUNCTION + "# edited\n")
    said = call("tune", "report", own, "--format", "text").out
    assert f"4 of 4 runs are stale ({module.name} changed)" in said


@pytest.mark.slow
def test_what_was_trained_is_not_trained_again(call: Any, own: Path) -> None:
    change(own, ("{float: [1e-4, 1], log: true}", "{values: [0.5, 0.1]}"), ("name: tpe", "name: grid"))
    change(own, ("budget: {trials: 4}\n", ""))
    call("grid", "run", own.with_name("own.yaml"), "--executor", "inline")
    assert "1 trial run already trained: not trained again" in tune(call, own).err
    assert "4 of 4 runs done" in call("report", "own", "--format", "md").err


@pytest.mark.slow
def test_the_written_study_lies_beside_the_script_and_its_runs_are_the_best_trials(call: Any, own: Path) -> None:
    study = own.with_name("own.yaml")
    study.write_text(f"{study.read_text()}\nresources: {{cpus: 1, memory: 1.5G}}\n")
    change(own, ("[false]", "all"))
    tune(call, own)
    refused = call("tune", "report", own, "--format", "text", "--write", own.parent / "sub" / "best.yaml", code=2)
    assert refused.error == "other-folder"
    call("tune", "report", own, "--format", "text", "--write", own.parent / "best.yaml")
    written = load(own.parent / "best.yaml")
    assert [warning for warning in written.warnings if warning.code == "confounded"] == []
    assert (written.trainer, written.seeds) == (load(study).trainer, (0, 1))
    assert written.resources == load(study).resources == Resources(cpus=1, memory=3 << 29)
    best = [min(t.value for t in trials_of(own) if t.arm == arm.name) for arm in written.arms]
    assert "4 runs, 2 done, 2 to run" in call("grid", "run", own.parent / "best.yaml", "--executor", "inline").err
    document = call("report", own.parent / "best.yaml", "--format", "json").document
    means = [run["metrics"]["val_bpc"] for run in call("runs", "list", "--study", "own-tuned", "--json").document["runs"] if run["seed"] == 0]  # fmt: skip
    assert sorted(means) == sorted(best)
    assert len(document["rows"]) == 2


@pytest.mark.parametrize(
    "values",
    ["{a: 1e-4, b: on, c: '#x', d: [1, 2e3, p q], e: ~, f: -0.5, g: 'true', h: 'a, b: {c}', i: '1', j: }"],
)
def test_every_text_of_a_written_study_is_read_as_it_was(call: Any, own: Path, values: str) -> None:
    change(own.with_name("own.yaml"), ("wide: false, ", f"wide: false, x: {values}, "))
    change(own, ("opt.lr: {float: [1e-4, 1], log: true}", "x.a: {values: [1e-4]}, x.g: {values: ['true', 'a #b']}"))
    change(own, ("name: tpe", "name: grid"), ("budget: {trials: 4}\n", ""))
    tune(call, own)
    call("tune", "report", own, "--format", "text", "--write", own.parent / "best.yaml")
    arm = load_tuning(own).arms[0]
    assert next(iter(load(own.parent / "best.yaml").arms)).recipe == arm.recipe


@pytest.mark.slow
def test_a_study_that_is_tuned_first(call: Any, tmp_path: Path) -> None:
    """The example: momentum helps at the rate that is written, for it is too low; at its own rate each arm ends alike."""
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        os.environ.pop(name, None)
    shutil.copytree(ROOT / "experiments" / "examples", tmp_path / "examples")
    change(tmp_path / "examples" / "wave_tune.yaml", ("trials: 15", "trials: 2"))
    change(tmp_path / "examples" / "wave.yaml", ("epochs: 20}", "epochs: 2}"), ("seeds: 3", "seeds: 1"))
    said = call("grid", "run", tmp_path / "examples" / "wave.yaml", "--executor", "inline")
    assert "tuning wave: 2 arms, 2 trials each, tpe with median; 0 trials done" in said.err
    assert "All of the tuning cost 4 runs, 8 epochs and" in said.out
    document = json.loads(call("report", tmp_path / "examples" / "wave.yaml", "--format", "json").out)
    side = next(table for table in document["tables"] if table["table"] == "tuned")
    cells = [cell for row in side["rows"] for cell in row["cells"].values()]
    assert [cell["n"] for cell in cells] == [1] * 4
    listed = call("status").out
    assert "wave: 2 of 2 runs done" in listed
    assert "tuning of wave: 4 of 4 runs done" in listed
