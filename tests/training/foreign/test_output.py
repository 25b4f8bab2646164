"""Numbers out of lines."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from ablate.errors import Diverged, RunFailure
from ablate.study.records import Context, Outcome
from ablate.study.run import Run
from ablate.training.foreign import measured as measured_module
from ablate.training.foreign.measured import FLUSH_SECONDS, Measured
from ablate.training.foreign.output import LAST_LINES, LONGEST_SHOWN, Output


def read(
    lines: list[str], metrics: dict[str, str | None] | None = None, stdout: bool = True
) -> tuple[Outcome, list[Any]]:
    """The outcome of these lines, and every (epoch, split, name, value) that was handed on."""
    records: list[Any] = []
    context = Context(Path("."), on_epoch=records.extend)
    run = Run("a" * 64, "b" * 64, 0, {}, {"command": ["x"], "metrics": metrics or {}})
    measured = Measured(run, context)
    output = Output(measured)
    for line in lines:
        output.take(line, stdout=stdout)
    outcome = measured.outcome()
    return outcome, [(r.epoch, r.split, name, value) for r in records for name, value in r.metrics.items()]


def test_json_lines_with_epochs_and_splits() -> None:
    outcome, records = read(
        [
            "starting",
            '{"epoch": 1, "split": "train", "loss": 2.5}',
            '{"epoch": 1, "split": "test", "top1": 0.5, "note": "x", "flag": true, "nothing": null}',
            '  {"epoch": 2, "split": "test", "top1": 0.71}',
            '{"split": "test", "top5": 0.9}',
        ]
    )
    assert records == [(1, "train", "loss", 2.5), (1, "test", "top1", 0.5), (2, "test", "top1", 0.71)]
    assert outcome.metrics == {"train_loss": 2.5, "test_top1": 0.71, "top1": 0.71, "test_top5": 0.9, "top5": 0.9}
    assert outcome.reported_split == "test"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"step": 250, "val_loss": 1.5}', (250, "val", "loss", 1.5)),
        ('{"epoch": 3.0, "step": 250, "val_loss": 1.5}', (3, "val", "loss", 1.5)),
        ('{"epoch": 0.02, "step": 10, "val_loss": 1.5}', (10, "val", "loss", 1.5)),
        ('{"step": 0, "split": "val", "loss": 1.5}', (0, "val", "loss", 1.5)),
        ('{"epoch": 1, "split": "dev", "top1": 0.5}', (1, "test", "top1", 0.5)),
        ('{"epoch": 1, "top1": 1}', (1, "test", "top1", 1.0)),
    ],
)
def test_where_a_json_number_belongs(line: str, expected: Any) -> None:
    _, records = read([line])
    assert records == [expected]


def test_a_validation_set_alone_is_what_is_reported() -> None:
    outcome, _ = read(['{"step": 1, "train_loss": 3, "val_loss": 2}', '{"step": 2, "train_loss": 2, "val_loss": 1.5}'])
    assert outcome.reported_split == "val"
    assert outcome.metrics == {"train_loss": 2.0, "val_loss": 1.5, "loss": 1.5}


@pytest.mark.parametrize(
    "line",
    ["{broken", "{'top1': 0.5}", '{"top1": 0.5', '{"epoch": "three", "top1": 0.1}', '{"epoch": -1, "top1": 0.1}', "{" * 5000, '["top1", 0.1]', '{"epoch": 1.5, "top1": 0.1}'],
)  # fmt: skip
def test_what_is_no_json_line_is_ordinary_output(line: str) -> None:
    outcome, records = read([line, '{"top1": 0.75}', line])
    assert outcome.metrics == {"top1": 0.75}
    assert records == []


def test_json_lines_are_read_from_stdout_and_patterns_from_both() -> None:
    with pytest.raises(RunFailure, match="no metric came: nothing was reported"):
        read(['{"top1": 0.5}'], stdout=False)
    outcome, _ = read(["acc 0.5"], {"top1": "acc ([0-9.]+)"}, stdout=False)
    assert outcome.metrics["top1"] == 0.5


def test_patterns_count_their_matches_and_the_last_one_is_final() -> None:
    metrics = {"val_loss": r"val loss ([0-9.]+)", "bpc": r"bpc=(\S+)"}
    outcome, records = read(["step 0: val loss 4.2", "noise", "step 250: val loss 2.0, bpc=3", "val loss ."], metrics)
    assert records == [(1, "val", "loss", 4.2), (2, "val", "loss", 2.0), (1, "test", "bpc", 3.0)]
    assert outcome.metrics == {"val_loss": 2.0, "bpc": 3.0}


def test_a_pattern_may_say_which_step_it_was() -> None:
    outcome, records = read(
        ["step 0: loss 4.2", "step 250: loss 2.0"], {"val_loss": r"step (?P<step>\d+): loss ([0-9.]+)"}
    )
    assert records == [(0, "val", "loss", 4.2), (250, "val", "loss", 2.0)]
    assert outcome.metrics["val_loss"] == 2.0


def test_a_number_of_no_epoch_is_final_whatever_comes_after() -> None:
    outcome, _ = read(['{"top1": 0.9}', '{"epoch": 3, "top1": 0.5}'])
    assert outcome.metrics["top1"] == 0.9


@pytest.mark.parametrize("word", ["nan", "NaN", "inf", "-inf", "Infinity"])
def test_a_number_that_is_none_is_seen_whatever_the_pattern_says(word: str) -> None:
    metrics = {"val_loss": r"val loss (-?[0-9.]+)"}
    with pytest.raises(Diverged, match=r"^val_loss is not finite: -?(nan|inf) at epoch 2$"):
        read(["val loss 2.0", f"val loss {word}, lr 0.1"], metrics)
    outcome, records = read([f"val loss {word}", "val loss 2.0, grad nan", "nancy inferred"], metrics)
    assert outcome.metrics["val_loss"] == 2.0
    assert not math.isfinite(records[0][3])


def test_json_numbers_that_are_none() -> None:
    outcome, records = read(
        ['{"epoch": 1, "top1": NaN}', '{"epoch": 2, "top1": 0.5}', '{"epoch": 2, "loss": Infinity}']
    )
    assert outcome.metrics == {"top1": 0.5}
    assert len(records) == 3
    with pytest.raises(Diverged, match=r"^top1 is not finite: nan at epoch 1$"):
        read(['{"epoch": 1, "top1": NaN, "top5": 0.5}'], {"top1": None})
    with pytest.raises(Diverged, match=r"^top1 is not finite: inf$"):
        read(['{"top1": 1' + "0" * 400 + "}"], {"top1": None})


@pytest.mark.parametrize(
    ("lines", "metrics", "message"),
    [
        (["acc 0.5"], {"acc": "accuracy ([0-9.]+)"}, "the metric acc never came: no line of the output matched its pattern 'accuracy ([0-9.]+)'"),
        (["acc x"], {"acc": "acc (.)"}, "the metric acc never came: no line of the output matched its pattern 'acc (.)'"),
        (['{"accuracy": 0.5, "lr": 1}'], {"acc": None}, "the metric acc never came: reported were accuracy, lr, which trainer.metrics does not declare"),
        (['{"top1": 0.5}'], {"acc": None}, "the metric acc never came: nothing was reported by that name"),
        (["hello"], {}, "no metric came: nothing was reported"),
        (['{"accuracy": 0.5}'], {}, "no metric came: reported were accuracy, which trainer.metrics does not declare"),
    ],
)  # fmt: skip
def test_a_metric_that_never_came_is_named(lines: list[str], metrics: Any, message: str) -> None:
    with pytest.raises(RunFailure) as failure:
        read(lines, metrics)
    assert str(failure.value) == message


def test_a_declared_metric_may_come_on_the_reported_split() -> None:
    assert read(['{"epoch": 1, "split": "test", "acc": 0.5}'], {"acc": None})[0].metrics["acc"] == 0.5
    assert read(['{"epoch": 1, "split": "val", "acc": 0.5}'], {"acc": None})[0].metrics["acc"] == 0.5


def test_the_last_lines_are_kept_and_cut() -> None:
    output = Output(Measured(Run("a", "b", 0, {}, {"metrics": {}}), Context(Path("."))))
    for number in range(1000):
        output.take(f"{number} " + "x" * 1000, stdout=True)
    assert len(output.last) == LAST_LINES
    assert output.last[-1].startswith("999 x")
    assert {len(line) for line in output.last} == {LONGEST_SHOWN}


def test_records_are_handed_on_together_and_at_the_end() -> None:
    now = [0.0]
    handed: list[int] = []
    context = Context(Path("."), on_epoch=lambda records: handed.append(len(records)))
    measured = Measured(Run("a", "b", 0, {}, {"metrics": {}}), context, clock=lambda: now[0])
    for step in range(1, 101):
        measured.take({"val_loss": 1.0}, step)
    assert handed == [1]
    now[0] = FLUSH_SECONDS
    measured.hand_on_if_due()
    measured.take({"val_loss": 1.0}, 101)
    assert handed == [1, 99]
    measured.outcome()
    assert handed == [1, 99, 1]


def test_records_without_end_are_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured_module, "MOST_RECORDS", 100)
    handed = 0

    def count(records: Any) -> None:
        nonlocal handed
        handed += len(records)

    run = Run("a", "b", 0, {}, {"metrics": {}})
    measured = Measured(run, Context(Path("."), on_epoch=count), clock=lambda: 0.0)
    for step in range(1, 111):
        measured.take({"val_loss": float(step)}, step)
    outcome = measured.outcome()
    assert handed == 100
    assert outcome.metrics["val_loss"] == 110
    assert outcome.details["records_left_out"] == 10


def test_progress_is_told_where_the_recipe_says_how_many_epochs() -> None:
    seen: list[Any] = []
    run = Run("a", "b", 0, {"epochs": 4}, {"metrics": {}})
    measured = Measured(run, Context(Path("."), on_progress=seen.append))
    measured.take({"top1": 0.5}, 3)
    assert [(p.epoch, p.epochs, p.step, p.steps) for p in seen] == [(3, 4, 3, 4)]
