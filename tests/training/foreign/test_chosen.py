"""`trainer: {select: METRIC}`: which epoch is reported, for which metrics, and over several attempts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from golden_texts import raising

from ablate.errors import Diverged, Interrupted, RunFailure
from ablate.study.records import Context, Outcome
from ablate.study.values.run import Run
from ablate.training.foreign.json_lines import JsonLines
from ablate.training.foreign.measured import Measured

VAL_ACC = {"metric": "val_acc", "better": "higher"}


@pytest.fixture
def attempt(tmp_path: Path) -> Callable[..., Outcome]:
    """attempt(*lines of JSON, metrics=..., select=..., stop=...): one execution of a run; with `stop` it is ended behind the lines."""

    def read(*lines: Any, metrics: Any = None, select: Any = None, stop: bool = False) -> Any:
        given = {"command": ["x"], "metrics": metrics or {"val_acc": None}, "select": select or VAL_ACC}
        measured = Measured(
            Run("a" * 64, "b" * 64, 0, {}, given), Context(tmp_path, options={"study_dir": str(tmp_path)})
        )
        reader = JsonLines(measured)
        for line in lines:
            reader.take(json.dumps(line))
        measured.hand_on()
        return None if stop else measured.outcome()

    return read


CURVE = [{"epoch": e, "val_acc": acc, "loss": loss} for e, acc, loss in ((1, 0.5, 3.0), (2, 0.9, 2.0), (3, 0.7, 1.0))]


def test_all_metrics_with_epochs_are_those_of_the_best(attempt: Any) -> None:
    outcome = attempt(*CURVE, {"test_top1": 0.25})
    assert outcome.metrics == {"val_acc": 0.9, "loss": 2.0, "test_top1": 0.25, "top1": 0.25, "selected_epoch": 2.0}
    assert outcome.selected_epoch == 2
    assert outcome.details["last"] == {"val_acc": 0.7, "loss": 1.0, "test_top1": 0.25}


@pytest.mark.parametrize(
    ("values", "better", "epoch"),
    [
        ([0.5, 0.9, 0.9], "higher", 2),
        ([0.5, 0.2, 0.2], "lower", 2),
        ([0.5], "higher", 1),
        ([0.5, float("nan"), 0.6], "higher", 3),
        ([float("inf"), 0.5], "higher", 2),
    ],
)
def test_the_best_is_the_first_finite_one_by_its_direction(
    attempt: Any, values: list[float], better: str, epoch: int
) -> None:
    lines = [{"epoch": number, "val_acc": value} for number, value in enumerate(values, 1)]
    outcome = attempt(*lines, select={"metric": "val_acc", "better": better})
    assert (outcome.selected_epoch, outcome.metrics["val_acc"]) == (epoch, values[epoch - 1])


def test_a_metric_without_a_split_selects_on_what_is_reported(attempt: Any) -> None:
    lines = [{"epoch": e, "split": "val", "acc": acc} for e, acc in ((1, 0.5), (2, 0.4))]
    outcome = attempt(*lines, metrics={"acc": None}, select={"metric": "acc", "better": "higher"})
    assert (outcome.selected_epoch, outcome.metrics["acc"], outcome.reported_split) == (1, 0.5, "val")


def test_what_is_counted_otherwise_keeps_its_last_number(attempt: Any) -> None:
    outcome = attempt(*CURVE, {"step": 100, "train_loss": 4.0}, {"step": 200, "train_loss": 3.0})
    assert outcome.metrics["train_loss"] == 3.0
    assert outcome.selected_epoch == 2


def test_a_metric_that_the_study_does_not_declare_may_lack_the_epoch(attempt: Any) -> None:
    lines = [{"epoch": 1, "val_acc": 0.9}, {"epoch": 2, "val_acc": 0.5, "test_top1": 0.5}]
    assert "test_top1" not in attempt(*lines).metrics
    with raising(RunFailure):
        attempt(*lines, metrics={"val_acc": None, "test_top1": None})


def test_no_epoch_and_no_number(attempt: Any) -> None:
    with raising(RunFailure):
        attempt({"val_acc": 0.5})
    with raising(Diverged):
        attempt({"epoch": 1, "val_acc": 0.5}, {"epoch": 2, "val_acc": float("nan")})


def test_an_attempt_that_goes_on_has_earlier_epochs_behind_it(attempt: Any, tmp_path: Path) -> None:
    attempt(*CURVE, stop=True)
    outcome = attempt({"epoch": 4, "val_acc": 0.8, "loss": 0.5})
    assert (outcome.selected_epoch, outcome.metrics["val_acc"], outcome.metrics["loss"]) == (2, 0.9, 2.0)
    (kept,) = tmp_path.glob("epochs-*.jsonl")
    with kept.open("a") as stream:
        stream.write('["val_acc", 9')
    assert attempt({"epoch": 5, "val_acc": 0.95, "loss": 0.4}).selected_epoch == 5


def test_an_attempt_that_begins_anew_has_none(attempt: Any) -> None:
    attempt(*CURVE, stop=True)
    assert attempt(*({**line, "val_acc": 0.1 * line["epoch"]} for line in CURVE[:2])).selected_epoch == 2
    attempt({"epoch": 2, "val_acc": 0.99, "loss": 9.0}, stop=True)
    assert attempt({"epoch": 1, "val_acc": 0.1, "loss": 1.0}).selected_epoch == 1


def test_a_stopped_command_keeps_its_epochs(script: Any, told: Any) -> None:
    source = (
        "import pathlib, sys, time\nbehind = pathlib.Path(sys.argv[1], 'at')\nfirst = not behind.exists()\nbehind.touch()\n"
        "print('epoch 1 acc 0.9' if first else 'epoch 2 acc 0.4', flush=True)\ntime.sleep(60 if first else 0)\n"
    )
    more = {"metrics": {"val_acc": r"epoch (?P<epoch>\d) acc (\S+)"}, "trainer": {"select": VAL_ACC}}
    told.stop_at_once()
    with pytest.raises(Interrupted):
        script(source, "{run_dir}", **more)
    told.stop, told.then = 0, lambda told: None
    outcome = script(source, "{run_dir}", **more)
    assert (outcome.selected_epoch, outcome.metrics["val_acc"]) == (1, 0.9)
