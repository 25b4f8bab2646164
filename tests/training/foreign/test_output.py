"""Numbers out of lines."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from golden_texts import raising

from ablate.errors import Diverged, RunFailure
from ablate.study.records import Context, Outcome
from ablate.study.values.run import Run
from ablate.training.foreign import measured as measured_module
from ablate.training.foreign.measured import FLUSH_SECONDS, Measured
from ablate.training.foreign.output import KEPT, LONGEST_SHOWN, Output


def read(
    lines: list[str], metrics: dict[str, str | None] | None = None, stdout: bool = True, more: Any = None
) -> tuple[Outcome, list[Any]]:
    """The outcome of these lines, and every (epoch, split, name, value) that was handed on."""
    records: list[Any] = []
    context = Context(Path("."), on_epoch=records.extend)
    run = Run("a" * 64, "b" * 64, 0, {}, {"command": ["x"], "metrics": metrics or {}, **(more or {})})
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
        ('{"epoch": 1, "split": "dev", "top1": 0.5}', (1, "val", "top1", 0.5)),
        ('{"epoch": 1, "split": "Validation", "top1": 0.5}', (1, "val", "top1", 0.5)),
        ('{"epoch": 1, "split": "training", "top1": 0.5}', (1, "train", "top1", 0.5)),
        ('{"epoch": 1, "split": null, "top1": 0.5}', (1, "test", "top1", 0.5)),
        ('{"epoch": "3", "top1": "0.5"}', (3, "test", "top1", 0.5)),
        ('{"epoch": 1, "top1": "5e-1"}', (1, "test", "top1", 0.5)),
        ('{"epoch": 1, "val/loss": 0.5}', (1, "val", "loss", 0.5)),
        ('{"epoch": 1, "eval_loss": 0.5}', (1, "val", "loss", 0.5)),
        ('{"epoch": 1, "valid/top1": 0.5}', (1, "val", "top1", 0.5)),
        ('{"epoch": 1, "split": "test", "val_loss": 0.5}', (1, "val", "loss", 0.5)),
        ('{"epoch": 1, "eval": {"loss": 0.5}}', (1, "val", "loss", 0.5)),
        ('{"eval": {"loss": 0.5, "epoch": 2}, "lr": {"loss": 3}}', (2, "val", "loss", 0.5)),
        ('{"epoch": 1, "top1": 0.5, "top1": 0.5}', (1, "test", "top1", 0.5)),
        ('\x1b[32m{"epoch": 1, "top1": 0.5}\x1b[0m', (1, "test", "top1", 0.5)),
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
    ["{broken", "{'top1': 0.5}", '{"top1": 0.5', "{" * 5000, '["top1", 0.1]', '{"epoch": 1.5, "lr": 0.1}', '{"split": "holdout", "lr": 0.1}', '{"loss": "mse 2"}', '{"top1": true}', '{"top1": null}', '{"top1": [0.1]}', '{"best": {"top1": 0.1}}'],
)  # fmt: skip
def test_what_is_no_json_line_is_ordinary_output(line: str) -> None:
    outcome, records = read([line, '{"top1": 0.75}', line])
    assert outcome.metrics == {"top1": 0.75}
    assert records == []


def test_json_lines_are_read_from_stdout_and_patterns_from_both() -> None:
    with raising(RunFailure):
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
    with raising(Diverged):
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
    with raising(Diverged):
        read(['{"epoch": 1, "top1": NaN, "top5": 0.5}'], {"top1": None})
    with raising(Diverged):
        read(['{"top1": 1' + "0" * 400 + "}"], {"top1": None})


@pytest.mark.parametrize(
    ('lines', 'metrics'),
    [
        (["acc 0.5"], {"acc": "accuracy ([0-9.]+)"}),
        (["acc x"], {"acc": "acc (.)"}),
        (['{"acc": true}'], {"acc": None}),
        (['{"acc": "n/a"}', '{"lr": 1}'], {"acc": None}),
        (['{"metrics": {"acc": 0.5}}'], {"acc": None}),
        (['{"val/acc@5": 0.5}'], {"acc": None}),
        (['{"accuracy": 0.5, "lr": 1}'], {"acc": None}),
        (['{"top1": 0.5}'], {"acc": None}),
        (["hello"], {}),
        (['{"accuracy": 0.5}'], {}),
    ],
)  # fmt: skip
def test_a_metric_that_never_came_is_named(lines: list[str], metrics: Any) -> None:
    with raising(RunFailure):
        read(lines, metrics)


def test_a_declared_metric_may_come_on_the_reported_split() -> None:
    assert read(['{"epoch": 1, "split": "test", "acc": 0.5}'], {"acc": None})[0].metrics["acc"] == 0.5
    assert read(['{"epoch": 1, "split": "val", "acc": 0.5}'], {"acc": None})[0].metrics["acc"] == 0.5


def test_the_last_lines_are_kept_and_cut() -> None:
    output = Output(Measured(Run("a", "b", 0, {}, {"metrics": {}}), Context(Path("."))))
    for number in range(1000):
        output.take(f"{number} " + "x" * 1000, stdout=True)
    assert len(output.last) == KEPT
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


@pytest.mark.parametrize(("said", "epochs"), [("train.steps", 400), (500, 500)])
def test_progress_is_told_where_the_trainer_says_how_many(said: object, epochs: int) -> None:
    seen: list[Any] = []
    run = Run("a", "b", 0, {"train": {"steps": 400}, "epochs": 4}, {"metrics": {}})
    measured = Measured(run, Context(Path("."), on_progress=seen.append, options={"epochs": said}))
    measured.take({"top1": 0.5}, 300)
    assert [(p.epoch, p.epochs) for p in seen] == [(300, epochs)]


@pytest.mark.parametrize(("metrics", "split"), [({"val_bpc": 0.5}, None), ({"bpc": 0.5, "top1": 0.5}, "val")])
def test_what_a_tuning_judges_by_is_handed_on_at_once(metrics: dict[str, float], split: str | None) -> None:
    """Epoch by epoch, so that the verdict on one is known before the next is looked at."""
    handed: list[list[int]] = []
    context = Context(Path("."), on_epoch=lambda records: handed.append([r.epoch for r in records]))
    context.options = {"judged": "val_bpc"}
    measured = Measured(Run("a", "b", 0, {}, {"metrics": dict.fromkeys(metrics)}), context, lambda: 0.0)
    for epoch in (1, 2, 3):
        measured.take({"train_loss": 0.5}, epoch)
        measured.take(metrics, epoch, split)
    assert handed == [[1], [1], [2, 2], [3, 3]]


@pytest.mark.parametrize(
    'line',
    [
        '{"split": "holdout", "top1": 0.5}',
        '{"split": 3, "top1": 0.5}',
        '{"epoch": 0.5, "top1": 0.5}',
        '{"epoch": "three", "top1": 0.5}',
        '{"epoch": -1, "top1": 0.5}',
        '{"top1": 0.5, "top1": 0.6}',
        '{"val_loss": 0.5, "val/loss": 0.6}',
        '{"loss": "0,5"}',
        '{"loss": "0.5 s"}',
        '{"top1": 93.75}',
        '{"split": "val", "top1": 93.75}',
        '{"top1": "0.9%"}',
    ],
)  # fmt: skip
def test_a_json_line_that_cannot_be_understood_ends_the_run(line: str) -> None:
    with raising(RunFailure):
        read([line, '{"top1": 0.75}'])


@pytest.mark.parametrize(
    ('lines', 'pattern'),
    [
        (["epoch 1.5 loss 2"], r"epoch (?P<epoch>\d+).* loss (\S+)"),
        (["epoch one loss 2"], r"epoch (?P<epoch>\S+) loss (\S+)"),
        (['{"split": "train", "loss": 2}'], None),
    ],
)  # fmt: skip
def test_what_is_said_of_a_metric_is_true_of_the_output(lines: list[str], pattern: str | None) -> None:
    with raising(RunFailure):
        read(lines, {"loss": pattern})


def read_percent(lines: list[str], metrics: dict[str, str | None], *names: str) -> tuple[Outcome, list[Any]]:
    return read(lines, metrics, more={"units": dict.fromkeys(names, "percent")})


def test_percentages_are_kept_as_fractions() -> None:
    outcome, records = read_percent(["acc 93.8%", "acc 7.0 %"], {"acc": r"acc (\S+)"}, "acc")
    assert [value for *_, value in records] == [0.938, 0.07]
    assert outcome.metrics == {"acc": 0.07}
    outcome, _ = read_percent(['{"split": "val", "top1": 93.8, "top5": 0.99}'], {"top1": None}, "top1")
    assert outcome.metrics == {"val_top1": 0.938, "top1": 0.938, "val_top5": 0.99, "top5": 0.99}
    with raising(RunFailure):
        read_percent(["top1 938"], {"top1": r"top1 (\S+)"}, "top1")


def test_a_percentage_of_ours_has_to_be_declared_and_one_of_theirs_stays_as_it_is() -> None:
    assert read(["acc 93.75%"], {"acc": r"acc ([0-9.]+)"})[0].metrics == {"acc": 93.75}
    for line in ("top1 93.75", "top1 0.5%"):
        with raising(RunFailure):
            read([line], {"top1": r"top1 ([0-9.]+)"})
    assert read(["top1 1.0000001"], {"top1": r"top1 (\S+)"})[0].metrics == {"top1": 1.0000001}


def test_a_metric_that_the_study_names_like_a_split_stays_its_own() -> None:
    outcome, _ = read(['{"eval_loss": 0.5}'], {"eval_loss": None})
    assert outcome.metrics == {"eval_loss": 0.5}


def test_the_group_that_matched_has_the_number() -> None:
    outcome, _ = read(["test acc 0.5", "final 0.75"], {"acc": r"acc (\S+)|final (\S+)"})
    assert outcome.metrics == {"acc": 0.75}


def test_how_numbers_were_counted_is_told() -> None:
    lines = ["a 1", "b 2 at 7", '{"epoch": 1, "top1": 0.5}', '{"step": 9, "loss": 0.5}', '{"top5": 0.5}']
    outcome, _ = read(lines, {"a": "a (.)", "b": r"b (.) at (?P<step>.)"})
    assert outcome.details["counted_by"] == {"a": "match", "b": "step", "loss": "step"}


@pytest.mark.parametrize(
    ("line", "count"),
    [("epoch 3/10 loss 1", 3), ("Epoch [3/10] loss 1", 3), ("epoch=3-loss 1", 3), ("epoch-3 loss 1", 3), ("epoch 3: loss 1", 3), ("epoch 3. loss 1", 3), ("epoch 3.0 loss 1", 3), ("epoch 1,000,000 loss 1", 1_000_000)],
)  # fmt: skip
def test_epochs_are_read_whole(line: str, count: int) -> None:
    _, records = read([line], {"loss": r"[Ee]poch\W*(?P<epoch>\d+).*loss (\S+)"})
    assert records == [(count, "test", "loss", 1.0)]


@pytest.mark.parametrize(
    'line',
    ["epoch 1,000 loss 1", "epoch 1.5 loss 1", "epoch -1 loss 1", "epoch 12k loss 1"],
)  # fmt: skip
def test_epochs_that_would_be_cut_end_the_run(line: str) -> None:
    with raising(RunFailure):
        read([line], {"loss": r"epoch\W+(?P<epoch>\d+).*loss (\S+)"})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("right: 560/597", 560 / 597),
        ("right: 56/1e2", 0.56),
        ("right: 0/597", 0.0),
        ("right: 5 of 10", 0.5),
        ("right: 5", None),
    ],
)
def test_a_group_named_of_makes_a_ratio(line: str, expected: float | None) -> None:
    metrics: dict[str, str | None] = {"acc": r"right: (\d+)(?:(?:/| of )(?P<of>[\de]+))?"}
    outcome, records = read([line, '{"loss": 1.0}', "right: 1/2"], metrics)
    assert [value for *_, value in records] == [0.5] if expected is None else [expected, 0.5]
    assert outcome.metrics["acc"] == 0.5


def test_there_is_no_share_of_nothing() -> None:
    with raising(RunFailure):
        read(["right: 0/0"], {"acc": r"right: (\d+)/(?P<of>\d+)"})
    with raising(RunFailure):
        read(["right: 5/4"], {"top1": r"right: (\d+)/(?P<of>\d+)"}, more={"units": {"top1": "ratio"}})
