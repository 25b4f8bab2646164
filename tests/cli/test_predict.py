"""`ablate predict` on a study that was trained once for all tests here: columns, files, and every way to refuse."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.study.loader import load
from ablate.study.records import RunResult
from ablate.training.selection import Watch

STUDY = """
study: colours
recipe:
  data: {name: imagefolder, path: colours, image_size: 8, split: official}
  model: {arch: two-layer-fc, args: {hidden: 8}}
  optimizer: {lr: 0.05}
  batch_size: 8
  epochs: 3
factors:
  select: {path: select, levels: [last, val_top1]}
seeds: [7]
baseline: {select: last}
keep: selected
"""
CLASSES = {"blue, deep": (40, 60, 190), "green": (60, 180, 60), "rosé": (200, 120, 140)}
LOOK = ("--device", "cpu", "--threads", "1")


def ablate(*args: object) -> None:
    from ablate.cli.app import main

    sys.argv = ["ablate", *map(str, args)]
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code in (0, None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study, its data, its database and its run folders: two runs are done, one selected its epoch 2."""
    place = tmp_path_factory.mktemp("trained")
    draws = np.random.default_rng(0)
    for part, count in (("train", 12), ("val", 6)):
        for name, colour in CLASSES.items():
            folder = place / "data" / "colours" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = np.array(colour) + draws.normal(0, 60, (10, 9, 3)) + draws.normal(0, 90, 3)
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{name} {number + 8}.png")
    (place / "colours.yaml").write_text(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(sys, "argv", [])
        patch.setattr(Watch, "update", lambda watch, epoch, value: epoch == 2)
        for name, value in (("HOME", "home"), ("DATA", "data"), ("DB", "sqlite:///results.db")):
            patch.setenv(f"ABLATE_{name}", value)
        ablate("grid", "run", "colours.yaml", "--executor", "inline", "--threads", "1", "--device", "cpu")
    return place


Predict = Callable[..., Any]


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the trained study in the test's own folder."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def runs(here: Path) -> dict[str, RunResult]:
    """The two runs by their `select`."""
    with Store.open(f"sqlite:///{here / 'results.db'}", read_only=True) as store:
        found = [store.find(result.run.run_id) for result in store.list_runs()]
    return {result.run.recipe["select"]: result for result in found}


@pytest.fixture
def look(call, here: Path) -> Predict:
    """`look("data/colours/val", ...)`: predict with the run that selects its last epoch, or with another."""

    def predict(*args: object, select: str = "last", code: int = 0) -> Any:
        run = runs(here)[select].run.run_id[:10]
        return call("predict", run, *LOOK, *args, code=code)

    return predict


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


VAL = "data/colours/val"


# What is written ------------------------------------------------------------------------------------------------------


def test_a_row_for_each_image_as_the_run_evaluated_it(look: Predict, here: Path) -> None:
    (here / VAL / "Thumbs.db").touch()
    said = look(VAL, "--out", "new/predictions.csv").told()
    result = runs(here)["last"]
    text = (here / "new" / "predictions.csv").read_text(encoding="utf-8")
    rows = read(text)
    assert text.splitlines()[0] == "file,class,probability"
    assert [row["file"] for row in rows[:4]] == [f"blue, deep/blue, deep {number}.png" for number in range(8, 12)]
    names = tuple(CLASSES)
    counts = [[0] * 3 for _ in names]
    for row in rows:
        counts[names.index(row["file"].split("/")[0])][names.index(row["class"])] += 1
        assert re.fullmatch(r"[01]\.\d{6}", row["probability"])
    assert tuple(map(tuple, counts)) == result.confusions[0].counts
    assert said.out == ""
    assert [path.name for path in (here / "new").iterdir()] == ["predictions.csv"]


def test_without_out_the_rows_go_to_stdout(look: Predict, here: Path) -> None:
    said = look(VAL)
    assert len(read(said.out)) == 18
    assert look(VAL, "--out", "-").out == said.out
    assert look(f"{VAL}/green/green 9.png").out.splitlines()[1].startswith("green 9.png,")
    assert not list(here.glob("*.csv"))


def test_two_columns_for_a_competition(look: Predict) -> None:
    plain = read(look(VAL).out)
    said = look(VAL, "--id-column", "Id", "--label-column", "Label").out
    assert said.startswith("Id,Label\n")
    assert read(said) == [{"Id": row["file"].split("/")[1], "Label": row["class"]} for row in plain]
    stems = read(look(VAL, "--id-column", "Id", "--label-column", "Label", "--id-stem", "--label-index").out)
    assert stems[0]["Id"] == "blue, deep 8"
    assert [list(CLASSES)[int(row["Label"])] for row in stems] == [row["class"] for row in plain]


def test_it_is_always_the_epoch_that_the_runs_numbers_are_of(look: Predict, here: Path) -> None:
    result = runs(here)["val_top1"]
    said = look(VAL, select="val_top1").told()
    right = sum(row["file"].startswith(row["class"]) for row in read(said.out))
    assert right / 18 == pytest.approx(result.metrics["top1"])
    assert 6 < right < 18


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--id-column", "id"], "--id-column and --label-column go together, as in --id-column id --label-column label."),
        (["--label-column", "x"], "--id-column and --label-column go together"),
        (["--id-column", "id", "--label-column", "id"], "--id-column and --label-column must be two different names."),
        (["--id-column", "", "--label-column", "x"], "--id-column and --label-column must be two different names."),
        (["--id-stem"], "--id-stem needs --id-column NAME --label-column NAME."),
        (["--out", "data"], "--out data: is a folder; name a file in it, such as data/predictions.csv."),
        (["--out", "/dev/null"], "--out /dev/null: not an ordinary file. Choose another, or - for stdout."),
        (["--out", "colours.yaml"], "--out colours.yaml: already exists. Choose another file, or replace it with --force."),
        (["--batch-size", "0"], "--batch-size"),
        (["--device", "tpu"], "unknown device 'tpu'; allowed: auto, cpu, mps, cuda"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_meant(look: Predict, here: Path, options: list[str], said: str) -> None:
    found = look(VAL, *options, code=2)
    assert said in found.err
    assert found.out == ""
    assert (here / "colours.yaml").read_text() == STUDY


def test_a_file_is_replaced_only_with_force(look: Predict, here: Path) -> None:
    (here / "p.csv").write_text("mine")
    look(VAL, "--out", "p.csv", code=2)
    assert (here / "p.csv").read_text() == "mine"
    look(VAL, "--out", "p.csv", "--force")
    assert len(read((here / "p.csv").read_text())) == 18


def test_a_file_that_comes_meanwhile_is_left_alone(look: Predict, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ablate.training import predict as predicting

    real = predicting.predict

    def slow(*args: Any, **more: Any) -> Any:
        (here / "p.csv").write_text("another's")
        return real(*args, **more)

    monkeypatch.setattr(predicting, "predict", slow)
    assert "already exists" in look(VAL, "--out", "p.csv", code=2).err
    assert (here / "p.csv").read_text() == "another's"


def test_a_failed_write_leaves_the_old_file(look: Predict, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ablate.report import html

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    (here / "out").mkdir()
    (here / "out" / "p.csv").write_text("old")
    monkeypatch.setattr(html.os, "fsync", full)
    look(VAL, "--out", "out/p.csv", "--force", code=8).told("no-space-or-permission")
    assert [path.read_text() for path in (here / "out").iterdir()] == ["old"]


def test_a_folder_that_cannot_be_written_to_is_told_first(
    look: Predict, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ablate.cli.commands import predict as command

    monkeypatch.setattr(command.os, "access", lambda path, mode: False)
    look(VAL, "--out", "new/deep/p.csv", code=8).told("no-space-or-permission")


def test_the_same_id_in_two_folders(look: Predict, here: Path) -> None:
    shutil.copy(here / VAL / "green" / "green 9.png", here / VAL / "green 9.png")
    columns = ("--id-column", "id", "--label-column", "label")
    look(VAL, *columns, "--out", "p.csv", code=2).told("usage")
    Image.new("RGB", (9, 9)).save(here / VAL / "green" / "green 10.bmp")
    (here / VAL / "green 9.png").unlink()
    look(VAL, *columns, "--id-stem", code=2).told("usage")
    assert len(read(look(VAL, *columns).out)) == 19
    assert not (here / "p.csv").exists()


def test_bad_images(look: Predict, here: Path) -> None:
    (here / VAL / "green" / "empty.png").touch()
    (here / VAL / "text.jpg").write_text("no picture")
    look(VAL, "--out", "p.csv", code=4).told("bad-data")
    assert look(VAL, code=4).out == ""
    assert not (here / "p.csv").exists()
    left = look(VAL, "--out", "p.csv", "--skip-bad").err.splitlines()[2:]
    assert left == [
        "skipped: green/empty.png (empty file)",
        "skipped: text.jpg (not an image in a known format)",
        "written: p.csv (18 rows)",
    ]


def test_nothing_to_predict(look: Predict, here: Path) -> None:
    (here / "empty").mkdir()
    look("empty", code=5).told("not-found")
    look("absent", code=5).told("not-found")


def test_a_run_that_is_not_there_or_not_done(call, look: Predict, here: Path) -> None:
    call("predict", "zz", VAL, *LOOK, code=5).told("unknown-run")
    call("predict", "zz", VAL, "--db", "other.db", code=5).told("no-database")
    (here / "colours.yaml").write_text(STUDY.replace("[7]", "[7, 8]"))
    study = load(here / "colours.yaml")
    with Store.open(f"sqlite:///{here / 'results.db'}") as store:
        key = store.save_study(study, call_options={"set": [], "seeds": None})
        claim = store.claim(key, WorkerInfo.here(device="cpu"))
        assert claim is not None
        store.fail(claim, "the loss is not finite", "diverged")
    call("predict", claim.run.run_id, VAL, *LOOK, code=5).told("run-not-done")
    claim.run.run_id[:12]


def test_a_run_without_weights_says_how_to_get_them(call, look: Predict, here: Path, trained: Path) -> None:
    """And what it says works: the study's file is where the run was asked for, though this folder has a copy."""
    with sqlite3.connect(here / "results.db") as database:
        database.execute("delete from artifacts")
    database.close()
    run = runs(here)["last"].run.run_id
    said = call("predict", run[:9], VAL, *LOOK, code=5).err.splitlines()
    assert said[0].startswith(f"error: run {run[:12]} kept no weights. Add the line `keep: selected` ")
    assert said[1:] == [
        f"  ablate grid run {trained / 'colours.yaml'} --seeds 7, --db weights.db",
        f"  ablate predict {run[:12]} {VAL} --db weights.db",
    ]
    call(*said[1].split()[1:], "--executor", "inline", *LOOK)
    again = call(*said[2].split()[1:], *LOOK)
    assert len(read(again.out)) == 18


@pytest.mark.slow
def test_weights_are_checked_against_the_database(look: Predict, here: Path) -> None:
    run = runs(here)["last"].run.run_id
    weights = here / "home" / "runs" / run[:2] / run / "model-last.pt"
    beside = weights.with_suffix(".json")
    notes = json.loads(beside.read_text())
    beside.write_text(json.dumps({**notes, "classes": ["x", "y", "z"]}))
    look(VAL, code=4).told("bad-data")
    beside.write_text(json.dumps(notes))
    weights.write_bytes(weights.read_bytes() + b"x")
    look(VAL, code=4).told("digest-differs")
    weights.unlink()
    look(VAL, code=5).told("absent-weights")


def test_a_run_of_another_trainer(look: Predict, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Store.find

    def find(store: Store, prefix: str) -> RunResult:
        result = real(store, prefix)
        return replace(result, run=replace(result.run, trainer={"command": "python train.py"}))

    monkeypatch.setattr(Store, "find", find)
    look(VAL, code=2).told("trained-elsewhere")
