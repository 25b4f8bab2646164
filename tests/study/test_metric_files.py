"""`file`, `column`, `path`, `tag` and `epoch` of a metric, `select`, `artifacts`, names with slashes, ratios: what is hashed of them,
and what is told before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from golden_texts import coded

from ablate.project.blocked import Outlook
from ablate.study.assign import metric_files
from ablate.study.assign.metric_files import absent_package

STUDY = """\
study: s
seeds: 1
recipe: {data: 'c[1]', lr: 1}
trainer:
  command: python x {lr} {run_dir}
  metrics:
    val/acc: {better: higher, file: '{run_dir}/{data}/*/m.csv', column: 'val/{data}'}
    MORE: {better: lower}
"""
TAG = "study: s\nseeds: 1\ntrainer:\n  command: x\n  metrics: {acc: {better: higher, file: '{run_dir}/tb', tag: a}}\n"


def metric(spec: str, name: str = "acc") -> str:
    return f"study: s\nseeds: 1\ntrainer:\n  command: x\n  metrics: {{{name}: {{better: higher, {spec}}}}}\n"


def test_where_a_metric_stands_is_hashed_with_the_recipe_filled_in(read: Any) -> None:
    (run,) = read(STUDY.replace("MORE", "loss2")).runs
    assert run.trainer == {
        "command": ["python", "x", "1", "{run_dir}"],
        "version": 1,
        "metrics": {"val_acc": None, "loss2": None},
        "files": {"val_acc": {"file": "{run_dir}/c[[]1]/*/m.csv", "column": ["val/c[1]"]}},
    }
    same = read(STUDY.replace("MORE", "loss2").replace("val/acc", "val_acc").replace("higher, f", "lower, f")).runs
    assert same[0].run_id == run.run_id


@pytest.mark.parametrize(
    ("spec", "hashed"),
    [
        ("file: '{run_dir}/{seed}.jsonl', path: eval.loss", {"file": "{run_dir}/{seed}.jsonl", "path": ["eval", "loss"]}),
        ("file: '{run_dir}/a.json', path: [eval, val.loss], epoch: s.e", {"file": "{run_dir}/a.json", "path": ["eval", "val.loss"], "epoch": ["s", "e"]}),
        ("file: '{run_dir}/a.yml', path: 3, epoch: [s.e]", {"file": "{run_dir}/a.yml", "path": ["3"], "epoch": ["s.e"]}),
        ("file: '{run_dir}/tb', tag: test/acc", {"file": "{run_dir}/tb", "tag": ["test/acc"]}),
        ("file: '{run_dir}/a.txt', column: a b, epoch: Epoch", {"file": "{run_dir}/a.txt", "column": ["a b"], "epoch": ["Epoch"]}),
    ],
)  # fmt: skip
def test_columns_paths_and_tags(read: Any, spec: str, hashed: Any) -> None:
    (run,) = read(metric(spec)).runs
    assert run.trainer["files"] == {"acc": hashed}
    assert run.run_id != read(metric("pattern: (.)")).runs[0].run_id


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("file: '{run_dir}/a.csv'", "acc.file: missing"),
        ("file: '{run_dir}/a.csv', column: a, tag: b", "acc.file: conflict"),
        ("file: '{run_dir}/a.csv', column: a, pattern: (.)", "acc.pattern: conflict"),
        ("column: a", "acc.column: missing"),
        ("epoch: a", "acc.epoch: missing"),
        ("file: a.csv, column: a", "acc.file: wrong-value"),
        ("file: '{run_dir}x/a.csv', column: a", "acc.file: wrong-value"),
        ("file: '{run_dir}/../a.csv', column: a", "acc.file: wrong-value"),
        ("file: '/tmp/{run_dir}/a.csv', column: a", "acc.file: wrong-value"),
        ("file: '', column: a", "acc.file: empty"),
        ("file: [a], column: a", "acc.file: wrong-type"),
        ("file: '{run_dir}/{', column: a", "acc.file: bad-format"),
        ("file: '{run_dir}/a.csv', column: ''", "acc.column: empty"),
        ("file: '{run_dir}/a.csv', column: [a]", "acc.column: wrong-type"),
        ("file: '{run_dir}/a.json', path: a..b", "acc.path: empty"),
        ("file: '{run_dir}/a.json', path: []", "acc.path: empty"),
        ("file: '{run_dir}/a.json', path: [[a]]", "acc.path: wrong-type"),
        ("file: '{run_dir}/a.csv', path: a", "acc.file: wrong-value"),
        ("file: '{run_dir}/a.json', column: a", "acc.column: wrong-value"),
        ("file: '{run_dir}/tb', tag: a, epoch: b", "acc.epoch: unsupported"),
        ("file: '{run_dir}/{lr}.csv', column: a", "acc: unknown-field"),
        ("unit: percent, pattern: '(.)/(?P<of>.)'", "acc.unit: conflict"),
    ],
)
def test_mistakes_are_told_with_their_place(mistakes: Any, spec: str, expected: str) -> None:
    (line,) = mistakes(metric(spec))
    assert line == f"s.yaml:5: trainer.metrics.{expected}"


def test_names_with_slashes_are_one_metric_everywhere(read: Any, mistakes: Any) -> None:
    text = STUDY.replace("MORE", "loss/total") + (
        "factors: {f: {path: lr, levels: [1, 2]}}\nbaseline: {f: 1}\nlabels: {val/acc: Accuracy}\n"
        "tables: {t: {rows: f, columns: [val/acc, loss/total], claims: [2 is best on val/acc]}}\n"
    )
    study = read(text)
    assert study.metrics == {"val_acc": "higher", "loss_total": "lower"}
    assert study.tables["t"].columns == ("val_acc", "loss_total")
    assert study.tables["t"].claims[0].metric == "val_acc"
    assert study.labels.entries["val_acc"].text == "Accuracy"
    for name, code in (("eval/acc", "duplicate"), ("/a", "bad-name"), ("a/", "bad-name"), ("a//b", "bad-name")):
        (line,) = mistakes(STUDY.replace("MORE", name))
        assert line == f"s.yaml:8: trainer.metrics.{name}: {code}"


def test_a_group_named_of_makes_a_ratio_and_another_run(read: Any) -> None:
    ratio = read(metric(r"pattern: '(\d+)/(?P<of>\d+)'"))
    assert ratio.runs[0].trainer["units"] == {"acc": "ratio"}
    assert "units" not in read(metric(r"pattern: '(\d+)/\d+'")).runs[0].trainer


CHOICE = (
    "study: s\nseeds: 1\ntrainer:\n  command: x\n  metrics: {acc: {better: higher}, n: {better: neither}}\n  select: "
)


@pytest.mark.parametrize(
    ("select", "hashed"),
    [
        ("acc", {"metric": "acc", "better": "higher"}),
        ("val/acc", {"metric": "val_acc", "better": "higher"}),
        ("val_loss", {"metric": "val_loss", "better": "lower"}),
    ],
)
def test_what_selects_is_hashed_with_its_direction(read: Any, select: str, hashed: Any) -> None:
    assert read(CHOICE + select).runs[0].trainer["select"] == hashed


def test_the_last_epoch_stands_nowhere(read: Any) -> None:
    runs = [read(text).runs[0] for text in (CHOICE + "last", CHOICE, CHOICE.replace("  select: ", ""))]
    assert {run.run_id for run in runs} == {runs[0].run_id}
    assert set(runs[0].trainer) == {"command", "version", "metrics"}


@pytest.mark.parametrize(("select", "code"), [("ac", "unknown-metric"), ("n", "unsupported"), ("[acc]", "wrong-type")])
def test_what_cannot_select(mistakes: Any, select: str, code: str) -> None:
    assert mistakes(CHOICE + select)[0] == f"s.yaml:6: trainer.select: {code}"


@pytest.mark.parametrize(
    ("metrics", "select", "warns"),
    [
        ("acc: {better: higher}", "acc", True),
        ("acc: {better: higher}", "val_acc", False),
        ("val_acc: {better: higher}", "val_acc", True),
        ("val_acc: {better: higher}, test_acc: {better: higher}", "val/acc", False),
        ("val_acc: {better: higher}, test_acc: {better: higher}", "test_acc", True),
        ("val_acc: {better: higher}, test_acc: {better: higher}", "train_acc", False),
        ("val_acc: {better: higher}", "last", False),
    ],
)
def test_selecting_on_what_is_reported_is_doubted(read: Any, metrics: str, select: str, warns: bool) -> None:
    text = f"study: s\nseeds: 1\ntrainer:\n  command: x\n  metrics: {{{metrics}, train_acc: {{better: higher}}}}\n  select: {select}"
    assert coded(read(text).warnings) == (["s.yaml:6: trainer.select: selects-on-reported"] if warns else [])


def test_artifacts_are_globs_and_no_part_of_identity(read: Any, mistakes: Any) -> None:
    plain = read("study: s\nseeds: 1\ntrainer: {command: x}").runs[0]
    for globs in ("'{run_dir}/*.pt'", "['{run_dir}/*.pt', '{run_dir}/{seed}/**']"):
        assert read(f"study: s\nseeds: 1\ntrainer: {{command: x, artifacts: {globs}}}").runs[0] == plain
    for globs, expected in (
        ("'*.pt'", "artifacts: wrong-value"),
        ("['{run_dir}/a', '{run_dir}/{lr}']", "artifacts.1: unsupported"),
        ("{a: b}", "artifacts: wrong-type"),
        ("''", "artifacts: empty"),
    ):
        assert mistakes(f"study: s\ntrainer: {{python: a:b, artifacts: {globs}}}") == [f"s.yaml:2: trainer.{expected}"]


@pytest.fixture
def without_tensorboard(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(metric_files, "find_spec", lambda name: None)


def test_without_tensorboard_its_runs_are_blocked_and_reports_still_come(
    read: Any, without_tensorboard: Any, tmp_path: Path
) -> None:
    without_tensorboard()
    study = read(TAG, file=str(tmp_path / "s.yaml"))
    assert coded(study.warnings) == [f"{tmp_path / 's.yaml'}:5: trainer.metrics: not-installed"]
    (block,) = Outlook(study, {}, tmp_path).blocks.values()
    assert block.note == "no tensorboard"
    assert "pip install 'ablate-studies[tensorboard]'" in block.why
    plain = read(metric("pattern: (.)"))
    assert (absent_package(plain.runs[0].trainer), Outlook(plain, {}, tmp_path).blocks) == ("", {})
