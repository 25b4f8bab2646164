"""`runs list`, `show` and `diff`: which runs, in which order, with what."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.study.loader import load
from ablate.study.records import EpochRecord, Outcome


def rows(said) -> list[tuple[str, str]]:
    """Arm and seed of each run that is listed."""
    return [(line.split()[1], line.split()[2]) for line in said.out.splitlines()[1:]]


def test_the_best_come_first_and_what_has_no_value_last(call, tiny: Path, fill) -> None:
    fill(tiny, lambda arm, seed: "failed" if (arm, seed) == ("smooth", 1) else {"top1": 0.5 + 0.1 * seed + 0.2 * (arm == "plain"), "loss": 1.0 - seed})  # fmt: skip
    assert rows(call("runs", "list", "--sort", "top1")) == [("plain", "1"), ("plain", "0"), ("smooth", "0"), ("smooth", "1")]  # fmt: skip
    assert rows(call("runs", "list", "--sort", "loss"))[0] == ("plain", "1")
    assert rows(call("runs", "list", "--sort", "arm", "--limit", 2)) == [("plain", "1"), ("plain", "0")]
    assert "Only the first 2 runs shown" in call("runs", "list", "--sort", "seed", "--limit", 2).err
    assert [run["seed"] for run in call("runs", "list", "--sort", "seed", "--json").document["runs"]] == [0, 0, 1, 1]
    call("runs", "list", "--sort", "tpo1", code=2).told("unknown-column")


def test_runs_of_one_arm(call, tiny: Path, fill) -> None:
    fill(tiny)
    assert rows(call("runs", "list", "--arm", "smooth")) == [("smooth", "1"), ("smooth", "0")]
    assert rows(call("runs", "list", "--arm", "smooth", "--limit", 1)) == [("smooth", "1")], "the limit counts what is listed"  # fmt: skip
    call("runs", "list", "--arm", "smoth", code=2).told("unknown-arm")


def test_an_arm_that_is_the_same_run_as_another_has_its_runs(call, tiny: Path, fill) -> None:
    tiny.write_text(tiny.read_text().replace("levels: {plain: 0.0,", "levels: {plain: 0.0, same: 0.0,"))
    fill(tiny)
    listed = [call("runs", "list", "--arm", name, "--json").document["runs"] for name in ("plain", "same")]
    assert [run["run_id"] for run in listed[0]] == [run["run_id"] for run in listed[1]]
    assert len(listed[0]) == 2


def test_failed_runs_say_why(call, tiny: Path, fill) -> None:
    fill(tiny, lambda arm, seed: {0: "failed", 1: "lost"}[seed] if arm == "smooth" else {"top1": 0.5})
    said = call("runs", "list", "--failed")
    assert rows(said) == [("smooth", "1"), ("smooth", "0")]
    assert "ValueError: no such layer" in said.out
    assert "sent no heartbeat for 61 s" in said.out
    call("runs", "list", "--failed", "--state", "done", code=2).told("usage")


@pytest.fixture
def long(tiny: Path) -> list[str]:
    """A study of which two runs are done, with thirty epochs and many metrics; their ids."""
    study = load(tiny)
    with Store.open(os.environ["ABLATE_DB"]) as store:
        key = store.save_study(study, call_options={"set": [], "seeds": None})
        for number in (1, 2):
            claim = store.claim(key, WorkerInfo.here(device="cpu"))
            code = {"code": "ab" * 32, "commit": "12" * 20, "dirty": True, "parts": {f"only {number}": "cd" * 32}}
            store.set_environment(claim, {"device": "cpu", "python": "3.11.7", "packages": {"torch": "2.11"}, **code})
            for epoch in range(1, 31):
                metrics = {"loss": 1 / epoch, "top1": epoch / 40, **{f"metric_number_{n}": n / 7 for n in range(9)}}
                store.record_epoch(claim, [EpochRecord(epoch, "test", metrics)])
            final = {"top1": 0.75, "loss": 1 / 3 + number * 1e-9, "peak_memory": 2**20 * 100 * number}
            store.finish(claim, Outcome(final, "test"), 2.0)
        return [result.run.run_id for result in store.list_runs(states=["done"])]


def test_every_epoch_is_shown_at_80_columns(call, long: list[str]) -> None:
    shown = call("runs", "show", long[0][:12]).out
    table = shown.partition("30 epochs\n")[2].partition("also recorded")[0].splitlines()
    assert table[0].split()[:3] == ["epoch", "loss", "top1"]
    assert [line.split()[0] for line in table[1:]] == [str(epoch) for epoch in range(1, 31)]
    assert max(map(len, table)) <= 80
    assert "also recorded, in --json: metric_number_" in shown
    environment = shown.partition("environment\n")[2].partition("30 epochs")[0]
    assert "  commit: 121212121212 with uncommitted changes\n" in environment
    assert "  packages: torch 2.11\n" in environment


def test_the_document_of_a_run_is_complete(call, long: list[str]) -> None:
    document = call("runs", "show", long[0], "--json").document
    assert len(document["epochs"]) == 30
    assert document["epochs"][29]["metric_number_8"] == 8 / 7
    assert document["environment"]["parts"]
    assert document["tries"][0]["state"] == "done"
    assert {"recipe", "confusions", "artifacts", "reported_split", "selected_epoch", "error", "details", "log"} <= set(document)  # fmt: skip


def test_a_difference_is_rounded_and_nothing_else(call, long: list[str]) -> None:
    said = call("runs", "diff", *long).out
    lines = {line[:40].strip(): line.split() for line in said.splitlines()}
    assert "recipe epochs" not in said
    assert "only 1" not in said, "a part that one recipe uses follows from the recipe"
    assert {"100 MiB", "200 MiB"} <= {" ".join(words[-4:-2]) for words in lines.values()} | {" ".join(words[-2:]) for words in lines.values()}  # fmt: skip
    assert "0.333333334" in said, "numbers that rounding makes equal are whole"
    everything = call("runs", "diff", *long, "--all").out
    assert "recipe epochs" in everything
    assert "environment parts.only 1" in everything
    assert call("runs", "diff", long[0], long[0]).out == "no difference\n"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of one run of a script that prints a number of each split."""
    monkeypatch.setenv("ABLATE_HOME", str(tmp_path / "home"))
    (tmp_path / "train.py").write_text("print('epoch 1 val 0.5')\nprint('epoch 1 test 0.25')\n")
    study = """
study: named
recipe: {lr: 0.1, amp: true, norm: "True"}
trainer:
  command: [python, train.py, "a b"]
  seed: env
  metrics:
    val_cost: {better: lower, pattern: 'val (\\S+)'}
    test_cost: {better: lower, pattern: 'test (\\S+)'}
factors: {rate: {path: lr, levels: [0.1, 1e-5]}}
seeds: 1
baseline: {rate: 0.1}
"""
    (tmp_path / "named.yaml").write_text(study)
    return tmp_path / "named.yaml"


@pytest.mark.slow
def test_metrics_of_a_script_have_the_names_that_it_declares(call, script: Path) -> None:
    """Everywhere: also where the test set is reported, and ablate's own stand without its name."""
    assert "val_cost 0.5000  test_cost 0.2500" in call("grid", "run", script).err
    (head, *rows) = call("runs", "list").out.splitlines()
    assert {"val_cost", "test_cost"} <= set(head.split())
    shown = call("runs", "show", rows[0].split()[0]).out
    assert "test_cost 0.2500   val_cost 0.5000" in shown
    assert shown.partition("1 epoch\n")[2].splitlines()[0].split() == ["epoch", "test_cost", "val_cost"]
    assert " cost" not in shown.partition("recipe")[0]


@pytest.mark.slow
def test_settings_of_a_run_stand_as_a_study_file_has_them(call, script: Path) -> None:
    """A text that looks like a truth value is told from one."""
    call("grid", "run", script)
    one, other = (line.split()[0] for line in call("runs", "list").out.splitlines()[1:])
    shown = call("runs", "show", one).out
    assert "  amp: true\n" in shown
    assert '  norm: "True"\n' in shown
    said = call("runs", "diff", one, other, "--all").out
    assert ["recipe", "amp", "true", "true"] in [line.split() for line in said.splitlines()]
    assert "python train.py 'a b'" in said
