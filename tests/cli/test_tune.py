"""`tune run`, `report` and `export`, with a trainer that is a function of the rate."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ablate.cli.commands import watch
from ablate.project.planning import NOBODY
from ablate.store.store import Store
from ablate.study.loader import load
from ablate.study.tuning.tuning import load_tuning
from ablate.tuning.session import Session

TOYS = Path(__file__).resolve().parents[1] / "tuning"

STUDY = """
study: toy
about: Is smoothing worth its rate?
recipe: {data: {name: digits, split: {train: 0.6, val: 0.2, test: 0.2}}, model: {arch: two-layer-fc}, epochs: 4}
factors:
  smoothing: {path: loss.label_smoothing, levels: {plain: 0.0, smooth: 0.1}}
seeds: 2
baseline: {smoothing: plain}
"""
TUNE = """
study: toy.yaml
space: {optimizer.lr: {float: [1e-4, 1.0], log: true}, optimizer.momentum: {float: [0.0, 0.9]}}
metric: val_top1
sampler: {name: random, seed: 7}
pruner: median
budget: {trials: 12}
"""
TRIAL = {
    "type": "object",
    "properties": {
        "number": {"type": "integer", "minimum": 0},
        "params": {"type": "object", "additionalProperties": {"type": ["number", "string", "boolean", "null"]}},
        "state": {"enum": ["complete", "pruned", "failed"]},
        "value": {"type": ["number", "null"]},
        "epochs": {"type": "integer", "minimum": 0},
        "run_ids": {"type": "array", "items": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
    },
    "required": ["number", "params", "state", "value", "epochs", "run_ids"],
    "additionalProperties": False,
}
BEST = {
    "type": ["object", "null"],
    "properties": {name: TRIAL["properties"][name] for name in ("number", "params", "value")},  # type: ignore[index]
    "required": ["number", "params", "value"],
    "additionalProperties": False,
}
DOCUMENT = {
    "type": "object",
    "properties": {
        "schema": {"const": 1},
        "study": {"type": "string"},
        "set": {"type": "array", "items": {"type": "string"}},
        "arms": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"arm": {"type": "string"}, "trials": {"type": "array", "items": TRIAL}, "best": BEST},
                "required": ["arm", "trials", "best"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["schema", "study", "set", "arms"],
    "additionalProperties": False,
}


@pytest.fixture
def tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study and its tuning file; what trains is the toy of tests/tuning."""
    monkeypatch.setattr(sys, "path", [str(TOYS), *sys.path])
    monkeypatch.setattr("ablate.project.tunings.fit_name", lambda trainer: "toy_tuning:fit")
    (tmp_path / "toy.yaml").write_text(STUDY)
    path = tmp_path / "tune.yaml"
    path.write_text(TUNE)
    return path


def run(call: Any, path: Path, *more: object, code: int = 0) -> Any:
    return call("tune", "run", path, "--executor", "inline", *more, code=code)


@pytest.mark.slow
def test_run_then_every_format(call: Any, tuned: Path, tmp_path: Path) -> None:
    said = run(call, tuned)
    said.told()
    for fact in ("toy: 2 arms", "12 trials each", "random", "median", "0 trials done", f": ablate tune report {tuned}"):
        assert fact in said.err
    again = run(call, tuned, "--json").document
    document = call("tune", "report", tuned, "--format", "json").document
    jsonschema.validate(document, DOCUMENT)
    assert again == document
    for arm in document["arms"]:
        assert [trial["number"] for trial in arm["trials"]] == list(range(12))
        complete = [trial for trial in arm["trials"] if trial["state"] == "complete"]
        assert arm["best"]["value"] == max(trial["value"] for trial in complete)
        assert {trial["epochs"] for trial in complete} == {4}
        assert all(0 < trial["epochs"] < 4 for trial in arm["trials"] if trial["state"] == "pruned")
    rows = call("tune", "report", tuned, "--format", "csv").out.splitlines()
    assert rows[0] == "arm,number,state,val_top1,epochs,seconds,optimizer.lr,optimizer.momentum,run_ids"
    assert len(rows) == 25
    text = call("tune", "report", tuned, "--format", "md").out
    best = document["arms"][1]["best"]["number"]
    assert "### smooth" in text
    assert f"| **{best}** |" in text
    assert "```yaml\n# Arms of toy " in text
    call("tune", "report", tuned)
    page = (tmp_path / "reports" / "toy-tuning.html").read_text()
    titles = ("History", "Intermediate values", "Slice: optimizer.lr", "optimizer.lr × optimizer.momentum", "Parallel coordinates")  # fmt: skip
    shown = [title for title in titles if f"<h3>{title}</h3>" in page]
    assert shown == list(titles)


@pytest.mark.slow
def test_a_tuning_is_one_request_and_a_variant_of_it_another(call: Any, tuned: Path, tmp_path: Path) -> None:
    run(call, tuned, "--limit", "3")
    run(call, tuned)
    said = run(call, tuned, "--set", "epochs=3", "--limit", "2")
    assert "toy [epochs=3]: 2 arms" in said.told().err
    assert f": ablate tune run {tuned} --set epochs=3" in said.err
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        requests = [store.requests(record.name) for record in store.tunings()]
    assert [len(found) for found in requests] == [1, 1], "never one a trial, nor one a call"
    document = call("tune", "report", tuned, "--set", "epochs=3", "--format", "json").document
    assert document["set"] == ["epochs=3"]
    assert call("tune", "report", tuned, "--format", "json").document["set"] == []
    call("tune", "report", tuned, "--set", "epochs=3")
    assert "toy [epochs=3]" in (tmp_path / "reports" / "toy[epochs=3]-tuning.html").read_text()
    said = call("status")
    assert "toy [epochs=3]: 2 of 2 " in said.out
    assert f": ablate tune run {tuned} --set epochs=3" in said.err


@pytest.mark.slow
def test_the_best_recipes_are_a_study_whose_first_seeds_are_done(call: Any, tuned: Path, tmp_path: Path) -> None:
    run(call, tuned)
    target = tmp_path / "out" / "best.yaml"
    call("tune", "report", tuned, "--format", "json", "--write", target)
    study = load(target)
    assert [arm.name for arm in study.arms] == ["plain", "smooth"]
    assert (study.baseline, study.seeds) == ({"arm": "plain"}, (0, 1))
    document = call("tune", "report", tuned, "--format", "json").document
    by_arm = {arm["arm"]: arm["best"] for arm in document["arms"]}
    for arm in study.arms:
        assert arm.recipe["optimizer"]["lr"] == by_arm[arm.name]["params"]["optimizer.lr"]
    counts = call("grid", "plan", target, "--json").document["counts"]
    assert (counts["done"], counts["to_run"]) == (2, 2)
    assert str(target) in call("tune", "report", tuned, "--write", target, code=2).told("exists").err


@pytest.mark.slow
def test_nothing_is_trained_twice_and_a_larger_budget_goes_on(call: Any, tuned: Path) -> None:
    run(call, tuned, "--limit", 3)
    document = call("tune", "report", tuned, "--format", "json").document
    assert [len(arm["trials"]) for arm in document["arms"]] == [2, 1]
    run(call, tuned)
    said = run(call, tuned)
    assert "24 trials done" in said.told().err
    assert "done  " not in said.err


@pytest.mark.slow
def test_the_trials_as_optuna_knows_them(call: Any, tuned: Path, tmp_path: Path) -> None:
    import optuna

    run(call, tuned)
    target = tmp_path / "optuna.db"
    said = call("tune", "export", tuned, "--storage", target)
    assert said.out.splitlines() == ["toy: plain", "toy: smooth"]
    study = optuna.load_study(study_name="toy: smooth", storage=f"sqlite:///{target}")
    document = call("tune", "report", tuned, "--format", "json").document["arms"][1]
    assert [trial.params for trial in study.trials] == [trial["params"] for trial in document["trials"]]
    assert (study.best_trial.number, study.best_value) == (document["best"]["number"], document["best"]["value"])
    assert {trial.state.name for trial in study.trials} == {"COMPLETE", "PRUNED"}
    assert all(trial.intermediate_values for trial in study.trials)
    assert str(target) in call("tune", "export", tuned, "--storage", target, code=2).told("exists").err


@pytest.mark.slow
def test_failed_trials_are_tried_again_when_asked(call: Any, tuned: Path, tmp_path: Path) -> None:
    tuned.write_text(TUNE.replace("[1e-4, 1.0]", "[6.0, 9.0]").replace("trials: 12", "trials: 2"))
    said = run(call, tuned, code=4)
    assert "plain: 2 failed" in said.told().err
    assert "to retry" not in run(call, tuned, code=4).told().err
    assert "4 failed trials to retry" in run(call, tuned, "--retry", "failed", code=4).told().err
    with closing(sqlite3.connect(tmp_path / "results.db")) as connection:
        assert connection.execute("SELECT count(*), max(attempt) FROM runs").fetchone() == (4, 2)
    document = call("tune", "report", tuned, "--format", "json").document
    assert [arm["best"] for arm in document["arms"]] == [None, None]
    call("tune", "report", tuned, "--write", tmp_path / "x.yaml", code=5).told("not-found")
    assert not (tmp_path / "x.yaml").exists()


def test_a_tuning_file_is_no_study(call: Any, tuned: Path) -> None:
    said = call("grid", "check", tuned, code=3).told("study").err
    assert f"{tuned}:3: space: " in said
    assert "`ablate tune run`" in said


@pytest.mark.parametrize(
    ("args", "code", "error", "said"),
    [
        (("run", "tune.yaml", "--retry", "lots"), 2, "usage", "--retry lots: "),
        (("report", "tune.yaml", "--format", "pdf"), 2, "unknown-format", "--format pdf: "),
        (("report", "tune.yaml"), 5, "no-database", "results.db"),
        (("run", "other.yaml"), 5, "absent-study", "other.yaml: "),
        (("run", "toy.yaml"), 3, "study", "toy.yaml:2: "),
        (("run", "tune.yaml", "--profile", "cpu"), 3, "study", "'cpu'"),
        (("run", "tune.yaml", "--slurm", "time=5"), 2, "usage", "--slurm time=5: "),
        (("run", "tune.yaml", "--spool"), 2, "spool-unsupported", "spool"),
        (("run", "tune.yaml", "--executor", "cloud"), 2, "usage", "'cloud'"),
    ],
)
def test_what_cannot_be_meant(call: Any, tuned: Path, args: tuple[str, ...], code: int, error: str, said: str) -> None:
    assert said in call("tune", *args, code=code).told(error).err


@pytest.mark.slow
def test_a_tuning_is_seen_by_those_who_look_and_is_no_study(call: Any, tuned: Path) -> None:
    said = run(call, tuned, "--limit", 2)
    assert f": ablate tune run {tuned}" in said.told().err
    assert call("status", "--json").document == {"schema": 1, "studies": []}
    looked = call("status")
    assert re.match(r"tuning of toy: [12] of 2 ", looked.out)
    assert call("watch", "--once").out.startswith("tuning of toy: ")
    runs = call("runs", "list", "--json").document["runs"]
    assert [item["studies"][0].split(":")[:2] for item in runs] == [["tune", "toy"]] * 2
    assert json.dumps(runs)


@pytest.mark.slow
def test_what_is_open_says_how_to_go_on(call: Any, tuned: Path) -> None:
    """The asker went right after its first question; the trial keeps its name."""
    with Store.open(os.environ["ABLATE_DB"]) as store:
        Session(load_tuning(tuned), store).step(1)
    looked = call("status")
    assert "toy: 0 of 1 " in looked.told(out=True).out
    assert f": ablate tune run {tuned}" in looked.err
    assert "1 open" in call("tune", "report", tuned, "--format", "text").out
    lines = [line for line in run(call, tuned).err.splitlines() if line.startswith("[")]
    assert "#" not in "".join(lines)
    assert lines[0].split("  ")[:2] == ["[1/24 trials] done", "plain trial 0"]


@pytest.mark.slow
def test_a_tuning_is_over_when_its_budget_is_spent_and_not_before(call: Any, tuned: Path) -> None:
    """Between two trials nothing of it is queued, and it goes on all the same."""
    run(call, tuned, "--limit", 2)
    looked = call("status").told().err
    assert NOBODY in looked
    assert f": ablate tune run {tuned}" in looked
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        frame = watch.look(store, watch._plans(store, None, None, [])(), 0.0)
        assert not frame.over
        assert frame.idle == (True,)
    run(call, tuned)
    looked = call("status").told().err
    assert NOBODY not in looked
    assert f": ablate tune report {tuned}" in looked
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        assert watch.look(store, watch._plans(store, None, None, [])(), 0.0).over
    assert "toy: " in call("watch").told().out


@pytest.mark.slow
def test_found_trials_are_said_and_the_count_ends_at_its_total(call: Any, tuned: Path) -> None:
    def grid(rates: str) -> str:
        return f"study: toy.yaml\nspace: {{optimizer.lr: {{values: {rates}}}}}\nmetric: val_top1\nsampler: grid\n"

    tuned.write_text(grid("[0.01, 0.1]"))
    run(call, tuned)
    tuned.write_text(grid("[0.1, 0.01, 0.001]"))
    said = run(call, tuned).told().err
    assert [line.split("]")[0] for line in said.splitlines() if line.startswith("[")] == ["[5/6 trials", "[6/6 trials"]
    assert "\n4 trial runs " in said


def test_what_tuning_leaves_behind_can_be_freed(call: Any, tuned: Path) -> None:
    run(call, tuned, "--limit", 2)
    call("clean", "--yes")
    assert call("tune", "report", tuned, "--format", "json").document["arms"][0]["trials"]
