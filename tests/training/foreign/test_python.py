"""Python functions as trainers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from golden_texts import raising

import ablate
from ablate.errors import Diverged, Interrupted, NotFound, RunFailure, StopRun
from ablate.study.records import Context
from ablate.study.values.run import Run
from ablate.training.foreign import python

HEAD = "def train(recipe, *, seed, run_dir, report):\n    "


def test_a_function_gets_the_run_and_returns_its_metrics(function: Any, told: Any, own_folder: Any) -> None:
    outcome = function(
        HEAD + "report(epoch=1, split='val', loss=2.0)\n    report(step=2, val_loss=recipe['a']['b'] + seed)\n"
        "    (run_dir / 'weights').write_text('w')\n    return {'top1': 0.5, 'acc': 1}",
        metrics={"acc": None},
        recipe={"a": {"b": 0.25}},
        seed=3,
    )
    assert told.epochs("loss") == [(1, "val", 2.0), (2, "val", 3.25)]
    assert outcome.metrics == {"val_loss": 3.25, "top1": 0.5, "acc": 1.0}
    assert (own_folder() / "weights").read_text() == "w"


def test_what_was_reported_last_is_final_where_nothing_is_returned(function: Any) -> None:
    outcome = function(HEAD + "report(epoch=1, acc=0.1)\n    report(epoch=2, acc=0.2)", metrics={"acc": None})
    assert outcome.metrics == {"acc": 0.2}
    assert outcome.reported_split == "test"


def test_numpy_numbers_are_numbers(function: Any) -> None:
    source = (
        "import numpy as np\n"
        + HEAD
        + "report(epoch=np.int64(1), top1=np.float32(0.5))\n    return {'top1': np.mean([0.5, 1])}"
    )
    assert function(source).metrics == {"top1": 0.75}


def test_the_recipe_is_the_functions_own_to_change(function: Any) -> None:
    recipe = {"a": {"b": [1]}}
    function(HEAD + "recipe['a']['b'].append(2); recipe.clear()\n    return {'top1': 1.0}", recipe=recipe)
    assert recipe == {"a": {"b": [1]}}


@pytest.mark.parametrize(
    ('body', 'error'),
    [
        ("return 0.5", RunFailure),
        ("return [('top1', 1)]", RunFailure),
        ("return {'top1': 'good'}", RunFailure),
        ("return {'top1': '0.5'}", RunFailure),
        ("return {'top1': None}", RunFailure),
        ("return {'top1': True}", RunFailure),
        ("return {'top1': [1]}", RunFailure),
        ("return {3: 1.0}", RunFailure),
        ("return {'accu': 1.0}", RunFailure),
        ("report(epoch=1, accu=1.0)", RunFailure),
        ("report(epoch=1, acc='x')", RunFailure),
        ("report(epoch=1.5, acc=1)", RunFailure),
        ("report(epoch=-1, acc=1)", RunFailure),
        ("report(epoch=True, acc=1)", RunFailure),
        ("report(split='vla', acc=1)", RunFailure),
        ("return {}", RunFailure),
        ("return {'acc': float('nan')}", Diverged),
        ("import ablate; raise ablate.StopRun('tired')", RunFailure),
    ],
)  # fmt: skip
def test_what_a_function_gets_wrong_is_said(function: Any, body: str, error: Any) -> None:
    with raising(error):
        function(HEAD + body, metrics={"acc": None})


def test_an_error_of_the_functions_own_is_its_own(function: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        function(HEAD + "return {'top1': 1 / 0}")


@pytest.mark.parametrize(
    ('source', 'name'),
    [
        ("def train(recipe): pass", "train"),
        ("def train(*, seed, run_dir, report): pass", "train"),
        ("def train(recipe, extra, **more): pass", "train"),
    ],
)  # fmt: skip
def test_another_signature_is_told_before_anything_runs(function: Any, source: str, name: str) -> None:
    with raising(RunFailure):
        function(source, name=name)


def test_a_signature_that_takes_anything_is_fine(function: Any) -> None:
    assert function("def train(*args, **more):\n    return {'loss': float(len(more))}").metrics == {"loss": 3.0}


def test_a_module_or_function_that_is_not_there(context: Context, function: Any, tmp_path: Path) -> None:
    run = Run("a" * 64, "b" * 64, 0, {}, {"python": "no_such.mod:train", "metrics": {}})
    with raising(NotFound):
        python.fit(run, context)
    with raising(NotFound):
        function("def train(**more): pass", name="trian")


def test_a_module_that_lacks_one_of_its_own_says_which(function: Any) -> None:
    with pytest.raises(ModuleNotFoundError, match="not_installed"):
        function("import not_installed")


def test_the_studys_folder_comes_first_and_is_gone_afterwards(function: Any, tmp_path: Path) -> None:
    before = list(sys.path)
    outcome = function("import sys\nFIRST = sys.path[0]\n" + HEAD + "return {'top1': float(FIRST == recipe['folder'])}", recipe={"folder": str(tmp_path / "study")})  # fmt: skip
    assert outcome.metrics["top1"] == 1.0
    assert sys.path == before


def test_what_it_prints_is_no_data_of_ours(function: Any, capsys: Any) -> None:
    function(HEAD + "print('epoch 1')\n    return {'top1': 1.0}")
    said = capsys.readouterr()
    assert said.out == ""
    assert "epoch 1" in said.err


@pytest.mark.parametrize("ending", ["raise", "pass", "return {'top1': 1.0}"])
def test_report_raises_where_the_run_should_end(function: Any, told: Any, own_folder: Any, ending: str) -> None:
    told.stop_at_once()
    source = f"""
import ablate
def train(recipe, *, seed, run_dir, report):
    try:
        report(epoch=1, top1=0.5)
        report(epoch=2, top1=0.6)
    except ablate.StopRun:
        (run_dir / "checkpoint").write_text("saved")
        {ending}
"""
    with pytest.raises(Interrupted) as stopped:
        function(source)
    assert stopped.value.signal_number == 15
    assert (own_folder() / "checkpoint").read_text() == "saved"
    assert told.epochs("top1") == [(1, "test", 0.5)]


def test_stop_run_is_ablates_own_name() -> None:
    assert ablate.StopRun is StopRun
    with raising(AttributeError):
        _ = ablate.StopRuns  # type: ignore[attr-defined]


def test_describe_names_the_modules_file(context: Context, tmp_path: Path) -> None:
    (tmp_path / "study" / "pkg").mkdir()
    (tmp_path / "study" / "pkg" / "mod.py").write_text("x")
    run = Run("a" * 64, "b" * 64, 0, {}, {"python": "pkg.mod:train", "metrics": {}})
    environment, fingerprint = python.describe(run, context)
    assert list(environment["files"]) == ["pkg/mod.py"]
    assert fingerprint == "cpu, 2 threads"
